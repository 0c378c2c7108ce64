"""The depthwise 3D convolution, in the implementation that suits the input: PyTorch anywhere, Triton on CUDA.

Both compute the same with the same arguments: see ``depthwise_torch.py``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fragrant.kernels import depthwise_torch
from fragrant.kernels.taps import has_operators, picks_triton


def depthwise_conv3d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], *, impl: str = "auto"
) -> Tensor:
    """Depthwise 3D convolution, padded with kernel // 2 zeros: (N, C, T, H, W), (C, 1, kT, kH, kW), (C) or None -> (N,
    C, T', H', W'), T' = ceil(T / sT).

    Args:
        impl: "auto" (see :func:`runs_in_triton`), "torch" or "triton".

    Raises:
        KernelError: Triton was asked for, but cannot run on this device or in this number format.
    """
    if runs_in_triton(impl, x) and has_operators("depthwise_triton"):
        return torch.ops.fragrant.depthwise_conv3d(x, weight, bias, stride)
    return depthwise_torch.depthwise_conv3d(x, weight, bias, stride)


def runs_in_triton(impl: str, x: Tensor) -> bool:
    """Whether Triton computes the convolution: as ``picks_triton``, but "auto" wants channels_last_3d as well, and no
    more numbers than 32-bit indices reach.

    Raises:
        KernelError: Triton was asked for, but cannot run on this device.
    """
    fast = x.is_contiguous(memory_format=torch.channels_last_3d) and x.numel() < 2**31
    return picks_triton(impl, x) and (impl == "triton" or fast)
