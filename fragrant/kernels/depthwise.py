"""The depthwise 3D convolution, in the implementation that suits the input: PyTorch anywhere, Triton on CUDA.

Both compute the same with the same arguments: see ``depthwise_torch.py``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fragrant.kernels import depthwise_torch
from fragrant.kernels.taps import (
    TRITON_DTYPES,
    KernelError,
    check_implementation,
    triton_is_installed,
    triton_is_interpreted,
)


def depthwise_conv3d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], *, impl: str = "auto"
) -> Tensor:
    """Padded with kernel // 2 zeros.

    (N, C, T, H, W), (C, 1, kT, kH, kW), (C) or None -> (N, C, ceil(T / sT), ceil(H / sH), ceil(W / sW))

    Args:
        impl: "auto" (see :func:`runs_in_triton`), "torch" or "triton".

    Raises:
        KernelError: Triton was asked for, but cannot run on this device or in this number format.
    """
    if runs_in_triton(impl, x) and triton_operators_are_there():
        return torch.ops.fragrant.depthwise_conv3d(x, weight, bias, stride)
    return depthwise_torch.depthwise_conv3d(x, weight, bias, stride)


def runs_in_triton(impl: str, x: Tensor) -> bool:
    """With "auto": CUDA tensors in channels_last_3d and a number format that Triton has, if it is installed.

    Raises:
        KernelError: Triton was asked for, but cannot run on this device.
    """
    on_gpu = x.device.type == "cuda"
    if check_implementation(impl) == "triton" and not (on_gpu or triton_is_interpreted()):
        raise KernelError(
            f"the implementation 'triton' needs tensors on a CUDA GPU, got {x.device}; use 'auto' or 'torch'"
        )
    return impl == "triton" or (impl == "auto" and on_gpu and is_fast_in_triton(x) and triton_is_installed())


def is_fast_in_triton(x: Tensor) -> bool:
    reached = x.numel() < 2**31  # by the kernels' 32-bit indices
    return reached and x.dtype in TRITON_DTYPES and x.is_contiguous(memory_format=torch.channels_last_3d)


@torch.compiler.assume_constant_result  # torch.compile cannot trace an import
def triton_operators_are_there() -> bool:
    """True: registers them at the first call, because importing Triton costs a second."""
    from fragrant.kernels import depthwise_triton  # noqa: F401

    return True
