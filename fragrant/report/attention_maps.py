"""Attention maps: which places of the clip a model's attention layers attend to."""

import torch
from torch import Tensor, nn

from fragrant.layers.attention_block import AttentionBlock
from fragrant.layers.tokens import to_tokens
from fragrant.report.maps import FeatureMap, MapError, inputs_of


@torch.no_grad()
def attention_maps(
    model: nn.Module, clip: Tensor, *, layer: str | None = None, at: tuple[float, float, float] | None = None
) -> list[FeatureMap]:
    """Maps the attention that every place gets, mean over the heads, 1 = an even share: normalised clip (1, C, T, H, W)
    -> one map per block.

    Args:
        layer: name of a block, or of a stage for all its blocks; None = the last block.
        at: attention of this one place, as fractions of the clip's length, height and width; None = mean over all
            places.

    Raises:
        MapError: the model has no such block, or the place is outside of the clip.
    """
    if at is not None and not all(0 <= part <= 1 for part in at):
        raise MapError(f"place {tuple(at)} is outside of the clip; give time, height and width from 0 to 1")
    calls = list(inputs_of(model, clip, AttentionBlock, advice="take grad-cam, which works for any model"))
    chosen = [call for call in calls if f"{call[0]}.".startswith(f"{layer}.")] if layer else calls[-1:]
    if not chosen:
        raise MapError(
            f"layer '{layer}' has no attention over space and time; there is {', '.join(name for name, *_ in calls)}"
        )
    return [_map(name, block, x, at) for name, block, x in chosen]


def _map(name: str, block: AttentionBlock, x: Tensor, at: tuple[float, float, float] | None) -> FeatureMap:
    size = x.shape[2:]  # T', H', W'
    weights = block.attn.weights(block.norm1(to_tokens(x + block.pos_embed(x))))[0].float().mean(0)  # (L, L)
    place: tuple[int, int, int] | None = None
    if at is None:
        received, of = weights.mean(0), "all places"
    else:
        time, row, column = (min(int(part * length), length - 1) for part, length in zip(at, size, strict=True))
        place = (time, row, column)
        received = weights[(time * size[1] + row) * size[2] + column]
        of = f"frame {time + 1}, row {row + 1}, column {column + 1}"
    values = (received * len(received)).unflatten(0, size)
    return FeatureMap(f"{name}: attention of {of}, times its even share", values, unit="× even share", place=place)
