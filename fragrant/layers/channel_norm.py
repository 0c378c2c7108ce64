"""LayerNorm over the channels of a volume."""

from torch import Tensor, nn

from fragrant.layers.tokens import to_tokens, to_volume


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the C channels of every position of a volume; the memory format of the input is kept."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape"""
        return to_volume(super().forward(to_tokens(x)), like=x)
