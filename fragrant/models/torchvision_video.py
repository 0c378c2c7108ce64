"""torchvision's video classifiers R(2+1)D, S3D and MViTv2-S as backbones: its layers and weights behind the interface
of this package."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

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
from fragrant.models.parts import Parts, stage_parts
from fragrant.models.resizing import ClipSize, resize_rows

KEEP_ALL = (0, 0, 0, 0)  # no block of any stage is recomputed

# R(2+1)D by layout: middle widths of conv2 of the first block of stages 2, 3 and 4, and epsilon of BatchNorm
MIDDLE_WIDTHS = {"torchvision": (230, 460, 921), "ig65m": (288, 576, 1152)}
EPSILON = {"torchvision": 1e-5, "ig65m": 1e-3}
R2PLUS1D_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class TorchvisionVideo(Backbone):
    """One of torchvision's networks without its classifier, ``net``, and a new head.

    Args:
        recompute_blocks: how many blocks of each of the four stages are computed again in the backward pass instead of
            kept.

    Attributes:
        published_head: prefix of the classifier's keys in torchvision's files.
        stem_names: beginnings of the names of what comes before the first stage.
    """

    published_head: str
    stem_names: tuple[str, ...]
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

    def part_names(self) -> Parts:
        name_of = {id(module): f"{name}." for name, module in self.named_modules()}
        stages = [[name_of[id(block)] for block in blocks] for blocks in self.stages()]
        return stage_parts(self.stem_names, stages, {"norm": ["net.norm."], "head": ["head."]})

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


def _width(state: Mapping[str, Any], name: str) -> int:
    """Output channels of a convolution in a file, with or without our prefix; 0 where it is not there."""
    weight = state.get(f"net.{name}", state.get(name))
    return len(weight) if isinstance(weight, Tensor) and weight.ndim == 5 else 0


def _drawn_anew(part: nn.Module, *, like: nn.Module) -> nn.Module:
    """A part with initial values as torchvision draws them for a whole network, on the device and in the mode of
    another."""
    for module in part.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    first = next(like.parameters())
    return part.to(first.device, first.dtype).train(like.training)


class R2Plus1D(TorchvisionVideo):
    """R(2+1)D (Tran et al. 2018), a ResNet whose 3D filters are split into space and time: 31.5 M parameters with 2
    blocks per stage, 63.7 M with those of a ResNet-34.

    Its published files have one of two layouts. That of IG-65M (Ghadiyaram et al. 2019, in the port ig65m-pytorch) has
    other middle widths in the second convolution of stages 2 to 4 and an epsilon of 1e-3 in every BatchNorm; a file's
    shapes tell which it is, and the network takes it on.

    Args:
        layout: "torchvision" or "ig65m", what the network has until a file says otherwise.
        bn_momentum: share of a batch in the running statistics of BatchNorm; IG-65M's port has 0.9, with which they
            follow the last batch.

    Raises:
        ModelError: a layout that is not known.
    """

    published_head = "fc"
    stem_names = ("net.stem.",)
    net: VideoResNet

    def __init__(
        self,
        *,
        num_classes: int,
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
        layout: str = "torchvision",
        bn_momentum: float = 0.1,
        dropout_rate: float = 0.0,
        recompute_blocks: Sequence[int] = KEEP_ALL,
    ):
        net = VideoResNet(BasicBlock, [Conv2Plus1D] * 4, list(blocks), R2Plus1dStem)
        net.fc = nn.Identity()
        options: dict[str, Any] = dict(dropout_rate=dropout_rate, recompute_blocks=recompute_blocks)
        super().__init__(net, 512, num_classes=num_classes, **options)
        if layout not in MIDDLE_WIDTHS:
            raise ModelError(f"R2Plus1D layout '{layout}' is not known; allowed: {', '.join(MIDDLE_WIDTHS)}")
        self.layout, self.bn_momentum = "torchvision", bn_momentum
        self._take(layout)

    def _take(self, layout: str) -> None:
        """Changes to a layout: new second convolutions of the first blocks of stages 2 to 4, epsilon and momentum of
        every BatchNorm."""
        if layout != self.layout:
            for stage, middle in zip(self.stages()[1:], MIDDLE_WIDTHS[layout], strict=True):
                old = cast(Any, stage[0]).conv2[0]
                width = old[3].out_channels
                cast(Any, stage[0]).conv2[0] = _drawn_anew(Conv2Plus1D(width, width, middle), like=old)
            trust_convolutions(self.net)
        self.layout = layout
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eps, module.momentum = EPSILON[layout], self.bn_momentum

    def take_layout(self, state: Mapping[str, Any]) -> None:
        """Takes on the layout of a file, told by its middle widths; a file that does not say changes nothing."""
        found = tuple(_width(state, f"layer{stage}.0.conv2.0.0.weight") for stage in (2, 3, 4))
        for layout, widths in MIDDLE_WIDTHS.items():
            if found == widths:
                self._take(layout)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others, **options) -> None:
        """PyTorch's, before which the layout is taken on: a run that is resumed has that of its first weights."""
        self.take_layout({name.removeprefix(prefix): value for name, value in state_dict.items()})
        super()._load_from_state_dict(state_dict, prefix, *others, **options)

    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        return self.layout if self.layout == "ig65m" else ""

    def layer_names(self) -> list[tuple[str, ...]]:
        blocks = [(f"net.layer{at}.{block}.",) for at in (1, 2, 3, 4) for block in range(len(self.stages()[at - 1]))]
        return [("net.stem.",), *blocks]

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
    stem_names = ("net.features.0.",)
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
    stem_names = ("net.conv_proj.", "net.pos_encoding.")
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

    def resized(
        self, name: str, value: Tensor, shape: Sequence[int], state: Mapping[str, Tensor], clip: ClipSize | None
    ) -> Tensor | None:
        is_table = ".rel_pos_" in name and value.ndim == 2 and value.shape[1] == shape[1]
        return resize_rows(value, shape[0]) if is_table else None

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
    depth = cfg.R2PLUS1D.DEPTH
    return R2Plus1D(
        **arguments(cfg),
        blocks=R2PLUS1D_BLOCKS[depth],
        layout="ig65m" if depth == 34 else "torchvision",  # of depth 34 nobody publishes another
        bn_momentum=cfg.R2PLUS1D.BN_MOMENTUM,
    )


@MODELS.register("S3D")
def s3d(cfg: CfgNode) -> S3D:
    return S3D(**arguments(cfg))


@MODELS.register("MViTv2")
def mvit_v2(cfg: CfgNode) -> MViTv2:
    return MViTv2(**arguments(cfg), drop_path_rate=cfg.MVITV2.DROP_PATH_RATE)
