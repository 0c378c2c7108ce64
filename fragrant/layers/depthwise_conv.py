"""A 3D convolution that treats every channel by itself, fast on a GPU and in the backward pass on the CPU."""

import torch
from torch import Tensor, nn

from fragrant.kernels.depthwise import depthwise_conv3d
from fragrant.kernels.taps import check_implementation
from fragrant.layers.autocast import autocast_dtype, autocast_off


class DepthwiseConv3d(nn.Conv3d):
    """Depthwise 3D convolution: one k x k x k filter per channel, padded so that the size stays, or is divided by
    ``stride`` and rounded up.

    Args:
        impl: "auto", "torch" or "triton", see :mod:`fragrant.kernels.depthwise`.
    """

    def __init__(self, dim: int, *, kernel_size: int, stride: int = 1, bias: bool = True, impl: str = "auto"):
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and at least 3; got {kernel_size}")
        super().__init__(dim, dim, kernel_size, stride=stride, padding=kernel_size // 2, groups=dim, bias=bias)
        self.impl = check_implementation(impl)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, C, ceil(T / stride), ceil(H / stride), ceil(W / stride)); in the number format of
        F.conv3d."""
        weight, bias = self.weight, self.bias
        dtype = autocast_dtype(x)
        if dtype is not None and x.dtype != torch.float64:  # which autocast leaves as it is
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        with autocast_off(x):
            return depthwise_conv3d(x, weight, bias, self.stride, impl=self.impl)
