"""UniFormer (Li et al. 2022, arXiv 2201.04676): two stages of convolution blocks, then two of attention blocks.

The names of the modules, and so the keys of the state dict, are those of the published checkpoints.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.layers.attention_block import AttentionBlock
from fragrant.layers.conv_block import ConvBlock
from fragrant.layers.motion_input import motion_channels
from fragrant.layers.patch_embed import PatchEmbed
from fragrant.layers.recompute import recompute
from fragrant.layers.split_attention_block import SplitAttentionBlock
from fragrant.layers.tube_mask import TubeMask
from fragrant.models.backbone import Backbone, Masking, ModelError
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.insertions import Insertion, insert, run_inserted
from fragrant.models.parts import Parts, stage_parts

STAGES = (1, 2, 3, 4)
PLACES = tuple(f"{where}{stage}" for stage in STAGES for where in ("embed", "stage"))  # in the order a clip meets them


def init_linear(module: nn.Module) -> None:
    """Initialises linear layers as published: normal with std 0.02 (cut at +-2, so hardly), bias 0. Convolutions and
    norms keep PyTorch's defaults."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_time_attention(module: nn.Module) -> None:
    """Initialises the attention over time as published: it adds exactly 0 at first, but its values already get a
    gradient (proj is all ones)."""
    if isinstance(module, SplitAttentionBlock):
        for parameter in module.t_attn.parameters():
            nn.init.zeros_(parameter)
        nn.init.ones_(module.t_attn.proj.weight)


def per_stage(name: str, values: float | Sequence) -> tuple:
    """Expands an argument to one value for every stage: four are given, or one for all."""
    values = tuple(values) if isinstance(values, Sequence) else (values,) * len(STAGES)
    if len(values) != len(STAGES):
        raise ModelError(
            f"{name} needs one value for each of the {len(STAGES)} stages; got {len(values)}: {list(values)}"
        )
    return values


def num_heads_of(dim: int, head_dim: int) -> int:
    heads = dim // head_dim
    if heads < 1 or dim % heads:
        raise ModelError(
            f"embed_dim {dim} does not split into whole heads of width head_dim {head_dim}; "
            "embed_dim must be at least head_dim and divisible by embed_dim // head_dim in stages 3 and 4"
        )
    return heads


class UniFormer(Backbone):
    """UniFormer for video. Time is halved once, in the first patch embedding; space four times, to 1/32.

    Args:
        num_classes: K; 0 gives an Identity head.
        embed_dim: width of each stage.
        depth: blocks of each stage.
        head_dim: width of an attention head; a stage has ``embed_dim // head_dim`` heads.
        mlp_ratio: hidden width of the MLPs over the stage's width; one number, or one per stage.
        qk_scale: factor of the attention logits; None means 1 / sqrt(head width).
        head_dropout_rate: rate of the dropout before the head.
        drop_path_rate: probability of skipping a branch of the last block; grows linearly from 0 at the first.
        split: attention first over time, then over space, instead of both at once.
        std: patch embeddings 2-4 see three frames instead of one. They do not shorten time, in spite of the published
            comment.
        recompute_blocks: how many of a stage's first blocks keep no activations for the backward pass.
        insertions: modules between the stages, applied at each place in the order given.
        motion_input: brightness and its change over time take the place of the three colours, see ``motion_channels``.

    Raises:
        ModelError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        in_channels: int = 3,
        embed_dim: Sequence[int] = (64, 128, 320, 512),
        depth: Sequence[int] = (3, 4, 8, 3),
        head_dim: int = 64,
        mlp_ratio: float | Sequence[float] = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        head_dropout_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        split: bool = False,
        std: bool = False,
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
        insertions: Sequence[Insertion] = (),
        motion_input: bool = False,
    ):
        super().__init__()
        self.motion_input = motion_input
        dims, depths, ratios = (
            per_stage("embed_dim", embed_dim),
            per_stage("depth", depth),
            per_stage("mlp_ratio", mlp_ratio),
        )
        if motion_input and in_channels != 3:
            raise ModelError(f"motion takes the place of 3 channels, got {in_channels}")
        self.in_channels = in_channels
        self.recompute_blocks = per_stage("recompute_blocks", recompute_blocks)
        self.patch_embed1 = PatchEmbed(in_channels, dims[0], patch_size=4, time_kernel=3, time_stride=2)
        for stage in STAGES[1:]:
            embed = PatchEmbed(dims[stage - 2], dims[stage - 1], patch_size=2, time_kernel=3 if std else 1)
            self.add_module(f"patch_embed{stage}", embed)
        self.pos_drop = nn.Dropout(dropout_rate)
        drop_path_rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").split(depths)
        for stage, dim, ratio, rates in zip(STAGES, dims, ratios, drop_path_rates, strict=True):
            block: type[nn.Module] = ConvBlock
            options: dict[str, Any] = dict(mlp_ratio=ratio, dropout=dropout_rate)
            if stage > 2:
                block = SplitAttentionBlock if split else AttentionBlock
                options |= dict(num_heads=num_heads_of(dim, head_dim), qkv_bias=qkv_bias, qk_scale=qk_scale)
                options |= dict(attention_dropout=attention_dropout_rate)
            self.add_module(
                f"blocks{stage}", nn.ModuleList(block(dim, drop_path=rate, **options) for rate in rates.tolist())
            )
        self.num_features = dims[-1]
        self.norm = nn.BatchNorm3d(self.num_features)
        self.head_dropout_rate = head_dropout_rate
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.apply(init_linear)
        self.apply(init_time_attention)
        self.inserted = insert(self, insertions, PLACES)

    def _at(self, place: str, x: Tensor) -> Tensor:
        """Applies the modules that are inserted at this place, usually none: (N, C, T, H, W) -> the same shape."""
        return run_inserted(self, self.inserted[place], x)

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, C, T, H, W) -> (N, D, ceil(T / 2), H // 32, W // 32)"""
        return self._staged(self.patch_embed1(self._checked(clips)))

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        pooled = F.dropout(features.mean(dim=(2, 3, 4)), self.head_dropout_rate, self.training)
        return self.head(pooled)

    @property
    def masking(self) -> Masking:
        frames, rows, columns = self.patch_embed1.proj.stride
        return Masking(rows, (frames, 8 * rows, 8 * columns), self.patch_embed1.proj.out_channels)

    def forward_masked(self, clips: Tensor, mask: TubeMask, token: Tensor) -> Tensor:
        """Feature map of clips of which tubes are hidden, see ``Backbone``.

        In SimMIM's manner (Xie et al. 2022): the token takes the place of hidden patches behind the first patch
        embedding, whose filters do not overlap in space and reach over time within a tube alone. Everything behind it,
        convolutions of 5 x 5 and BatchNorms too, sees the token where something is hidden."""
        x = self.patch_embed1(self._checked(clips))  # (N, D, T', H / 4, W / 4)
        hidden = mask.on_grid(*x.shape[3:])[:, None, None]
        return self._staged(torch.where(hidden, token.to(x.dtype).view(1, -1, 1, 1, 1), x))

    @property
    def detail_layer(self) -> str:
        last = max(int(name) for name, _ in self.get_submodule("blocks2").named_children())
        return f"blocks2.{last}"

    def layer_names(self) -> list[tuple[str, ...]]:
        layers: list[tuple[str, ...]] = [("patch_embed1.",)]
        for stage in STAGES:
            layers += [(f"blocks{stage}.{index}.",) for index in range(len(getattr(self, f"blocks{stage}")))]
            if stage < STAGES[-1]:  # the next patch embedding belongs to the last block before it, as in SimMIM
                layers[-1] += (f"patch_embed{stage + 1}.",)
        return layers

    def part_names(self) -> Parts:
        stages: list[list[str]] = [[f"patch_embed{stage}.", f"blocks{stage}."] for stage in STAGES]
        stages[0].remove("patch_embed1.")
        inserted = {name: [f"{name}."] for chain in self.inserted.values() for name, _ in chain}
        return stage_parts(["patch_embed1.", "pos_drop."], stages, {**inserted, "norm": ["norm."], "head": ["head."]})

    def _staged(self, x: Tensor) -> Tensor:
        """What follows the first patch embedding: (N, D, T', H / 4, W / 4) -> (N, D, T', H / 32, W / 32)"""
        for stage in STAGES:
            x = x if stage == 1 else getattr(self, f"patch_embed{stage}")(x)  # (N, D, T', H', W') of this stage
            x = self._at(f"embed{stage}", x)
            if stage == 1:
                x = self.pos_drop(x)
            for index, block in enumerate(getattr(self, f"blocks{stage}")):
                x = recompute(block, x) if index < self.recompute_blocks[stage - 1] else block(x)
            x = self._at(f"stage{stage}", x)
        return self.norm(x)

    def _checked(self, clips: Tensor) -> Tensor:
        if clips.ndim != 5 or clips.shape[1] != self.in_channels or min(clips.shape[3:]) < 32:
            raise ModelError(
                f"clips must be (N, {self.in_channels}, T, H, W) with at least 32 x 32 pixels; got a tensor of "
                f"shape {tuple(clips.shape)}"
            )
        return motion_channels(clips) if self.motion_input else clips


def uniformer_small(**options) -> UniFormer:
    """UniFormer-S: 21.4 M parameters, 41.8 GMACs at 16 x 224 x 224. Takes the other arguments of ``UniFormer``."""
    return UniFormer(depth=(3, 4, 8, 3), **options)


def uniformer_base(**options) -> UniFormer:
    """UniFormer-B: 49.8 M parameters, 96.7 GMACs at 16 x 224 x 224. Takes the other arguments of ``UniFormer``."""
    return UniFormer(depth=(5, 8, 20, 7), **options)


def uniformer_arguments(cfg: CfgNode) -> dict:
    """The arguments of UniFormer from the config, also for models that extend it."""
    if cfg.UNIFORMER.REPRESENTATION_SIZE:
        raise ModelError(
            f"UNIFORMER.REPRESENTATION_SIZE {cfg.UNIFORMER.REPRESENTATION_SIZE} is not supported: "
            "the published model cannot be built with a representation layer either; allowed: None"
        )
    return dict(
        num_classes=cfg.MODEL.NUM_CLASSES,
        in_channels=cfg.DATA.INPUT_CHANNEL_NUM[0],
        embed_dim=cfg.UNIFORMER.EMBED_DIM,
        depth=cfg.UNIFORMER.DEPTH,
        head_dim=cfg.UNIFORMER.HEAD_DIM,
        mlp_ratio=cfg.UNIFORMER.MLP_RATIO,
        qkv_bias=cfg.UNIFORMER.QKV_BIAS,
        qk_scale=cfg.UNIFORMER.QKV_SCALE,
        dropout_rate=cfg.UNIFORMER.DROPOUT_RATE,
        attention_dropout_rate=cfg.UNIFORMER.ATTENTION_DROPOUT_RATE,
        head_dropout_rate=cfg.UNIFORMER.HEAD_DROPOUT_RATE,
        drop_path_rate=cfg.UNIFORMER.DROP_DEPTH_RATE,
        split=cfg.UNIFORMER.SPLIT,
        std=cfg.UNIFORMER.STD,
        motion_input=cfg.UNIFORMER.MOTION_INPUT,
        recompute_blocks=recompute_blocks(cfg),
    )


@MODELS.register("Uniformer")
def uniformer(cfg: CfgNode) -> UniFormer:
    return UniFormer(**uniformer_arguments(cfg))
