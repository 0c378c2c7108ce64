"""torchvision's video classifiers R(2+1)D-18, S3D and MViTv2-S as backbones: its layers and weights behind the
interface of this package."""

import re
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torchvision.models.video import S3D as TorchvisionS3D
from torchvision.models.video import MViT as TorchvisionMViT
from torchvision.models.video import mvit_v2_s
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, R2Plus1dStem, VideoResNet

from fragrant.layers.convolution import trust_convolutions
from fragrant.layers.recompute import recompute
from fragrant.models.backbone import Backbone, ModelError, blocks_to_recompute
from fragrant.models.build import MODELS, recompute_blocks

KEEP_ALL = (0, 0, 0, 0)  # no block of any stage is recomputed


class TorchvisionVideo(Backbone):
    """One of torchvision's networks without its classifier, ``net``, and a new head.

    Args:
        recompute_blocks: how many blocks of each of the four stages are computed again in the backward pass instead of
            kept.

    Attributes:
        published_head: prefix of the classifier's keys in torchvision's files.
    """

    published_head: str
    net: nn.Module

    def __init__(
        self,
        net: nn.Module,
        num_features: int,
        *,
        num_classes: int,
        dropout_rate: float,
        recompute_blocks: Sequence[int] = KEEP_ALL,
    ):
        super().__init__()
        trust_convolutions(net)
        self.net, self.num_features = net, num_features
        self.recompute_blocks = blocks_to_recompute(recompute_blocks)
        named = zip(self.stages(), self.recompute_blocks, strict=True)
        chosen = {id(block) for blocks, count in named for block in blocks[:count]}
        self.recomputed = [id(part) in chosen for part in self.parts()]
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(num_features, num_classes) if num_classes else nn.Identity()

    def stages(self) -> list[list[nn.Module]]:
        """The blocks of the four stages."""
        raise NotImplementedError

    def parts(self) -> list[nn.Module]:
        """The modules that run one after the other, the blocks of the stages among them."""
        return [block for stage in self.stages() for block in stage]

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames torchvision's state dicts; the names of this package stay."""
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
        self,
        *,
        num_classes: int,
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
        dropout_rate: float = 0.0,
        recompute_blocks: Sequence[int] = KEEP_ALL,
    ):
        net = VideoResNet(BasicBlock, [Conv2Plus1D] * 4, list(blocks), R2Plus1dStem)
        net.fc = nn.Identity()
        options: dict[str, Any] = dict(dropout_rate=dropout_rate, recompute_blocks=recompute_blocks)
        super().__init__(net, 512, num_classes=num_classes, **options)

    def stages(self) -> list[list[nn.Module]]:
        return [list(stage) for stage in (self.net.layer1, self.net.layer2, self.net.layer3, self.net.layer4)]

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T, H, W) -> (N, 512, T / 8, H / 16, W / 16)"""
        x = self.net.stem(clips)
        for block, recomputed in zip(self.parts(), self.recomputed, strict=True):
            x = recompute(block, x) if recomputed else block(x)
        return x

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.head(self.dropout(features.mean((2, 3, 4))))


class S3D(TorchvisionVideo):
    """S3D (Xie et al. 2018), a separable Inception network: 8.3 M parameters."""

    published_head = "classifier.1"
    net: TorchvisionS3D

    def __init__(self, *, num_classes: int, dropout_rate: float = 0.2, recompute_blocks: Sequence[int] = KEEP_ALL):
        net = TorchvisionS3D()
        net.classifier = nn.Identity()
        options: dict[str, Any] = dict(dropout_rate=dropout_rate, recompute_blocks=recompute_blocks)
        super().__init__(net, 1024, num_classes=num_classes, **options)

    def stages(self) -> list[list[nn.Module]]:
        """The modules behind each of the four poolings that halve height and width."""
        parts: list[list[nn.Module]] = [[]]
        for part in self.net.features:
            if isinstance(part, nn.MaxPool3d):
                parts.append([])
            else:
                parts[-1].append(part)
        return parts[1:]

    def parts(self) -> list[nn.Module]:
        return list(self.net.features)

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T, H, W) -> (N, 1024, T / 8, H / 32, W / 32)"""
        if clips.ndim != 5 or clips.shape[2] < 7 or min(clips.shape[3:]) < 32:
            raise ModelError(
                "S3D takes clips (N, 3, T, H, W) of at least 7 frames of 32 x 32 pixels; got shape "
                f"{tuple(clips.shape)}"
            )
        x = clips
        for part, recomputed in zip(self.parts(), self.recomputed, strict=True):
            x = recompute(part, x) if recomputed else part(x)
        return x

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K), the mean over all windows of 2 x 7 x 7, so the
        middle of a larger map counts more."""
        window = tuple(map(min, (2, 7, 7), features.shape[2:]))
        return self.head(self.dropout(F.avg_pool3d(features, window, stride=1).mean((2, 3, 4))))


class MViTv2(TorchvisionVideo):
    """MViTv2-S (Li et al. 2022): 34.5 M parameters. Its weights were trained at 16 x 224 x 224; relative positions fit
    other clips too.

    It classifies by a class token, which is not in the feature map.
    """

    published_head = "head.1"
    net: TorchvisionMViT

    def __init__(
        self,
        *,
        num_classes: int,
        drop_path_rate: float = 0.2,
        dropout_rate: float = 0.5,
        recompute_blocks: Sequence[int] = KEEP_ALL,
    ):
        net = mvit_v2_s(stochastic_depth_prob=drop_path_rate)
        net.head = nn.Identity()
        options: dict[str, Any] = dict(dropout_rate=dropout_rate, recompute_blocks=recompute_blocks)
        super().__init__(net, 768, num_classes=num_classes, **options)
        if isinstance(self.head, nn.Linear):
            nn.init.trunc_normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)

    def stages(self) -> list[list[nn.Module]]:
        """The blocks of the four stages; a stage begins with the block that halves height and width."""
        parts: list[list[nn.Module]] = [[]]
        for block in self.net.blocks:
            if block.pool_skip is not None:
                parts.append([])
            parts[-1].append(block)
        return parts

    def tokens(self, clips: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Tokens of clips, the class token first: (N, 3, T, H, W) -> (N, 1 + L, D), L = T'*H'*W', and (T', H', W')"""
        x = self.net.conv_proj(clips)  # (N, C, T / 2, H / 4, W / 4)
        frames, height, width = x.shape[2:]
        size = (frames, height, width)
        x = self.net.pos_encoding(x.flatten(2).transpose(1, 2))  # (N, 1 + L, C)
        for block, recomputed in zip(self.net.blocks, self.recomputed, strict=True):
            x, size = recompute(block, x, size) if recomputed else block(x, size)
        return self.net.norm(x), size

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips without the class token: (N, 3, T, H, W) -> (N, 768, T / 2, H / 32, W / 32)"""
        tokens, size = self.tokens(clips)
        return tokens[:, 1:].transpose(1, 2).unflatten(2, size)

    def layer_names(self) -> list[tuple[str, ...]]:
        blocks = [(f"net.blocks.{index}.",) for index in range(len(self.net.blocks))]
        return [("net.conv_proj.", "net.pos_encoding."), *blocks]

    def forward_head(self, features: Tensor) -> Tensor:
        raise ModelError("MViTv2 classifies by its class token, not by its feature map; call the model")

    def forward(self, clips: Tensor) -> Tensor:
        """Classifies clips: (N, 3, T, H, W) -> logits (N, K)"""
        return self.head(self.dropout(self.tokens(clips)[0][:, 0]))

    def logits_and_pooled(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        token = self.tokens(clips)[0][:, 0]
        return self.head(self.dropout(token)), token.unsqueeze(1)


def arguments(cfg: CfgNode) -> dict:
    """The arguments from the config that all three networks take."""
    return dict(
        num_classes=cfg.MODEL.NUM_CLASSES,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        recompute_blocks=recompute_blocks(cfg),
    )


@MODELS.register("R2Plus1D")
def r2plus1d(cfg: CfgNode) -> R2Plus1D:
    return R2Plus1D(**arguments(cfg))


@MODELS.register("S3D")
def s3d(cfg: CfgNode) -> S3D:
    return S3D(**arguments(cfg))


@MODELS.register("MViTv2")
def mvit_v2(cfg: CfgNode) -> MViTv2:
    return MViTv2(**arguments(cfg), drop_path_rate=cfg.MVITV2.DROP_PATH_RATE)
