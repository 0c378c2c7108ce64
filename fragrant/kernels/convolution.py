"""The 3D convolution of PyTorch, but for what it gets wrong on the CPU."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    groups: int = 1,
) -> Tensor:
    """As F.conv3d: (N, C, T, H, W), (D, C / groups, kT, kH, kW), (D) or None -> (N, D, T', H', W').

    On the CPU oneDNN is wrong where the map is smaller than the filter along any axis (seen with torch 2.14 and 2.15):
    in bfloat16 its filter gradient is, and its result for groups of several filters, up to numbers that are not finite
    and a crash of the process; in float32 its filter gradient is for filters of 7 and strides of 2. All is right where
    it need not add the zeros itself.
    """
    if x.device.type == "cpu" and any(size < width for size, width in zip(x.shape[2:], weight.shape[2:], strict=True)):
        at_time, at_rows, at_columns = padding
        x = F.pad(x, (at_columns, at_columns, at_rows, at_rows, at_time, at_time))
        padding = (0, 0, 0)
    return F.conv3d(x, weight, bias, tuple(stride), tuple(padding), groups=groups)
