"""torchvision's video classifiers R(2+1)D-18, S3D and MViTv2-S as backbones: its layers, its weights, our feature
maps."""

import re

import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torchvision.models.video import S3D as TorchvisionS3D
from torchvision.models.video import MViT as TorchvisionMViT
from torchvision.models.video import mvit_v2_s
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, R2Plus1dStem, VideoResNet

from fragrant.models.backbone import Backbone, ModelError
from fragrant.models.build import MODELS


class TorchvisionVideo(Backbone):
    """One of torchvision's networks without its classifier, ``net``, and a head of ours.

    Attributes:
        published_head: what the names of the classifier begin with in torchvision's files.
    """

    published_head: str
    net: nn.Module

    def __init__(self, net: nn.Module, num_features: int, *, num_classes: int, dropout_rate: float):
        super().__init__()
        self.net, self.num_features = net, num_features
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(num_features, num_classes) if num_classes else nn.Identity()

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The names of torchvision's own files; ours stay."""
        theirs = re.compile(rf"^{re.escape(self.published_head)}\.")
        renamed = {
            theirs.sub("head.", name) if not name.startswith("net.") else name: value for name, value in state.items()
        }
        return {
            name if name.startswith(("net.", "head.")) else f"net.{name}": value.flatten(1)
            if name == "head.weight"
            else value
            for name, value in renamed.items()
        }


class R2Plus1D(TorchvisionVideo):
    """R(2+1)D (Tran et al. 2018), a ResNet whose 3D filters are split into space and time: 31.5 M parameters with 2
    blocks per stage."""

    published_head = "fc"
    net: VideoResNet

    def __init__(
        self, *, num_classes: int, blocks: tuple[int, int, int, int] = (2, 2, 2, 2), dropout_rate: float = 0.0
    ):
        net = VideoResNet(BasicBlock, [Conv2Plus1D] * 4, list(blocks), R2Plus1dStem)
        net.fc = nn.Identity()
        super().__init__(net, 512, num_classes=num_classes, dropout_rate=dropout_rate)

    def forward_features(self, clips: Tensor) -> Tensor:
        """(N, 3, T, H, W) -> (N, 512, T / 8, H / 16, W / 16)"""
        x = self.net.stem(clips)
        for stage in (self.net.layer1, self.net.layer2, self.net.layer3, self.net.layer4):
            x = stage(x)
        return x

    def forward_head(self, features: Tensor) -> Tensor:
        """(N, D, T', H', W') -> (N, K)"""
        return self.head(self.dropout(features.mean((2, 3, 4))))


class S3D(TorchvisionVideo):
    """S3D (Xie et al. 2018), a separable Inception network: 8.3 M parameters."""

    published_head = "classifier.1"
    net: TorchvisionS3D

    def __init__(self, *, num_classes: int, dropout_rate: float = 0.2):
        net = TorchvisionS3D()
        net.classifier = nn.Identity()
        super().__init__(net, 1024, num_classes=num_classes, dropout_rate=dropout_rate)

    def forward_features(self, clips: Tensor) -> Tensor:
        """(N, 3, T, H, W) -> (N, 1024, T / 8, H / 32, W / 32)"""
        if clips.ndim != 5 or clips.shape[2] < 7 or min(clips.shape[3:]) < 32:
            raise ModelError(
                "S3D takes clips (N, 3, T, H, W) of at least 7 frames of 32 x 32 pixels; got shape "
                f"{tuple(clips.shape)}"
            )
        return self.net.features(clips)

    def forward_head(self, features: Tensor) -> Tensor:
        """(N, D, T', H', W') -> (N, K): the mean over all windows of 2 x 7 x 7, so the middle of a larger map counts
        more."""
        window = tuple(map(min, (2, 7, 7), features.shape[2:]))
        return self.head(self.dropout(F.avg_pool3d(features, window, stride=1).mean((2, 3, 4))))


class MViTv2(TorchvisionVideo):
    """MViTv2-S (Li et al. 2022): 34.5 M parameters. Its weights were trained at 16 x 224 x 224; relative positions fit
    other clips too.

    It classifies by a class token, which is not in the feature map.
    """

    published_head = "head.1"
    net: TorchvisionMViT

    def __init__(self, *, num_classes: int, drop_path_rate: float = 0.2, dropout_rate: float = 0.5):
        net = mvit_v2_s(stochastic_depth_prob=drop_path_rate)
        net.head = nn.Identity()
        super().__init__(net, 768, num_classes=num_classes, dropout_rate=dropout_rate)
        if isinstance(self.head, nn.Linear):
            nn.init.trunc_normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)

    def tokens(self, clips: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """(N, 3, T, H, W) -> class token and the others (N, 1 + L, D), L = T'*H'*W', and (T', H', W')"""
        x = self.net.conv_proj(clips)  # (N, C, T / 2, H / 4, W / 4)
        frames, height, width = x.shape[2:]
        size = (frames, height, width)
        x = self.net.pos_encoding(x.flatten(2).transpose(1, 2))  # (N, 1 + L, C)
        for block in self.net.blocks:
            x, size = block(x, size)
        return self.net.norm(x), size

    def forward_features(self, clips: Tensor) -> Tensor:
        """(N, 3, T, H, W) -> (N, 768, T / 2, H / 32, W / 32), without the class token"""
        tokens, size = self.tokens(clips)
        return tokens[:, 1:].transpose(1, 2).unflatten(2, size)

    def forward_head(self, features: Tensor) -> Tensor:
        raise ModelError("MViTv2 classifies by its class token, not by its feature map; call the model")

    def forward(self, clips: Tensor) -> Tensor:
        """(N, 3, T, H, W) -> (N, K)"""
        return self.head(self.dropout(self.tokens(clips)[0][:, 0]))


@MODELS.register("R2Plus1D")
def r2plus1d(cfg: CfgNode) -> R2Plus1D:
    return R2Plus1D(num_classes=cfg.MODEL.NUM_CLASSES, dropout_rate=cfg.MODEL.DROPOUT_RATE)


@MODELS.register("S3D")
def s3d(cfg: CfgNode) -> S3D:
    return S3D(num_classes=cfg.MODEL.NUM_CLASSES, dropout_rate=cfg.MODEL.DROPOUT_RATE)


@MODELS.register("MViTv2")
def mvit_v2(cfg: CfgNode) -> MViTv2:
    return MViTv2(
        num_classes=cfg.MODEL.NUM_CLASSES, drop_path_rate=cfg.MVITV2.DROP_PATH_RATE, dropout_rate=cfg.MODEL.DROPOUT_RATE
    )
