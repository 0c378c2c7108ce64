"""UniFormerV2 (Li et al., ICCV 2023, arXiv 2211.09552): CLIP's image transformer with local and global UniBlocks.

Every frame goes through the image transformer by itself. Local blocks relate neighbouring frames in each of its layers;
global blocks behind the last few layers let one token of the video read all tokens of all frames.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.layers.convolution import Conv3d
from fragrant.layers.frame_tokens import FrameGrid, resized_positions, split_class_token
from fragrant.layers.global_uniblock import ConvPosition, GlobalUniBlock
from fragrant.layers.local_uniblock import LocalRelation, LocalUniBlock
from fragrant.layers.mlp import QuickGELU
from fragrant.layers.recompute import recompute
from fragrant.layers.tube_mask import TubeMask
from fragrant.models.backbone import Backbone, Masking, ModelError, blocks_to_recompute, recomputed_by_quarter
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.insertions import Inserted, Insertion, insert, run_inserted
from fragrant.models.parts import Parts, parts_of_names
from fragrant.models.resizing import ClipSize
from fragrant.models.uniformer_v2_names import layout_of, renamed_to_ours

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}
TRUNK = ("conv1.", "class_embedding", "positional_embedding", "norm_pre.", "blocks.")  # what FROZEN leaves as it is


class Trunk(NamedTuple):
    """Sizes of an image transformer."""

    resolution: int  # side of the pictures that its positions were learned for
    patch_size: int
    width: int
    layers: int
    heads: int


TRUNKS = {
    "uniformerv2_b16": Trunk(224, 16, 768, 12, 12),
    "uniformerv2_l14": Trunk(224, 14, 1024, 24, 16),
    "uniformerv2_l14_336": Trunk(336, 14, 1024, 24, 16),
}


def places_of(layers: int) -> dict[str, int]:
    """Where modules can be inserted, by name, and how many layers are before it: ``embed1`` behind the embedding,
    ``layer1`` .. behind each layer; ``stage1`` .. ``stage4`` behind each quarter of them."""
    stages = {f"stage{quarter}": quarter * layers // 4 for quarter in (1, 2, 3, 4)}
    return {"embed1": 0, **stages, **{f"layer{layer}": layer for layer in range(1, layers + 1)}}


class UniFormerV2(Backbone):
    """UniFormerV2. Its feature map: see ``forward_features``.

    Args:
        num_classes: K; 0 gives an Identity head.
        trunk: sizes of the image transformer, see ``TRUNKS``.
        global_at: layers, counted from 0, behind which a global block stands; their order has no meaning.
        global_heads: heads of the global blocks.
        mlp_factor: hidden width of the global blocks' MLPs over the width.
        relations: local relations in every layer: 0, 1 or 2, see ``LocalUniBlock``.
        reduction: see ``LocalRelation``.
        temporal_downsample: the embedding sees 3 frames and halves their number, rounding up.
        layer_drop_path_rate, drop_path_rate: probability of skipping a branch of the last layer and of the last global
            block; each grows linearly from 0 at the first. The published code draws it for token positions or for a
            whole batch; here it is drawn for every clip.
        mlp_dropout: rate inside of each global block's MLP, by their order; one number for all.
        dropout_rate: rate of the dropout before the head.
        frozen: the image transformer, local relations too, stays as it is, in eval mode and without kept activations;
            the head sees the video's token alone, without the frames' class tokens (as published).
        activation: "quick_gelu" (OpenAI's CLIP) or "gelu" (LAION's), which no file tells.
        recompute_blocks: how many layers from the beginning of each quarter of them on keep no activations for the
            backward pass; (n,), as published, counts from the first and may be all.
        insertions: modules between the layers, see ``places_of``; they see and change the maps of the patches alone.

    Raises:
        ModelError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        trunk: Trunk = TRUNKS["uniformerv2_b16"],
        global_at: Sequence[int] = (8, 9, 10, 11),
        global_heads: int = 12,
        mlp_factor: float = 4.0,
        relations: int = 2,
        reduction: float = 1.5,
        temporal_downsample: bool = True,
        layer_drop_path_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        mlp_dropout: float | Sequence[float] = 0.5,
        dropout_rate: float = 0.5,
        frozen: bool = False,
        activation: str = "quick_gelu",
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
        insertions: Sequence[Insertion] = (),
    ):
        super().__init__()
        dropouts = self._checked_sizes(trunk, global_at, global_heads, mlp_dropout, activation)
        self.trunk, self.num_features, self.frozen = trunk, trunk.width, frozen
        self.global_at = {layer: number for number, layer in enumerate(sorted(global_at))}  # layer -> global block
        first = (*recompute_blocks, 0, 0, 0) if len(recompute_blocks) == 1 else recompute_blocks
        self.recompute_blocks = blocks_to_recompute(first)
        self._build_embedding(frames=(3, 2) if temporal_downsample else (1, 1))
        self.blocks = nn.ModuleList(
            LocalUniBlock(
                trunk.width,
                num_heads=trunk.heads,
                relations=relations,
                reduction=reduction,
                drop_path=rate,
                activation=ACTIVATIONS[activation],
            )
            for rate in torch.linspace(0, layer_drop_path_rate, trunk.layers, device="cpu").tolist()
        )
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, trunk.width))
        self.dpe = nn.ModuleList(ConvPosition(trunk.width) for _ in global_at)
        rates = torch.linspace(0, drop_path_rate, len(global_at), device="cpu").tolist()
        self.dec = nn.ModuleList(
            GlobalUniBlock(trunk.width, num_heads=global_heads, mlp_ratio=mlp_factor, dropout=dropout, drop_path=rate)
            for dropout, rate in zip(dropouts, rates, strict=True)
        )
        self.balance: nn.Parameter | None
        self.register_parameter("balance", None if frozen else nn.Parameter(torch.zeros(trunk.width)))
        self.norm = nn.LayerNorm(trunk.width)
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(trunk.width, num_classes) if num_classes else nn.Identity()
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not (frozen and name.startswith(TRUNK)))
        self.inserted = self._inserted(insertions)

    def _build_embedding(self, *, frames: tuple[int, int]) -> None:
        """``frames``: seen by a patch, and from one patch to the next."""
        (resolution, patch, width, *_), (seen, step) = self.trunk, frames
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(1 + (resolution // patch) ** 2, width))
        self.conv1 = Conv3d(
            3,
            width,
            kernel_size=(seen, patch, patch),
            stride=(step, patch, patch),
            padding=(seen // 2, 0, 0),
            bias=False,
        )
        self.norm_pre = nn.LayerNorm(width)

    @staticmethod
    def _checked_sizes(
        trunk: Trunk, global_at: Sequence[int], heads: int, mlp_dropout: float | Sequence[float], activation: str
    ) -> list[float]:
        """Checks what belongs together; returns the rate of each global block's dropout."""
        for name, count in (("HEADS", trunk.heads), ("N_HEAD", heads)):
            if trunk.width % count:
                raise ModelError(f"UNIFORMERV2: width {trunk.width} does not split into {name} {count} heads")
        if trunk.resolution < trunk.patch_size:
            raise ModelError(f"UNIFORMERV2: patches of {trunk.patch_size} pixels in pictures of {trunk.resolution}")
        wrong = [layer for layer in global_at if not 0 <= layer < trunk.layers] or len(set(global_at)) < len(global_at)
        if wrong or not global_at:
            raise ModelError(
                f"UNIFORMERV2.RETURN_LIST {list(global_at)} must name layers 0 .. {trunk.layers - 1}, at least one and "
                "each once"
            )
        if activation not in ACTIVATIONS:
            raise ModelError(f"UNIFORMERV2.ACTIVATION '{activation}' is not known; allowed: {', '.join(ACTIVATIONS)}")
        rates = list(mlp_dropout) if isinstance(mlp_dropout, Sequence) else [mlp_dropout] * len(global_at)
        if len(rates) != len(global_at):
            raise ModelError(
                f"UNIFORMERV2.MLP_DROPOUT {rates} needs one value for each of the {len(global_at)} global blocks of "
                "UNIFORMERV2.RETURN_LIST"
            )
        return rates

    def _inserted(self, insertions: Sequence[Insertion]) -> dict[int, Inserted]:
        """Makes insertions parts of the network; returns what stands behind how many layers."""
        places = places_of(self.trunk.layers)
        behind: dict[int, Inserted] = {}
        for place, modules in insert(self, insertions, places).items():
            behind.setdefault(places[place], []).extend(modules)
        return {layers: modules for layers, modules in behind.items() if modules}

    def train(self, mode: bool = True) -> "UniFormerV2":
        super().train(mode)
        if self.frozen:
            self.blocks.eval()  # no drop path, and BatchNorm keeps its statistics
        return self

    # ----------------------------------------------------------------------------------------------------- forward pass
    def _embedded(self, clips: Tensor, mask: TubeMask | None) -> tuple[Tensor, FrameGrid]:
        """Tokens of frames: (N, 3, T, H, W) -> (N, T', 1 + P, C) and where their patches lie."""
        patch = self.trunk.patch_size
        if clips.ndim != 5 or clips.shape[1] != 3 or min(clips.shape[3:]) < patch or not clips.shape[2]:
            raise ModelError(
                f"clips must be (N, 3, T, H, W) with at least one frame of {patch} x {patch} pixels; got a tensor of "
                f"shape {tuple(clips.shape)}"
            )
        volume = self.conv1(clips)  # (N, C, T', h, w)
        rows, columns = volume.shape[3:]
        grid = FrameGrid(rows, columns, None if mask is None else mask.visible(rows, columns))
        positions = resized_positions(self.positional_embedding, rows, columns)  # (1 + h * w, C)
        patches = volume.permute(0, 2, 3, 4, 1).flatten(2, 3)  # (N, T', h * w, C)
        patches = patches + positions[1:].to(patches.dtype)
        if grid.visible is not None:
            patches = patches.gather(2, grid.places(patches))
        first = (self.class_embedding + positions[0]).to(patches.dtype).expand(*patches.shape[:2], 1, -1)
        return self.norm_pre(torch.cat([first, patches], 2)), grid

    def _resting(self, x: Tensor) -> AbstractContextManager:
        """Nothing is kept for the backward pass of a frozen part, unless something before it wants a gradient."""
        return torch.no_grad() if self.frozen and torch.is_grad_enabled() and not x.requires_grad else nullcontext()

    def _encoded(self, clips: Tensor, mask: TubeMask | None = None) -> tuple[Tensor, Tensor, FrameGrid]:
        """What the head sees (N, C), the last layer's patches (N, T', P, C), and where they lie."""
        with self._resting(clips):
            x, grid = self._embedded(clips, mask)
        x = self._changed(0, x, grid)
        video = self.temporal_cls_token[0].expand(x.shape[0], -1)  # (N, C)
        again = self._recomputed()
        for layer, block in enumerate(self.blocks):
            with self._resting(x):
                x = recompute(block, x) if layer in again else block(x)  # (N, T', 1 + P, C)
            x = self._changed(layer + 1, x, grid)
            if layer in self.global_at:
                number = self.global_at[layer]
                classes, patches = split_class_token(x)
                patches = grid.to_patches(self.dpe[number](grid.to_map(patches)))  # for this block alone
                video = self.dec[number](video, torch.cat([classes, patches], 2).flatten(1, 2))
        classes, patches = split_class_token(x)
        if self.balance is not None:
            share = self.balance.sigmoid()
            video = (1 - share) * video + share * classes.mean((1, 2))
        return self.norm(video), patches, grid

    def _changed(self, layers: int, x: Tensor, grid: FrameGrid) -> Tensor:
        """Applies to the patches what is inserted behind so many layers, usually nothing."""
        if layers not in self.inserted:
            return x
        classes, patches = split_class_token(x)
        changed = run_inserted(self, self.inserted[layers], grid.to_map(patches))  # (N, C, T', h, w)
        return torch.cat([classes, grid.to_patches(changed)], 2)

    def _recomputed(self) -> set[int]:
        return recomputed_by_quarter(len(self.blocks), self.recompute_blocks)

    def _map(self, video: Tensor, patches: Tensor, grid: FrameGrid) -> Tensor:
        patches = self.norm(patches)  # of the same size as what the head sees
        return grid.to_map(patches + (video - patches.mean((1, 2)))[:, None, None])

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T, H, W) -> (N, D, T', H', W').

        The normed patches of the last layer, all moved alike so that their mean is what the head sees: that is made of
        the video's token and the frames' class tokens, which lie at no place."""
        return self._map(*self._encoded(clips))

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.head(self.dropout(features.mean((2, 3, 4))))

    def forward(self, clips: Tensor) -> Tensor:
        """Classifies clips, without the map: (N, 3, T, H, W) -> logits (N, K)"""
        return self.head(self.dropout(self._encoded(clips)[0]))

    # ----------------------------------------------------------------------------------------------------- pre-training
    @property
    def masking(self) -> Masking:
        frames, rows, columns = self.conv1.stride
        return Masking(rows, (frames, rows, columns), self.num_features)

    def forward_masked(self, clips: Tensor, mask: TubeMask, token: Tensor) -> Tensor:
        """Feature map of clips of which tubes are hidden, see ``Backbone``.

        As MAE and VideoMAE do it: layers and global blocks work on the visible tokens alone; the token takes the places
        of the others behind them. Convolutions over places see zeros there."""
        video, patches, grid = self._encoded(clips, mask)
        features = self._map(video, patches, grid)
        hidden = mask.on_grid(grid.rows, grid.columns)[:, None, None]  # (N, 1, 1, H', W')
        return torch.where(hidden, token.to(features.dtype).view(1, -1, 1, 1, 1), features)

    # ------------------------------------------------------------------------------------------------ published weights
    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        return layout_of(state)

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of CLIP, UniFormerV2 and mmaction2, see ``uniformer_v2_names``; the embedding of one
        frame stands in the middle of several."""
        return renamed_to_ours(state, frames=self.conv1.kernel_size[0])

    def resized(
        self, name: str, value: Tensor, shape: Sequence[int], state: Mapping[str, Tensor], clip: ClipSize | None
    ) -> Tensor | None:
        if name != "positional_embedding" or value.ndim != 2 or value.shape[1] != shape[1]:
            return None
        side = self.trunk.resolution // self.trunk.patch_size
        try:
            return resized_positions(value, side, side)
        except ValueError as error:
            raise ModelError(str(error)) from None

    def is_new(self, name: str, layout: str) -> bool:
        return layout.startswith("CLIP") and (not name.startswith(TRUNK) or ".local" in name)

    def layer_names(self) -> list[tuple[str, ...]]:
        return [] if self.frozen else self._layers()  # nothing of them learns

    def part_names(self) -> Parts:
        return parts_of_names([name for name, _ in self.named_parameters()], self._layers(), self.head_name)

    def _layers(self) -> list[tuple[str, ...]]:
        embedding = tuple(start for start in TRUNK if start != "blocks.")
        return [embedding, *((f"blocks.{index}.",) for index in range(len(self.blocks)))]

    def timed_parts(self) -> dict[str, list[nn.Module]]:
        local: list[nn.Module] = [part for part in self.blocks.modules() if isinstance(part, LocalRelation)]
        parts = {"local relations": local, "positions": [*self.dpe], "global blocks": [*self.dec]}
        return {name: modules for name, modules in parts.items() if modules}


def uniformer_v2_arguments(cfg: CfgNode) -> dict:
    """The arguments of UniFormerV2 from the config, also for models that extend it.

    Raises:
        ModelError: keys that contradict each other.
    """
    keys = cfg.UNIFORMERV2
    trunk = TRUNKS[keys.BACKBONE]
    own = (keys.INPUT_RESOLUTION, keys.PATCH_SIZE, keys.WIDTH, keys.LAYERS, keys.HEADS)
    trunk = Trunk(*(value or given for value, given in zip(own, trunk, strict=True)))
    if len(keys.RETURN_LIST) != keys.N_LAYERS:
        raise ModelError(
            f"UNIFORMERV2.RETURN_LIST {keys.RETURN_LIST} must name UNIFORMERV2.N_LAYERS {keys.N_LAYERS} layers"
        )
    if keys.N_DIM != trunk.width:
        raise ModelError(f"UNIFORMERV2.N_DIM {keys.N_DIM} must be {trunk.width}, the width of {keys.BACKBONE}")
    if cfg.DATA.INPUT_CHANNEL_NUM[0] != 3:
        raise ModelError(f"DATA.INPUT_CHANNEL_NUM {cfg.DATA.INPUT_CHANNEL_NUM}: UniFormerV2 takes 3 channels")
    return dict(
        num_classes=cfg.MODEL.NUM_CLASSES,
        trunk=trunk,
        global_at=keys.RETURN_LIST,
        global_heads=keys.N_HEAD,
        mlp_factor=keys.MLP_FACTOR,
        relations=0 if keys.NO_LMHRA else 1 + keys.DOUBLE_LMHRA,
        reduction=keys.DW_REDUCTION,
        temporal_downsample=keys.TEMPORAL_DOWNSAMPLE,
        layer_drop_path_rate=keys.BACKBONE_DROP_PATH_RATE,
        drop_path_rate=keys.DROP_PATH_RATE,
        mlp_dropout=keys.MLP_DROPOUT,
        dropout_rate=keys.CLS_DROPOUT,
        frozen=keys.FROZEN,
        activation=keys.ACTIVATION,
        recompute_blocks=recompute_blocks(cfg),
    )


@MODELS.register("UniFormerV2")
def uniformer_v2(cfg: CfgNode) -> UniFormerV2:
    return UniFormerV2(**uniformer_v2_arguments(cfg))
