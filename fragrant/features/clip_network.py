"""A video backbone as a fixed function: views in, pooled features, tokens or logits out."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fragrant.layers.normalize import ClipNormalize, StreamsNormalize
from fragrant.layers.probe import tokens_of_map
from fragrant.models import Backbone


class ClipNetwork(nn.Module):
    """A video backbone with its normalisation, as a fixed feature extractor.

    Args:
        streams: makes the pixels of every stream that the backbone takes.
        output: "pooled" = the mean of the feature maps over space and time, what the head sees; "tokens" = every place
            of the map by itself; or "logits".
        grid: of the tokens, see ``tokens_of_map``.
    """

    def __init__(
        self,
        backbone: Backbone,
        normalize: ClipNormalize | StreamsNormalize,
        *,
        output: str,
        grid: int = 0,
        streams: Callable[[Tensor], Sequence[Tensor]] = lambda pixels: (pixels,),
    ):
        super().__init__()
        assert output in ("pooled", "tokens", "logits"), output
        self.streams = streams
        self.backbone = backbone
        self.normalize = normalize
        self.output = output
        self.grid = grid

    def forward(self, clips: Tensor) -> Tensor:
        """Features of views: (V, C, T, H, W) uint8 -> (V, D), tokens (V, L, D)"""
        clips = self.normalize(torch.cat(list(self.streams(clips)), 1))
        if self.output == "logits":
            return self.backbone(clips)
        features = self.backbone.forward_features(clips)  # (V, D, T', H', W')
        return tokens_of_map(features, self.grid) if self.output == "tokens" else features.mean((2, 3, 4))
