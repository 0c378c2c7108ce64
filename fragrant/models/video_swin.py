"""Video Swin Transformer (Liu et al. 2022, arXiv 2106.13230), on torchvision's SwinTransformer3d, which computes the
published model.

The names of the modules, and so the keys of the state dict, are torchvision's.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torchvision.models.video.swin_transformer import SwinTransformer3d

from fragrant.layers.recompute import recompute
from fragrant.layers.tube_mask import TubeMask
from fragrant.models.backbone import Backbone, Masking, ModelError, blocks_to_recompute
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.parts import Parts, stage_parts
from fragrant.models.resizing import ClipSize, resize_table, window_of_table


class Size(NamedTuple):
    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]


SIZES = {
    "T": Size(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "S": Size(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "B": Size(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "L": Size(192, (2, 2, 18, 2), (6, 12, 24, 48)),
}
# behind the name of an attention: its biases by distance, and which of them two places of a window have
TABLE, INDEX = "relative_position_bias_table", "relative_position_index"


class VideoSwin(Backbone):
    """Video Swin Transformer: patches of pixels, four stages of attention in shifted windows. Space shrinks to 1/32,
    time to 1/patch_size[0]; both rounded up.

    Args:
        num_classes: K; 0 gives an Identity head.
        size: widths, blocks and heads of the four stages, see ``SIZES``.
        patch_size: frames, rows and columns of a patch.
        window_size: frames, rows and columns of patches that attend to each other.
        drop_path_rate: probability of skipping a branch of the last block; grows linearly from 0 at the first.
        dropout_rate: rate of the dropout before the head.
        frozen_stages: how many of the first stages, with the patch embedding, keep their weights; 4 leaves only norm
            and head. -1: none.
        recompute_blocks: how many of a stage's first blocks keep no activations for the backward pass.
        backbone_lr_scale: learning rate of everything but the head over that of the run.

    Raises:
        ModelError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        size: Size = SIZES["T"],
        patch_size: Sequence[int] = (2, 4, 4),
        window_size: Sequence[int] = (8, 7, 7),
        drop_path_rate: float = 0.2,
        dropout_rate: float = 0.5,
        frozen_stages: int = -1,
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
        backbone_lr_scale: float = 1.0,
    ):
        super().__init__()
        if not -1 <= frozen_stages <= 4:
            raise ModelError(f"frozen_stages {frozen_stages} must be from -1 (nothing is frozen) to 4")
        net = SwinTransformer3d(
            list(patch_size),
            *(_as_list(value) for value in size),
            list(window_size),
            stochastic_depth_prob=drop_path_rate,
            num_classes=max(num_classes, 1),
        )
        self.patch_embed, self.features, self.norm = net.patch_embed, net.features, net.norm
        self.num_features = net.num_features
        frames, rows, columns = window_size
        self.window_size, self.patch_size = (frames, rows, columns), tuple(patch_size)
        self.dropout = nn.Dropout(dropout_rate)
        self.head = net.head if num_classes else nn.Identity()
        if isinstance(self.head, nn.Linear):
            nn.init.normal_(self.head.weight, std=0.01)
        self.recompute_blocks, self.frozen_stages = blocks_to_recompute(recompute_blocks), frozen_stages
        self.backbone_lr_scale = backbone_lr_scale
        for part in self._frozen():
            part.requires_grad_(False)
        self.train()  # a fresh module is in training mode: now without its frozen parts

    def _frozen(self) -> list[nn.Module]:
        """The frozen modules. ``features`` holds a stage, the merging of patches behind it, the next stage, ..."""
        return [self.patch_embed, *self.features[: 2 * self.frozen_stages]] if self.frozen_stages >= 0 else []

    def train(self, mode: bool = True) -> "VideoSwin":
        super().train(mode)
        for part in self._frozen():
            part.eval()  # no drop path
        return self

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T, H, W) -> (N, D, T', H', W')"""
        return self._staged(self._embedded(clips))

    def _embedded(self, clips: Tensor) -> Tensor:
        """Embeds the patches of clips: (N, 3, T, H, W) -> (N, T', H / 4, W / 4, D)"""
        if clips.ndim != 5 or clips.shape[1] != 3:
            raise ModelError(f"clips must be (N, 3, T, H, W); got a tensor of shape {tuple(clips.shape)}")
        return self.patch_embed(clips)

    @property
    def masking(self) -> Masking:
        frames, rows, columns = self.patch_size
        if rows != columns:
            raise ModelError(f"SWIN.PATCH_SIZE {list(self.patch_size)}: tubes are hidden in patches as high as wide")
        return Masking(rows, (frames, 8 * rows, 8 * columns), self.patch_embed.proj.out_channels)

    def forward_masked(self, clips: Tensor, mask: TubeMask, token: Tensor) -> Tensor:
        """Feature map of clips of which tubes are hidden, see ``Backbone``: the token takes the place of hidden patches
        behind the patch embedding, as in SimMIM (Xie et al. 2022)."""
        x = self._embedded(clips)  # (N, T', H / 4, W / 4, D)
        hidden = mask.on_grid(*x.shape[2:4])[:, None, :, :, None]
        return self._staged(torch.where(hidden, token.to(x.dtype), x))

    def layer_names(self) -> list[tuple[str, ...]]:
        layers: list[tuple[str, ...]] = [("patch_embed.",)]
        for at, part in enumerate(self.features):
            if at % 2 == 0:
                layers += [(f"features.{at}.{index}.",) for index in range(len(cast(nn.Sequential, part)))]
            else:  # the merging of patches belongs to the last block before it, as in SimMIM
                layers[-1] += (f"features.{at}.",)
        return layers

    def part_names(self) -> Parts:
        """A stage ends with the merging of patches behind it, as those of ``frozen_stages`` do."""
        starts = [f"features.{at}." for at in range(len(self.features))]
        stages = [starts[at : at + 2] for at in range(0, len(starts), 2)]
        return stage_parts(["patch_embed."], stages, {"norm": ["norm."], "head": ["head."]})

    def _staged(self, x: Tensor) -> Tensor:
        """The stages behind the patch embedding: (N, T', H / 4, W / 4, D) -> (N, D, T', H', W')"""
        for at, part in enumerate(self.features):
            recomputed = self.recompute_blocks[at // 2] if at % 2 == 0 else 0
            for index, block in enumerate(part if at % 2 == 0 else [part]):
                x = recompute(block, x) if index < recomputed else block(x)  # (N, T', H', W', D) of this stage
        return self.norm(x).permute(0, 4, 1, 2, 3)  # (N, D, T', H', W')

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.head(self.dropout(features.mean(dim=(2, 3, 4))))

    def optimizer_groups(self) -> list[dict]:
        """Parameter groups: vectors (norms, biases) and position biases do not decay; the published rules mean norms
        and position biases."""
        members: dict[str, list[nn.Parameter]] = {
            "backbone": [],
            "backbone without decay": [],
            "head": [],
            "head without decay": [],
        }
        for name, parameter in self.named_parameters():
            part = "head" if name.startswith("head.") else "backbone"
            decays = parameter.ndim > 1 and not name.endswith("relative_position_bias_table")
            members[part if decays else f"{part} without decay"].append(parameter)
        return [
            {
                "name": name,
                "params": parameters,
                "lr_scale": 1.0 if name.startswith("head") else float(self.backbone_lr_scale),
                "decay_scale": 0.0 if name.endswith("without decay") else 1.0,
            }
            for name, parameters in members.items()
        ]

    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        return layout_of(state)

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        state = renamed_swin(state)
        own = {name: buffer for name, buffer in self.named_buffers() if name.endswith(INDEX)}
        unsaid = [name for name in own if name.removesuffix(INDEX) + TABLE in state and name not in state]
        return state | {name: own[name] for name in unsaid}

    def resized(
        self, name: str, value: Tensor, shape: Sequence[int], state: Mapping[str, Tensor], clip: ClipSize | None
    ) -> Tensor | None:
        if name.endswith(INDEX):  # follows from the window
            return self.get_buffer(name)
        if not name.endswith(TABLE) or value.ndim != 2 or value.shape[1] != shape[1]:
            return None
        patches, index = state.get("patch_embed.proj.weight"), state.get(name.removesuffix(TABLE) + INDEX)
        still = patches is not None and patches.ndim == 4
        stated = index is not None and index.numel() != self.get_buffer(name.removesuffix(TABLE) + INDEX).numel()
        places = math.isqrt(index.numel()) if index is not None and stated else None
        window = window_of_table(len(value), places=places, like=self.window_size, still=still)
        return None if window is None else resize_table(value, window, self.window_size)


def _as_list(value: int | Sequence[int]) -> int | list[int]:
    return value if isinstance(value, int) else list(value)


# ---------------------------------------------------------------------------------------------------- published layouts
def layout_of(state: Mapping[str, Tensor]) -> str:
    """Origin of a state dict, told by its key names; "" = not known."""
    if "features.0.0.norm1.weight" in state:
        return "torchvision"
    prefix = "backbone." if "backbone.layers.0.blocks.0.norm1.weight" in state else ""
    if f"{prefix}layers.0.blocks.0.norm1.weight" not in state:
        return ""
    patches = state.get(f"{prefix}patch_embed.proj.weight")
    if patches is not None and patches.ndim == 4:
        return "Swin for images"
    return "mmaction2 1.x" if f"{prefix}norm3.weight" in state else "Video Swin / mmaction2 0.x"


_RENAMES = [  # published -> torchvision, in this order
    (r"^backbone\.", lambda match: ""),
    (r"^layers\.(\d)\.blocks\.", lambda match: f"features.{2 * int(match[1])}."),
    (r"^layers\.(\d)\.downsample\.", lambda match: f"features.{2 * int(match[1]) + 1}."),
    (r"\.mlp\.fc1\.", lambda match: ".mlp.0."),
    (r"\.mlp\.fc2\.", lambda match: ".mlp.3."),
    (r"^norm3\.", lambda match: "norm."),
    (r"^cls_head\.fc_cls\.", lambda match: "head."),
]
_FIXED = re.compile(r"^data_preprocessor\.|\.attn_mask$")  # no weights: follow from the config


def renamed_swin(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a state dict of any known layout to torchvision's names; buffers that follow from the sizes alone are
    left out."""
    is_image = layout_of(state) == "Swin for images"
    renamed = {}
    for key, value in state.items():
        if _FIXED.search(key) or (is_image and key.endswith("relative_position_index")):
            continue
        for pattern, new in _RENAMES:
            key = re.sub(pattern, new, key)
        renamed[key] = value
    return renamed


def video_swin_arguments(cfg: CfgNode) -> dict:
    """The arguments of Video Swin from the config, also for models that extend it."""
    swin = cfg.SWIN
    if swin.SIZE not in SIZES:
        raise ModelError(f"SWIN.SIZE '{swin.SIZE}' is not known; allowed: {', '.join(SIZES)}")
    return dict(
        num_classes=cfg.MODEL.NUM_CLASSES,
        size=SIZES[swin.SIZE],
        patch_size=swin.PATCH_SIZE,
        window_size=swin.WINDOW_SIZE,
        drop_path_rate=swin.DROP_PATH_RATE,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        frozen_stages=swin.FROZEN_STAGES,
        backbone_lr_scale=swin.BACKBONE_LR_SCALE,
        recompute_blocks=recompute_blocks(cfg),
    )


@MODELS.register("VideoSwin")
def video_swin(cfg: CfgNode) -> VideoSwin:
    return VideoSwin(**video_swin_arguments(cfg))
