"""Two streams: a clip and a second form of it (its enhanced copy, or the clip of an infrared camera) through one
network, fused behind the last map.

After DarkLight (Chen et al., CVPRW 2021: ``concat_bert``), MD-BERT and ActLumos (arXiv 2502.03724: ``dff``), HVCCA-Net
(Imran & Gupta, PAA 28(3), 2025: attention across, in its simplest form, ``cross``)."""

import copy
from collections.abc import Mapping, Sequence

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.config import changed
from fragrant.config.streams import alone_in_test
from fragrant.layers.class_token import ClassTokenPool
from fragrant.layers.cross_attention import CrossFusion
from fragrant.layers.dynamic_fusion import DynamicFusion
from fragrant.layers.stream_dropout import StreamDropout
from fragrant.models.backbone import Backbone, ModelError
from fragrant.models.build import MODELS
from fragrant.models.parts import HEAD, Parts
from fragrant.models.wrapper import Wrapper

FUSIONS = ("concat_bert", "dff", "mean", "cross")
OF_BOTH = ("concat_bert", "cross")  # classify by more than one fused map
STREAMS = 2
HEAD_NAMES = ("head.weight", "head.bias")
NOT_A_TRUNK = {  # why not
    "DualStream": "it has two streams itself",
    "DGAM": "its gate picks the gamma of one clip",
}


class FeatureMaps(nn.Module):
    """A network as far as its last feature map, called as a module, so that hooks and counters see it."""

    def __init__(self, net: Backbone):
        super().__init__()
        self.net = net

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, D, T', H', W')"""
        return self.net.forward_features(clips)


Maps = tuple[Tensor | None, Tensor | None]  # of both streams, (N, D, T', H', W') each; None = no clip has this stream


def pooled_each(maps: Sequence[Tensor | None]) -> Tensor:
    """Means of S maps (N, D, T', H', W') over space and time: -> (N, S, D)"""
    return torch.stack([x.mean((2, 3, 4)) for x in maps if x is not None], 1)


def mean_of(first: Tensor, second: Tensor, present: Tensor | None) -> Tensor:
    """The mean of the maps that a clip has, (N, D, T', H', W') each and together; ``present``: (N, 2), None = both."""
    if present is None:
        return (first + second) / STREAMS
    shares = (present.to(first.dtype) / present.sum(1, keepdim=True))[..., None, None, None, None].unbind(1)
    return shares[0] * first + shares[1] * second


class DualStream(Wrapper):
    """Two streams through one trunk, or one each; their maps are fused, pooled over every frame to a token, and the
    tokens to one vector by a class token.

    A clip has 2C channels: those of the first stream, then those of the second. A shared trunk takes both streams in
    one pass, so that its BatchNorms measure them together, as they later score them.

    A clip may lose a stream, in training by chance (``stream_dropout``), in a test because there is none (``alone``).
    What is lost takes no part in the fusion, and the result does not depend on it: dff and mean give the other's map,
    concat_bert attends to its tokens alone, cross has 0 in its half. The trunk's BatchNorms measure the streams of all
    training clips.

    Args:
        nets: the trunk, or two of the same kind, built without classes.
        map_frames: T', frames of the feature map of a training clip.
        fusion: "concat_bert" = the tokens of both streams side by side | "dff" = maps added up with weights for every
            place | "mean" = their mean | "cross" = attention both ways, see ``CrossFusion``; it has no class token.
        depth, num_heads, dropout: of the blocks over the tokens, see ``ClassTokenPool``; published 1, 8, 0.1.
        dropout_rate: rate of the dropout before the classifier; published 0.8.
        reduction: of dff, see ``DynamicFusion``.
        stream_dropout: share of the training clips that lose a stream, see ``StreamDropout``.
        alone: which stream clips of ``channels`` channels are, 0 or 1; None = there are no such clips.
        channels: C.

    Raises:
        ModelError: arguments that do not fit together.
    """

    behind_map: tuple[str, ...] = ("pool",)

    def __init__(
        self,
        nets: Sequence[Backbone],
        *,
        num_classes: int,
        map_frames: int,
        fusion: str = "concat_bert",
        num_heads: int = 8,
        depth: int = 1,
        dropout: float = 0.1,
        dropout_rate: float = 0.8,
        reduction: int = 4,
        stream_dropout: float = 0.0,
        alone: int | None = None,
        channels: int = 3,
    ):
        super().__init__()
        if fusion not in FUSIONS:
            raise ModelError(f"DUAL.FUSION '{fusion}' is not known; allowed: {', '.join(FUSIONS)}")
        width = self.num_features = nets[0].num_features
        if (depth or fusion == "cross") and width % num_heads:
            raise ModelError(f"DUAL.NUM_HEADS {num_heads} does not divide {width}, the width of the network's last map")
        self.trunk = FeatureMaps(nets[0])
        self.second = FeatureMaps(nets[1]) if len(nets) > 1 else None
        self.fusion, self.alone, self.channels = fusion, alone, channels
        self.drop = StreamDropout(stream_dropout)
        self.fuse: DynamicFusion | CrossFusion | None = None
        if fusion == "dff":
            self.fuse = DynamicFusion(width, streams=STREAMS, reduction=reduction)
        self.pool: ClassTokenPool | None = None
        if fusion == "cross":
            self.behind_map = ()
            self.fuse = CrossFusion(width, num_heads=num_heads, dropout=dropout)
        else:
            streams = STREAMS if fusion == "concat_bert" else 1
            settings = {"num_heads": num_heads, "depth": depth, "dropout": dropout}
            self.pool = ClassTokenPool(width, streams=streams, length=map_frames, **settings)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(dropout_rate)
        outputs = width * STREAMS if fusion == "cross" else width
        self.head = nn.Linear(outputs, num_classes) if num_classes else nn.Identity()
        if isinstance(self.head, nn.Linear):
            nn.init.xavier_uniform_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def maps(self, clips: Tensor) -> Maps:
        """Feature map of each stream: (N, 2C, T, H, W) -> two of (N, D, T', H', W'); of one stream alone,
        (N, C, T, H, W), its map and None.

        Raises:
            ModelError: an odd number of channels.
        """
        if clips.ndim == 5 and self.alone is not None and clips.shape[1] == self.channels:
            only = self.trunk if self.alone == 0 or self.second is None else self.second
            return (only(clips), None) if self.alone == 0 else (None, only(clips))
        if clips.ndim != 5 or clips.shape[1] % STREAMS:
            raise ModelError(
                "DualStream takes clips (N, 2C, T, H, W), the channels of one stream before those of the other; got "
                f"shape {tuple(clips.shape)}"
            )
        first, second = clips.chunk(STREAMS, dim=1)
        if self.second is not None:
            return self.trunk(first), self.second(second)
        both = self.trunk(torch.cat([first, second]))  # (2N, D, T', H', W')
        one, other = both.unflatten(0, (STREAMS, -1)).unbind(0)
        return one, other

    def fused(self, first: Tensor | None, second: Tensor | None, present: Tensor | None = None) -> Tensor:
        """One map from those of both streams, (N, D, T', H', W') each and together; ``present``: (N, 2) bool, which
        streams a clip has, None = all that are there."""
        if first is None or second is None:
            there = second if first is None else first
            assert there is not None
            return there
        if isinstance(self.fuse, DynamicFusion):
            return self.fuse([first, second], present)
        if isinstance(self.fuse, CrossFusion):
            first, second = self.fuse.attended([first, second], present)
        return mean_of(first, second, present)

    def pooled(self, maps: Sequence[Tensor | None], present: Tensor | None = None) -> Tensor:
        """Pools maps (N, D, T', H', W'), a token for each frame of each: -> (N, D); ``present``: see ``fused``."""
        assert self.pool is not None
        there = [at for at, x in enumerate(maps) if x is not None]
        tokens = torch.stack([x.mean((3, 4)).transpose(1, 2) for x in maps if x is not None], 1)  # (N, S, T', D)
        return self.pool(tokens, present, only=there[0] if len(there) < len(maps) else None)

    def classify(self, first: Tensor | None, second: Tensor | None, present: Tensor | None = None) -> Tensor:
        """Logits from the maps of both streams: (N, D, T', H', W') each -> (N, K); ``present``: see ``fused``."""
        if isinstance(self.fuse, CrossFusion):
            vectors = self.fuse([first, second], present)
        elif self.fusion == "concat_bert":
            vectors = self.pooled([first, second], present)
        else:
            vectors = self.pooled([self.fused(first, second, present)])
        return self.head(self.dropout(vectors))

    def forward(self, clips: Tensor) -> Tensor:
        """Classifies clips: (N, 2C, T, H, W) -> logits (N, K)"""
        return self.classify(*self.maps(clips), self.drop(clips))

    def logits_and_pooled(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and the pooled features of both streams (N, 2, D) of clips (N, 2C, T, H, W)."""
        maps = self.maps(clips)
        return self.classify(*maps, self.drop(clips)), pooled_each(maps)

    def logits_and_alone(self, clips: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Logits (N, K) of clips (N, 2C, T, H, W), and those from each stream alone."""
        maps = self.maps(clips)
        only = torch.eye(STREAMS, dtype=torch.bool, device=clips.device)
        one, other = (self.classify(*maps, row.expand(len(clips), -1)) for row in only)
        return self.classify(*maps, self.drop(clips)), (one, other)

    def map_and_pooled(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.maps(clips)
        return self.fused(*maps, self.drop(clips)), pooled_each(maps)

    def forward_features(self, clips: Tensor) -> Tensor:
        """The fused map, with concat_bert the mean of both, with cross that of both as attended: (N, 2C, T, H, W) ->
        (N, D, T', H', W')"""
        return self.fused(*self.maps(clips), self.drop(clips))

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from the fused map: (N, D, T', H', W') -> (N, K)

        Raises:
            ModelError: with concat_bert and cross, which classify by both streams.
        """
        if self.fusion in OF_BOTH:
            how = "a class token over" if self.fusion == "concat_bert" else "the mean of each of"
            raise ModelError(
                f"DualStream with DUAL.FUSION {self.fusion} classifies by {how} both streams, not by one feature map; "
                "call the model, or take dff or mean"
            )
        return self.head(self.dropout(self.pooled([features])))

    @property
    def map_layer(self) -> str:
        return "second" if self.alone == 1 and self.second is not None else "trunk"

    @property
    def recompute_blocks(self) -> Sequence[int]:
        """Of each trunk, see ``blocks_to_recompute``; none where its network recomputes nothing."""
        return getattr(self.trunk.net, "recompute_blocks", (0, 0, 0, 0))

    def part_names(self) -> Parts:
        """The parts of the trunk, of both where there are two; what fuses; the head."""
        nets = list(self.wrapped)
        inner = self.trunk.net.part_names()
        named = {name: tuple(net + start for net in nets for start in inner[name]) for name in inner if name != HEAD}
        return {**named, "fusion": ("fuse.", "pool."), HEAD: ("head.",)}

    @property
    def wrapped(self) -> dict[str, Backbone]:
        second = {} if self.second is None else {"second.net.": self.second.net}
        return {"trunk.net.": self.trunk.net, **second}

    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        return "" if self._is_own(state) else self.trunk.net.layout_of(state)

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of the trunk's network, which fill both streams; its classifier begins this one where
        that stands behind the mean of the maps as well, else it is left over."""
        if self._is_own(state):
            return state
        renamed = self.trunk.net.rename_published(state)
        kept = HEAD_NAMES if isinstance(self.pool, ClassTokenPool) and self.pool.token is None else ()
        trunk = {key: value for key, value in renamed.items() if key not in kept}
        head = {key: renamed[key] for key in kept if key in renamed}
        return {f"{prefix}{key}": value for prefix in self.wrapped for key, value in trunk.items()} | head

    def _is_own(self, state: Mapping[str, Tensor]) -> bool:
        return any(key.startswith("trunk.net.") for key in state)


def frames_of_map(net: Backbone, clip_shape: Sequence[int]) -> int:
    """Frames of a network's feature map for a clip (C, T, H, W); on PyTorch's meta device, where nothing is
    computed."""
    twin = copy.deepcopy(net).to("meta").eval()
    with torch.no_grad():
        return twin.forward_features(torch.zeros(1, *clip_shape, device="meta")).shape[2]


@MODELS.register("DualStream")
def dual_stream(cfg: CfgNode) -> DualStream:
    options, data = cfg.DUAL, cfg.DATA
    if why := NOT_A_TRUNK.get(options.BACKBONE):
        raise ModelError(f"DUAL.BACKBONE {options.BACKBONE}: {why}; name another network")
    own = changed(cfg, {"MODEL.NUM_CLASSES": 0, "MODEL.MODEL_NAME": options.BACKBONE})
    nets = [MODELS.get(options.BACKBONE, key="DUAL.BACKBONE")(own) for _ in range(1 if options.SHARED else STREAMS)]
    side = data.TRAIN_CROP_SIZE
    return DualStream(
        nets,
        num_classes=cfg.MODEL.NUM_CLASSES,
        map_frames=frames_of_map(nets[0], (data.INPUT_CHANNEL_NUM[0], data.NUM_FRAMES, side, side)),
        fusion=options.FUSION,
        num_heads=options.NUM_HEADS,
        depth=options.DEPTH,
        dropout=options.DROPOUT,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        reduction=options.REDUCTION,
        stream_dropout=options.MODALITY_DROPOUT,
        alone=alone_in_test(cfg),
        channels=data.INPUT_CHANNEL_NUM[0],
    )
