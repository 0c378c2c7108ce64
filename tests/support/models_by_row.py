"""A tiny model of every kind, and clips for it."""

import torch

from fragrant.layers.probe import Probe
from fragrant.models.csn import CSN
from fragrant.models.dgam import DGAM
from fragrant.models.dual_stream import DualStream
from fragrant.models.fragrant import Fragrant, FragrantV2
from fragrant.models.h2cn import H2CN
from fragrant.models.mie_net import MieNet
from fragrant.models.probed import Probed
from fragrant.models.timm_video import TimmVideo
from fragrant.models.torchvision_video import S3D, MViTv2, R2Plus1D
from fragrant.models.tsm import TSM
from fragrant.models.uniformer import UniFormer
from fragrant.models.uniformer_v2 import Trunk, UniFormerV2
from fragrant.models.video_swin import Size, VideoSwin
from fragrant.models.vision_transformer import VisionTransformer

CLASSES = 5
# of UniFormer
TINY = dict(num_classes=CLASSES, embed_dim=(8, 16, 32, 32), depth=(1, 2, 1, 2), head_dim=16, drop_path_rate=0.0)
TINY_V2 = dict(  # of UniFormerV2
    num_classes=CLASSES,
    trunk=Trunk(64, 16, 32, 2, 2),
    global_at=(0, 1),
    global_heads=2,
    mlp_dropout=0.0,
    dropout_rate=0.0,
)
TINY_SWIN = Size(8, (1, 2, 1, 1), (1, 2, 2, 4))
DUAL = dict(num_classes=CLASSES, map_frames=2, num_heads=2, dropout=0.0, dropout_rate=0.0)


def trunks(count: int = 1) -> list[UniFormer]:
    """The tiniest networks, without classes."""
    size = dict(embed_dim=(8, 8, 16, 16), depth=(1, 1, 1, 1))
    return [UniFormer(**{**TINY, **size, "num_classes": 0}) for _ in range(count)]


EMBEDS = ("embed1", "embed2", "embed3", "embed4")
MODELS_BY_ROW = {  # test id -> a tiny model from plain arguments; the part before ":" is its name in the registry
    "CSN": lambda: CSN(num_classes=CLASSES, depth=26, frozen_bn=True, dropout_rate=0.0),  # as fine-tuned
    "CSN:ip": lambda: CSN(num_classes=CLASSES, depth=26, bottleneck="ip", frozen_bn=True, dropout_rate=0.0),
    "Uniformer": lambda: UniFormer(**TINY),
    "Uniformer:attentive": lambda: Probed(
        UniFormer(**{**TINY, "num_classes": 0}), Probe("attentive", 32, CLASSES, num_heads=4)
    ),
    "Uniformer:split": lambda: UniFormer(**TINY, split=True),
    "Uniformer:std": lambda: UniFormer(**TINY, std=True),
    "Fragrant": lambda: Fragrant(**TINY),
    "Fragrant:comments": lambda: Fragrant(
        **TINY, fam_at=EMBEDS, ram_at=EMBEDS, first=("ram", "ram", "ram", "fam"), ram=dict(key_dim=4)
    ),
    "MieNet": lambda: MieNet(num_classes=CLASSES, blocks=(1, 1, 1, 2), width=8, dropout_rate=0.0),
    "MieNet:concat": lambda: MieNet(
        num_classes=CLASSES, blocks=(1, 1, 1, 1), width=8, dropout_rate=0.0, fusion="concat"
    ),
    "DGAM": lambda: DGAM(
        UniFormer(**{**TINY, "num_classes": 0}),
        num_classes=CLASSES,
        num_frames=4,
        heads="shared",
        select="soft",
        frozen=("gate",),
    ),
    "DualStream": lambda: DualStream(trunks(), **DUAL),
    "DualStream:two": lambda: DualStream(trunks(2), **DUAL),
    "DualStream:dff": lambda: DualStream(trunks(), **DUAL, fusion="dff"),
    "DualStream:cross": lambda: DualStream(trunks(2), **DUAL, fusion="cross"),
    "DualStream:mean": lambda: DualStream(trunks(), **DUAL, fusion="mean"),
    "VideoSwin": lambda: VideoSwin(
        num_classes=CLASSES, size=TINY_SWIN, window_size=(2, 3, 3), drop_path_rate=0.0, dropout_rate=0.0
    ),
    "VisionTransformer": lambda: VisionTransformer(
        num_classes=CLASSES, embed_dim=24, depth=2, num_heads=2, drop_path_rate=0.0
    ),
    "VisionTransformer:learned": lambda: VisionTransformer(
        num_classes=CLASSES,
        patch_size=(2, 8, 8),
        embed_dim=24,
        depth=2,
        num_heads=2,
        drop_path_rate=0.0,
        position="learned",
        grid=(2, 8, 8),
    ),
    "FragrantV2": lambda: FragrantV2(
        **TINY_V2, fam_at=("embed1",), ram_at=("layer1",), dptam_at=("layer2",), ram=dict(heads=4)
    ),
    "UniFormerV2": lambda: UniFormerV2(**TINY_V2),
    "UniFormerV2:scene": lambda: UniFormerV2(**TINY_V2, relations=0, temporal_downsample=False),
    "TSM": lambda: TSM(num_classes=CLASSES, blocks=(1, 1, 1, 2), width=8, dropout_rate=0.0),
    "H2CN": lambda: H2CN(num_classes=CLASSES, blocks=(1, 1, 1, 1), width=16, dropout_rate=0.0),
    "TimmVideo": lambda: TimmVideo(num_classes=CLASSES, network="test_byobnet", temporal="shift_residual"),
    "TimmVideo:tokens": lambda: TimmVideo(
        num_classes=CLASSES,
        network="test_vit",
        temporal="shift",
        pooling="transformer",
        dptam_at=("stage4",),
    ),
    "TimmVideo:maps": lambda: TimmVideo(
        num_classes=CLASSES, network="test_resnet", temporal="shift", pooling="attention", dptam_at=("stage2", "stage3")
    ),
    "R2Plus1D": lambda: R2Plus1D(num_classes=CLASSES, blocks=(1, 1, 1, 1)),
    "R2Plus1D:ig65m": lambda: R2Plus1D(num_classes=CLASSES, blocks=(1, 1, 1, 1), layout="ig65m"),
    "S3D": lambda: S3D(num_classes=CLASSES, dropout_rate=0.0),
    "MViTv2": lambda: MViTv2(num_classes=CLASSES, drop_path_rate=0.0, dropout_rate=0.0),
}
CLIP, ANOTHER = (3, 4, 64, 64), (3, 7, 96, 70)
CLIPS_OF = {  # for models that do not take every clip
    "DGAM": (CLIP, (3, 4, 96, 70)),
    "DualStream": ((6, 4, 64, 64), (6, 7, 64, 38)),
    "MieNet": ((3, 12, 64, 64), (3, 8, 96, 70)),
    "H2CN": ((3, 10, 64, 64), (3, 15, 96, 70)),
    "S3D": ((3, 8, 64, 64), (3, 17, 96, 70)),
    "TimmVideo": (CLIP, (3, 7, 96, 80)),  # whole patches
}
# of the few values of a small last map: weights that differ by 2**-9 turn the gradients of training as far as bfloat16
UNSTABLE_STATISTICS = {"S3D", "DualStream"}
CLASS_TOKEN = {
    "MViTv2",
    "DualStream",
    "DualStream:two",
    "DualStream:cross",
}  # rows whose head does not see the feature map
MOVED_MAP = {"FragrantV2", "UniFormerV2"}  # whose mean is what the head sees, but for rounding
HAS_RELU = {
    "TimmVideo",
    "MieNet",
    "TSM",
    "H2CN",
    "R2Plus1D",
    "S3D",
}
# ... whose rounding turns some on or off: gradients are compared in float64, or roughly and all together


def name_of(row: str) -> str:
    return row.split(":")[0]


def random_clips(row: str, n: int, *, another: bool = False) -> torch.Tensor:
    shape = CLIPS_OF.get(name_of(row), (CLIP, ANOTHER))[another]
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))
