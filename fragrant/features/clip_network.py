"""A video backbone as a fixed function: views in, pooled features or logits out."""

from torch import Tensor, nn

from fragrant.layers.normalize import ClipNormalize
from fragrant.models import Backbone


class ClipNetwork(nn.Module):
    """A video backbone with its normalisation, as a fixed feature extractor.

    Args:
        pooled: the mean of the feature maps over space and time, what the head sees; False: the logits.
    """

    def __init__(self, backbone: Backbone, normalize: ClipNormalize, *, pooled: bool):
        super().__init__()
        self.backbone = backbone
        self.normalize = normalize
        self.pooled = pooled

    def forward(self, clips: Tensor) -> Tensor:
        """Features of views: (V, C, T, H, W) uint8 -> (V, D)"""
        clips = self.normalize(clips)
        return self.backbone.forward_features(clips).mean((2, 3, 4)) if self.pooled else self.backbone(clips)
