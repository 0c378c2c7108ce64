"""nn.Conv3d that can be trusted on the CPU, too."""

from typing import cast

from torch import Tensor, nn

from fragrant.kernels.convolution import conv3d


class Conv3d(nn.Conv3d):
    """nn.Conv3d with zeros around the map, for filters that may be larger than the map."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, D, T', H', W')"""
        padding = cast(tuple[int, ...], self.padding)
        return conv3d(x, self.weight, self.bias, stride=self.stride, padding=padding, groups=self.groups)
