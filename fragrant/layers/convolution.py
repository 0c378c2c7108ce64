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

    @classmethod
    def of(cls, conv: nn.Conv3d) -> "Conv3d":
        """The same convolution with the same parameters.

        Raises:
            ValueError: it is dilated, or pads with something else than so many zeros.
        """
        if isinstance(conv.padding, str) or conv.padding_mode != "zeros" or max(conv.dilation) > 1:
            raise ValueError(f"{conv}: dilation, and padding but with a number of zeros, is not known here")
        same = cls(  # on no device: nothing is drawn
            conv.in_channels,
            conv.out_channels,
            cast(tuple[int, int, int], conv.kernel_size),
            stride=cast(tuple[int, int, int], conv.stride),
            padding=cast(tuple[int, int, int], conv.padding),
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
        )
        same.weight, same.bias = conv.weight, conv.bias
        return same.train(conv.training)


def trust_convolutions(net: nn.Module) -> None:
    """Puts a ``Conv3d`` in the place of every nn.Conv3d of another package's network; names and numbers stay."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv3d:
                setattr(module, name, Conv3d.of(child))
