"""A plain vision transformer for video: tubelets of pixels, joint attention over space and time (Arnab et al. 2021,
model 1; the encoder of VideoMAE, Tong et al. 2022).

The names of the modules are timm's.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.layers.convolution import Conv3d
from fragrant.layers.positions import sine_positions
from fragrant.layers.recompute import recompute
from fragrant.layers.tokens import to_tokens
from fragrant.layers.transformer_block import TransformerBlock
from fragrant.layers.tube_mask import TubeMask
from fragrant.models.backbone import Backbone, Masking, ModelError, blocks_to_recompute, recomputed_by_quarter
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.resizing import ClipSize, grid_of_positions, resize_positions

POSITIONS = ("sines", "learned")


class PatchProjection(nn.Module):
    """Embeds tubelets, which do not overlap; what is left over at the far edges is dropped."""

    def __init__(self, channels: int, width: int, size: tuple[int, int, int]):
        super().__init__()
        self.proj = Conv3d(channels, width, kernel_size=size, stride=size)

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, D, T', H', W')"""
        return self.proj(clips)


class VisionTransformer(Backbone):
    """Vision transformer for video: every tubelet attends to every other in every block.

    Args:
        num_classes: K; 0 gives an Identity head.
        patch_size: frames, rows and columns of a tubelet.
        embed_dim, depth, num_heads: width, blocks and heads: 192, 12, 3 (Ti), 384, 12, 6 (S), 768, 12, 12 (B).
        mlp_ratio: hidden width of the MLPs over ``embed_dim``.
        drop_path_rate: probability of skipping a branch of the last block; grows linearly from 0 at the first.
        dropout_rate: rate of the dropout before the head.
        position: "sines" (fixed, as VideoMAE) or "learned".
        grid: tubelets of a training clip along time, height and width; learned positions are resized from it
            (trilinear) for other clips.
        recompute_blocks: how many of the first blocks of each quarter of them keep no activations for the backward
            pass.

    Raises:
        ModelError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        in_channels: int = 3,
        patch_size: Sequence[int] = (2, 16, 16),
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.1,
        dropout_rate: float = 0.0,
        position: str = "sines",
        grid: tuple[int, int, int] = (8, 14, 14),
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
    ):
        super().__init__()
        if embed_dim % num_heads:
            raise ModelError(f"VIT.EMBED_DIM {embed_dim} does not split into VIT.NUM_HEADS {num_heads} heads")
        if position not in POSITIONS:
            raise ModelError(f"VIT.POSITION '{position}' is not known; allowed: {', '.join(POSITIONS)}")
        self.in_channels, self.num_features = in_channels, embed_dim
        frames, rows, columns = patch_size
        self.patch_size = (frames, rows, columns)
        self.grid, self.recompute_blocks = grid, blocks_to_recompute(recompute_blocks)
        self.patch_embed = PatchProjection(in_channels, embed_dim, self.patch_size)
        learned = (
            nn.Parameter(torch.zeros(1, grid[0] * grid[1] * grid[2], embed_dim)) if position == "learned" else None
        )
        self.pos_embed: nn.Parameter | None
        self.register_parameter("pos_embed", learned)
        rates = torch.linspace(0, drop_path_rate, depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(
            TransformerBlock(embed_dim, num_heads=num_heads, mlp_ratio=mlp_ratio, drop_path=rate) for rate in rates
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(embed_dim, num_classes) if num_classes else nn.Identity()
        self.apply(_init)
        if learned is not None:
            nn.init.trunc_normal_(learned, std=0.02)

    def _embedded(self, clips: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Embeds the tubelets of clips: (N, C, T, H, W) -> tokens (N, L, D) with their positions, and their grid."""
        smallest = self.patch_size
        if (
            clips.ndim != 5
            or clips.shape[1] != self.in_channels
            or any(size < least for size, least in zip(clips.shape[2:], smallest, strict=True))
        ):
            raise ModelError(
                f"clips must be (N, {self.in_channels}, T, H, W) of at least {' x '.join(map(str, smallest))} frames, "
                f"rows and columns; got a tensor of shape {tuple(clips.shape)}"
            )
        x = self.patch_embed(clips)  # (N, D, T', H', W')
        grid = (x.shape[2], x.shape[3], x.shape[4])
        tokens = to_tokens(x)
        return tokens + self._positions(grid, tokens.device).to(tokens.dtype), grid

    def _positions(self, grid: tuple[int, int, int], device: torch.device) -> Tensor:
        """Positions of the tubelets of a grid, (L, D) or (1, L, D)"""
        if self.pos_embed is None:
            return sine_positions(grid, self.num_features, device)
        if grid == self.grid:
            return self.pos_embed
        volume = self.pos_embed.transpose(1, 2).unflatten(2, self.grid)  # (1, D, T', H', W') of the training clips
        return to_tokens(F.interpolate(volume, size=grid, mode="trilinear", align_corners=False))

    def _encoded(self, tokens: Tensor) -> Tensor:
        again = recomputed_by_quarter(len(self.blocks), self.recompute_blocks)
        for index, block in enumerate(self.blocks):
            tokens = recompute(block, tokens) if index in again else block(tokens)
        return self.norm(tokens)

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, C, T, H, W) -> (N, D, T', H', W')"""
        tokens, grid = self._embedded(clips)
        return self._encoded(tokens).transpose(1, 2).unflatten(2, grid)

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.head(self.dropout(features.mean(dim=(2, 3, 4))))

    # ----------------------------------------------------------------------------------------------------- pre-training
    @property
    def masking(self) -> Masking:
        frames, rows, columns = self.patch_size
        if rows != columns:
            raise ModelError(f"VIT.PATCH_SIZE {list(self.patch_size)}: tubes are hidden in patches as high as wide")
        return Masking(rows, (frames, rows, columns), self.num_features)

    def forward_masked(self, clips: Tensor, mask: TubeMask, token: Tensor) -> Tensor:
        """Feature map of clips of which tubes are hidden, see ``Backbone``.

        As MAE and VideoMAE do it: the encoder works on the visible tokens alone, at a quarter or a tenth of the cost;
        the token takes the places of the others behind it."""
        tokens, grid = self._embedded(clips)  # (N, L, D)
        n, width = len(tokens), tokens.shape[2]
        starts = torch.arange(0, tokens.shape[1], grid[1] * grid[2], device=tokens.device)  # of every frame
        visible = (mask.visible(*grid[1:]).unsqueeze(1) + starts[:, None]).flatten(1)  # (N, T' * P)
        places = visible.unsqueeze(2).expand(-1, -1, width)  # (N, T' * P, D)
        encoded = self._encoded(tokens.gather(1, places))
        filled = token.to(encoded.dtype).expand(n, tokens.shape[1], width).scatter(1, places, encoded)
        return filled.transpose(1, 2).unflatten(2, grid)  # (N, D, T', H', W')

    def resized(
        self, name: str, value: Tensor, shape: Sequence[int], state: Mapping[str, Tensor], clip: ClipSize | None
    ) -> Tensor | None:
        if name != "pos_embed" or value.ndim != 3 or value.shape[2] != shape[2]:
            return None
        frames, rows, columns = self.patch_size
        like = None if clip is None else (clip.frames // frames, clip.side // rows, clip.side // columns)
        patches = state.get("patch_embed.proj.weight")
        found = grid_of_positions(value.shape[1], like=like, still=patches is not None and patches.ndim == 4)
        return None if found is None else resize_positions(value[:, found[1] :], found[0], self.grid)

    def layer_names(self) -> list[tuple[str, ...]]:
        return [("patch_embed.", "pos_embed"), *((f"blocks.{index}.",) for index in range(len(self.blocks)))]


def _init(module: nn.Module) -> None:
    """Initialises as VideoMAE: Xavier for linear layers, the patch embedding among them."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(cast(Tensor, module.bias))
    elif isinstance(module, nn.Conv3d):
        nn.init.xavier_uniform_(module.weight.flatten(1))  # the view's memory is the weight's
        nn.init.zeros_(cast(Tensor, module.bias))


@MODELS.register("VisionTransformer")
def vision_transformer(cfg: CfgNode) -> VisionTransformer:
    vit, data = cfg.VIT, cfg.DATA
    frames, rows, columns = vit.PATCH_SIZE
    side = data.TRAIN_CROP_SIZE
    return VisionTransformer(
        num_classes=cfg.MODEL.NUM_CLASSES,
        in_channels=data.INPUT_CHANNEL_NUM[0],
        patch_size=vit.PATCH_SIZE,
        embed_dim=vit.EMBED_DIM,
        depth=vit.DEPTH,
        num_heads=vit.NUM_HEADS,
        mlp_ratio=vit.MLP_RATIO,
        drop_path_rate=vit.DROP_PATH_RATE,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        position=vit.POSITION,
        grid=(max(data.NUM_FRAMES // frames, 1), max(side // rows, 1), max(side // columns, 1)),
        recompute_blocks=recompute_blocks(cfg),
    )
