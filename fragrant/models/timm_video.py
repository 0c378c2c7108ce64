"""Any image network of timm as a video network: it sees single frames, which meet by shifted channels, by DPTAM and
where they are pooled."""

from collections.abc import Sequence
from typing import Any, cast

from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.layers.dptam import DPTAM
from fragrant.layers.frame_bottleneck import shift_in_time
from fragrant.layers.frame_pool import POOLS, frame_pool
from fragrant.layers.recompute import recomputed
from fragrant.models.backbone import Backbone, ModelError, blocks_to_recompute
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.image_blocks import Block, anatomy
from fragrant.models.timm_network import image_network, in_layout_of

TEMPORAL = ("none", "shift", "shift_residual")
STAGES = ("stage1", "stage2", "stage3", "stage4")


class Frames:
    """How many frames a clip has in the forward pass that runs: timm's blocks see images, and hand on nothing else."""

    number = 1


class ShiftBefore:
    """A hook in front of a module: an eighth of the channels that it reads comes from the frame before, an eighth from
    the one behind."""

    def __init__(self, frames: Frames, axis: int):
        self.frames, self.axis = frames, axis

    def __call__(self, module: nn.Module, args: tuple) -> tuple:
        return (shift_in_time(args[0], self.frames.number, self.axis), *args[1:])


class FrameAttention(nn.Module):
    """DPTAM behind a block of an image network, on maps or tokens. It begins as the identity, our choice, so that a
    pre-trained network starts as itself: its scale is twice a sigmoid of 0."""

    def __init__(self, channels: int, axis: int):
        super().__init__()
        self.attention, self.axis = DPTAM(channels), axis
        nn.init.zeros_(self.attention.expand.weight)

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """(N*T, C, H, W), (N*T, H, W, C) or (N*T, L, C) -> the same shape"""
        clips = x.unflatten(0, (-1, num_frames)).movedim(self.axis + 1, 1)  # (N, C, T, H, W) or (N, C, T, L)
        tokens = clips.ndim == 4
        scale = 2 * self.attention.scale(clips.unsqueeze(4) if tokens else clips).to(x.dtype)  # (N, C, T)
        clips = clips * scale.view(*scale.shape, *[1] * (clips.ndim - 3))
        return clips.movedim(1, self.axis + 1).flatten(0, 1)


class AttendBehind:
    """A hook behind a block: its output goes through a ``FrameAttention``."""

    def __init__(self, frames: Frames, attention: FrameAttention):
        self.frames, self.attention = frames, attention

    def __call__(self, module: nn.Module, args: tuple, out: Tensor) -> Tensor:
        return self.attention(out, self.frames.number)


class TimmVideo(Backbone):
    """An image network on every frame of a clip; the vectors of the frames are pooled.

    Its feature map is the network's, frame by frame. A network with a class token has it added to every place of the
    map, so that the mean over the places is the mean of the patches plus the class token: our choice, which keeps both.

    Args:
        network: name in timm.
        temporal: "none"; "shift": before every residual block, for all of its branches (TSM's in-place shift);
            "shift_residual": inside the block, for its layers but not for what goes around them (TSM's own choice).
        pooling: over frames: "mean", "attention" or "transformer", see ``frame_pool``.
        pool_depth: blocks of the transformer.
        dptam_at: stages behind whose blocks DPTAM stands.
        drop_path_rate: of the network's last block.
        dropout_rate: rate of the dropout before the head.
        image_size: side of a training crop, for an error now if the network does not take it; 0 = not known.
        recompute_blocks: how many blocks of each stage are computed again in the backward pass instead of kept.

    Raises:
        ModelError: an unknown name, a network without the blocks that ``temporal`` needs, or one that does not take
            crops of ``image_size``.
    """

    behind_map = ("pool",)

    def __init__(
        self,
        *,
        num_classes: int,
        network: str = "tf_efficientnet_lite0",
        temporal: str = "none",
        pooling: str = "mean",
        pool_depth: int = 1,
        dptam_at: Sequence[str] = (),
        drop_path_rate: float = 0.0,
        dropout_rate: float = 0.0,
        image_size: int = 0,
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
    ):
        super().__init__()
        for name, value, known in (("TEMPORAL", temporal, TEMPORAL), ("POOLING", pooling, POOLS)):
            if value not in known:
                raise ModelError(f"TIMM.{name} '{value}' is not known; allowed: {', '.join(known)}")
        self.recompute_blocks = blocks_to_recompute(recompute_blocks)
        self.net = image_network(network, num_classes=0, drop_path_rate=drop_path_rate)
        self.num_features: int = cast(Any, self.net).num_features
        width = getattr(self.net, "head_hidden_size", None) or self.num_features
        self.pool = frame_pool(pooling, width, depth=pool_depth)
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        if isinstance(self.head, nn.Linear):
            nn.init.normal_(self.head.weight, std=0.001)
            nn.init.zeros_(self.head.bias)
        self.frames = Frames()
        self.channels_last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
        own_size = cast(Any, self.net).pretrained_cfg["input_size"][1:]
        self.found = anatomy(self.net, own_size)
        if image_size and (image_size, image_size) != tuple(own_size):
            anatomy(self.net, (image_size, image_size))
        self.dptam = nn.ModuleList()
        self._meet(network, temporal, dptam_at)

    def _meet(self, network: str, temporal: str, dptam_at: Sequence[str]) -> None:
        """Puts into the network what lets frames meet, and marks the blocks to recompute."""
        if temporal != "none":
            self._shift(network, residual=temporal == "shift_residual")
        if unknown := [stage for stage in dptam_at if stage not in STAGES]:
            raise ModelError(f"TIMM.DPTAM_AT '{unknown[0]}' is not known; allowed: {', '.join(STAGES)}")
        for stage, blocks, count in zip(STAGES, self.found.stages(), self.recompute_blocks, strict=True):
            for block in blocks[:count]:
                recomputed(self.net.get_submodule(block.name))
            for block in blocks if stage in dptam_at else []:
                self.dptam.append(FrameAttention(block.channels, block.axis))
                hook = AttendBehind(self.frames, cast(FrameAttention, self.dptam[-1]))
                self.net.get_submodule(block.name).register_forward_hook(hook)

    def _shift(self, network: str, *, residual: bool) -> None:
        def place(block: Block) -> str:
            return block.entry if residual else block.name

        blocks = [block for block in self.found.blocks if block.around and place(block)]
        if not blocks:
            raise ModelError(f"TIMM.TEMPORAL: {network} has no residual block to shift channels in; allowed: none")
        for block in blocks:
            module = self.net.get_submodule(place(block))
            module.register_forward_pre_hook(ShiftBefore(self.frames, block.axis))

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T, H, W) -> (N, D, T, H', W')"""
        if clips.ndim != 5 or clips.shape[1] != 3:
            raise ModelError(f"clips must be (N, 3, T, H, W); got a tensor of shape {tuple(clips.shape)}")
        self.frames.number = clips.shape[2]
        images = clips.transpose(1, 2).flatten(0, 1)  # (N*T, 3, H, W)
        x = self._as_map(cast(Any, self.net).forward_features(images), (clips.shape[3], clips.shape[4]))
        return x.unflatten(0, (-1, clips.shape[2])).transpose(1, 2)  # (N, D, T, H', W')

    def _as_map(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Output of the image network as a map: (N, D, H', W'), (N, H', W', D) or (N, L, D) -> (N, D, H', W')"""
        if x.ndim == 4:
            return x.movedim(3, 1) if self.channels_last else x
        prefix = getattr(self.net, "num_prefix_tokens", 0)
        places = x[:, prefix:].transpose(1, 2)  # (N, D, L)
        if prefix and getattr(self.net, "has_class_token", True):
            places = places + x[:, :1].transpose(1, 2)
        count, height, width = (int(number) for number in (places.shape[2], *size))  # a trace has tensors here
        rows = max(round((count * height / width) ** 0.5), 1)
        return places.unflatten(2, (rows, -1))

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T, H', W') -> (N, K)"""
        maps = features.transpose(1, 2).flatten(0, 1)  # (N*T, D, H', W')
        vectors = self._frame_vectors(maps).unflatten(0, (-1, features.shape[2]))  # (N, T, D')
        return self.head(self.dropout(self.pool(vectors)))

    def _frame_vectors(self, maps: Tensor) -> Tensor:
        """What the network's own classifier would see of every frame: (N*T, D, H', W') -> (N*T, D')"""
        net = cast(Any, self.net)
        if getattr(net, "num_prefix_tokens", 0):  # its own would take the class token alone
            return getattr(net, "fc_norm", nn.Identity())(maps.mean((2, 3)))
        if self.found.tokens:
            return net.forward_head(maps.flatten(2).transpose(1, 2), pre_logits=True)
        return net.forward_head(maps.movedim(1, 3) if self.channels_last else maps, pre_logits=True)

    def layer_names(self) -> list[tuple[str, ...]]:
        return [tuple(f"net.{name}" for name in names) for names in self.found.layers]

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of timm and of what ``in_layout_of`` knows; the names of this package stay."""
        if any(name.startswith("net.") for name in state):
            return state
        theirs = cast(Any, self.net).pretrained_cfg.get("classifier") or "classifier"
        theirs = (theirs if isinstance(theirs, str) else theirs[0]) + "."
        return {
            f"head.{name.removeprefix(theirs)}" if name.startswith(theirs) else f"net.{name}": value
            for name, value in in_layout_of(self.net, state).items()
        }


@MODELS.register("TimmVideo")
def timm_video(cfg: CfgNode) -> TimmVideo:
    options = cfg.TIMM
    return TimmVideo(
        num_classes=cfg.MODEL.NUM_CLASSES,
        network=options.NETWORK,
        temporal=options.TEMPORAL,
        pooling=options.POOLING,
        pool_depth=options.POOL_DEPTH,
        dptam_at=options.DPTAM_AT,
        drop_path_rate=options.DROP_PATH_RATE,
        image_size=cfg.DATA.TRAIN_CROP_SIZE,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        recompute_blocks=recompute_blocks(cfg),
    )
