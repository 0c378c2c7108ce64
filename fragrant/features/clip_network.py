"""A video backbone as a fixed function: views in, pooled features or logits out."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fragrant.layers.normalize import ClipNormalize, StreamsNormalize
from fragrant.models import Backbone


class ClipNetwork(nn.Module):
    """A video backbone with its normalisation, as a fixed feature extractor.

    Args:
        streams: makes the pixels of every stream that the backbone takes.
        pooled: the mean of the feature maps over space and time, what the head sees; False: the logits.
    """

    def __init__(
        self,
        backbone: Backbone,
        normalize: ClipNormalize | StreamsNormalize,
        *,
        pooled: bool,
        streams: Callable[[Tensor], Sequence[Tensor]] = lambda pixels: (pixels,),
    ):
        super().__init__()
        self.streams = streams
        self.backbone = backbone
        self.normalize = normalize
        self.pooled = pooled

    def forward(self, clips: Tensor) -> Tensor:
        """Features of views: (V, C, T, H, W) uint8 -> (V, D)"""
        clips = self.normalize(torch.cat(list(self.streams(clips)), 1))
        return self.backbone.forward_features(clips).mean((2, 3, 4)) if self.pooled else self.backbone(clips)
