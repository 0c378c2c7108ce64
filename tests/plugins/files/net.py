"""A network with a key of its own."""

from torch import Tensor, nn

from fragrant.config import declare_key
from fragrant.models import MODELS, Backbone

declare_key("TINY_NET.WIDTH", 8, "channels of the convolution", allowed=range(1, 4097))


class TinyNet(Backbone):
    """(N, 3, T, H, W) -> logits (N, K)."""

    def __init__(self, *, num_classes: int, width: int):
        super().__init__()
        self.num_features = width
        self.stem = nn.Conv3d(3, width, 3, stride=(1, 4, 4), padding=1)
        self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()

    def forward_features(self, clips: Tensor) -> Tensor:
        """(N, 3, T, H, W) -> (N, D, T, H / 4, W / 4)"""
        return self.stem(clips).relu()


@MODELS.register("TinyNet")
def tiny_net(cfg) -> TinyNet:
    return TinyNet(num_classes=cfg.MODEL.NUM_CLASSES, width=cfg.TINY_NET.WIDTH)
