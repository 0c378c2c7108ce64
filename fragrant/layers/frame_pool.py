"""One vector for a clip from those of its frames."""

from typing import cast

from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.layers.positions import sine_positions
from fragrant.layers.transformer_block import TransformerBlock

HEAD_WIDTH = 64  # of the transformer, as in all published vision transformers


class MeanPool(nn.Module):
    """The mean over the frames, as TSN and TSM."""

    def forward(self, frames: Tensor) -> Tensor:
        """(N, T, D) -> (N, D)"""
        return frames.mean(1)


class AttentionPool(nn.Module):
    """A weighted mean over the frames: weights from the frames themselves, for each quarter of the
    channels its own (the self-attentive embedding of Lin et al. 2017 with linear scores).

    The scores begin at 0, with the mean: our choice, so that a pre-trained network starts as itself.
    """

    def __init__(self, width: int):
        super().__init__()
        self.num_heads = num_heads = next(heads for heads in (4, 2, 1) if width % heads == 0)
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, num_heads)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, T, D) -> (N, D)"""
        weights = self.score(self.norm(frames)).softmax(1)  # (N, T, heads)
        shares = frames.unflatten(2, (self.num_heads, -1))  # (N, T, heads, D / heads)
        return (shares * weights.unsqueeze(3)).sum(1).flatten(1)


class TransformerPool(nn.Module):
    """Transformer blocks over the frames, with their places in time as sines, then the mean.

    The branches of the blocks begin at 0, our choice: what they add to a pre-trained network is learned.
    """

    def __init__(self, width: int, *, depth: int = 1):
        super().__init__()
        heads = next(heads for heads in range(max(width // HEAD_WIDTH, 1), 0, -1) if width % heads == 0)
        blocks = [TransformerBlock(width, num_heads=heads) for _ in range(depth)]
        for last in [layer for block in blocks for layer in (block.attn.proj, block.mlp.fc2)]:
            nn.init.zeros_(cast(Tensor, last.weight))
            nn.init.zeros_(cast(Tensor, last.bias))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, T, D) -> (N, D)"""
        places = sine_positions((frames.shape[1], 1, 1), frames.shape[2], frames.device).to(frames.dtype)  # (T, D)
        x = frames + places  # (N, T, D)
        for block in self.blocks:
            x = block(x)
        return (x - places).mean(1)


POOLS = ("mean", "attention", "transformer")


def frame_pool(kind: str, width: int, *, depth: int = 1) -> nn.Module:
    """A pooling over frames by name: (N, T, D) -> (N, D)

    Raises:
        UserError: there is none of that name.
    """
    if kind not in POOLS:
        raise UserError(f"pooling over frames '{kind}' is not known; allowed: {', '.join(POOLS)}")
    if kind == "mean":
        return MeanPool()
    return AttentionPool(width) if kind == "attention" else TransformerPool(width, depth=depth)
