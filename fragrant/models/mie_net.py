"""MIE-Net, motion information enhancement: motion maps (PA) fused with the picture (AFM), and DPTAM in every block of a
ResNet.

For fine-grained sport actions (SLJD, Diving48) and Something-Something V2. A clip is T segments of L neighbouring
frames; every segment gives one image of its first frame and its motion maps, and the ResNet sees the T images, which
meet in DPTAM alone. The published code does not run as it is; what this computes is what it computes once repaired."""

import re
from collections.abc import Sequence
from itertools import chain

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torchvision.models.resnet import ResNet

from fragrant.layers.afm import AFM
from fragrant.layers.dptam import DPTAM
from fragrant.layers.frame_bottleneck import FrameBottleneck
from fragrant.layers.pa import PA
from fragrant.layers.recompute import recompute
from fragrant.models.backbone import Backbone, ModelError, blocks_to_recompute
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.parts import Parts, resnet_parts

FUSIONS = ("afm", "concat", "none")
CONSENSUS = {"avg": lambda logits: logits.mean(1), "max": lambda logits: logits.amax(1)}  # (N, T, K) -> (N, K)
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # of each stage, by the depth of the ResNet

UNUSED = re.compile(r"PA\.conv[123]\.|.*\.tlam\.conv_mask\.")  # in published files, but not in any forward pass
RENAMES = [  # published name -> ours, in this order; a name that is ours already stays
    (r"^w$", "afm.w"),
    (r"^PA\.shallow_conv\.", "pa.conv."),
    (r"^(base_model\.fc|new_fc|fc)\.", "head."),  # with dropout 0 the published head is called base_model.fc
    (r"^(base_model\.)?(?=(conv1|bn1|layer[1-4])\.)", "resnet."),  # torchvision's own files have no prefix
    (r"\.net\.", "."),  # around a whole block in MIE-Net and TAM, around a convolution in TSM
    (r"\.tlam\.p1_conv1\.", ".temporal.mix."),
    (r"\.tlam\.dptam\.0\.", ".temporal.reduce."),
    (r"\.tlam\.dptam\.1\.", ".temporal.norm."),
    (r"\.tlam\.dptam\.3\.", ".temporal.expand."),
]


def rename(key: str) -> str:
    """Renames a key of a published state dict to the name in this model."""
    for pattern, replacement in RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def spread_over_channels(filters: Tensor, channels: int) -> Tensor:
    """Spreads the filters of an RGB model over more input channels: (O, 3, k, k) -> (O, channels, k, k), the mean over
    the colours, as published not rescaled."""
    return filters.mean(1, keepdim=True).repeat(1, channels, 1, 1)


class MieNet(Backbone):
    """MIE-Net and its relatives: AFM only (``dptam=False``), DPTAM behind plain concatenation (``fusion="concat"``),
    RGB + DPTAM, TSN.

    Args:
        frames_per_segment: L. A clip is a whole number of segments, T = frames / L; train and test with the same number
            of segments.
        fusion: "afm", "concat" (picture and motion maps side by side, as PAN-Lite), "none" (the first frame of a
            segment alone).
        dptam: whether every block has DPTAM.
        blocks: blocks of each of the ResNet's four stages.
        width: width of the bottlenecks in the first stage; the published nets have 64.
        dropout_rate: rate of the dropout before the head.
        consensus: "avg" or "max" of the segments' logits. The published nets take the average.
        partial_bn: the ResNet's BatchNorms except the first keep their statistics, scales and shifts. DPTAM's always
            learn.
        train_mix: see ``AFM``. pa_init: see ``PA``.
        fast_head: the head learns at 5 (bias: 10) times the rate, unless its weights come from the same data set.
        recompute_blocks: how many blocks of each stage are computed again in the backward pass instead of kept.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        frames_per_segment: int = 4,
        fusion: str = "afm",
        dptam: bool = True,
        blocks: Sequence[int] = BLOCKS[50],
        width: int = 64,
        dropout_rate: float = 0.5,
        consensus: str = "avg",
        partial_bn: bool = False,
        train_mix: bool = True,
        pa_init: str = "default",
        fast_head: bool = True,
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
    ):
        super().__init__()
        for name, value, known in (("fusion", fusion, FUSIONS), ("consensus", consensus, tuple(CONSENSUS))):
            if value not in known:
                raise ModelError(f"MieNet {name} '{value}' is not known; known: {', '.join(known)}")
        if fusion == "afm" and frames_per_segment != 4:
            raise ModelError(
                "MieNet fusion 'afm' needs 4 frames per segment, for one motion map per colour; got "
                f"{frames_per_segment}"
            )
        self.frames_per_segment, self.consensus = frames_per_segment, consensus
        self.fast_head, self.recompute_blocks = fast_head, blocks_to_recompute(recompute_blocks)
        self.pa = None if fusion == "none" else PA(frames_per_segment, init=pa_init)
        self.afm = AFM(train_mix=train_mix) if fusion == "afm" else None
        self.resnet = ResNet(FrameBottleneck, list(blocks), width_per_group=width)
        self.num_features = self.resnet.fc.in_features
        self.resnet.fc = nn.Identity()  # the head is ours: one name for every rate of dropout
        if self.pa:
            self._widen_first_conv(3 + frames_per_segment - 1)
        if dptam:
            for block in chain(*self.stages()):
                block.temporal = DPTAM(block.width)
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        if isinstance(self.head, nn.Linear):
            nn.init.normal_(self.head.weight, std=0.001)
            nn.init.zeros_(self.head.bias)
        self.frozen_norms = self._freeze_norms() if partial_bn else []

    def stages(self) -> list[list[FrameBottleneck]]:
        """The ResNet's blocks, stage by stage."""
        return [list(getattr(self.resnet, f"layer{stage}")) for stage in (1, 2, 3, 4)]

    def _widen_first_conv(self, channels: int) -> None:
        old = self.resnet.conv1
        self.resnet.conv1 = nn.Conv2d(channels, old.out_channels, 7, stride=2, padding=3, bias=False)
        self.resnet.conv1.weight.data = spread_over_channels(old.weight.data, channels)

    def _freeze_norms(self) -> list[nn.BatchNorm2d]:
        norms = [module for module in self.resnet.modules() if isinstance(module, nn.BatchNorm2d)][1:]
        for norm in norms:
            norm.requires_grad_(False)
        return norms

    def train(self, mode: bool = True) -> "MieNet":
        super().train(mode)
        for norm in self.frozen_norms:
            norm.eval()
        return self

    # ----------------------------------------------------------------------------------------------------- forward pass
    def images(self, clips: Tensor) -> Tensor:
        """The ResNet's input image of every segment: (N, 3, T*L, H, W) -> (N*T, C, H, W), C = 3 or 3 + L - 1"""
        pictures = clips[:, :, :: self.frames_per_segment].transpose(1, 2).flatten(0, 1)  # (N*T, 3, H, W)
        if self.pa is None:
            return pictures
        maps = self.pa(clips)  # (N*T, L-1, H, W)
        return self.afm(pictures, maps) if self.afm is not None else torch.cat([pictures, maps], 1)

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T*L, H, W) -> (N, D, T, H / 32, W / 32)"""
        segments = self._checked(clips).shape[2] // self.frames_per_segment
        net = self.resnet
        x = net.maxpool(net.relu(net.bn1(net.conv1(self.images(clips)))))  # (N*T, 64, H / 4, W / 4)
        for blocks, recomputed in zip(self.stages(), self.recompute_blocks, strict=True):
            for index, block in enumerate(blocks):
                x = recompute(block, x, segments) if index < recomputed else block(x, segments)
        return x.unflatten(0, (-1, segments)).transpose(1, 2)  # (N, D, T, H', W')

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map, the consensus over the logits of the segments: (N, D, T, H', W') -> (N, K)"""
        pooled = features.mean((3, 4)).transpose(1, 2)  # (N, T, D)
        return CONSENSUS[self.consensus](self.head(self.dropout(pooled)))

    def _checked(self, clips: Tensor) -> Tensor:
        frames = self.frames_per_segment
        if clips.ndim != 5 or clips.shape[1] != 3 or not clips.shape[2] or clips.shape[2] % frames:
            wanted = f"(N, 3, T, H, W) with T a multiple of the {frames} frames of a segment"
            raise ModelError(f"clips must be {wanted}; got a tensor of shape {tuple(clips.shape)}")
        return clips

    def part_names(self) -> Parts:
        return {"motion": ("pa.", "afm."), **resnet_parts()}

    # -------------------------------------------------------------------------------- published weights, learning rates
    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of MIE-Net, TSN, TSM, TAM and torchvision; tensors that the model does not use are
        left out."""
        ours = {rename(key): value for key, value in state.items() if not UNUSED.match(key)}
        conv, channels = ours.get("resnet.conv1.weight"), self.resnet.conv1.in_channels
        if conv is not None and conv.shape[1] == 3 != channels:
            ours["resnet.conv1.weight"] = spread_over_channels(conv, channels)
        if self.afm is None:
            ours.pop("afm.w", None)  # every published net has it, used or not
        return ours

    def optimizer_groups(self) -> list[dict]:
        """The published parameter groups: the learning rate and the weight decay of a group over those of the run.

        The new convolution of PA learns faster, the widened first convolution of the ResNet does not: as published.
        What stands in no published group is the mix of AFM, which the published code forgets; here it learns at the
        rate of the run, without decay.

        Raises:
            ModelError: a module with parameters that no rule knows.
        """
        scales = {  # name -> (of the rate, of the decay)
            "first_conv_weight": (5 if self.pa else 1, 1),
            "first_conv_bias": (10 if self.pa else 2, 0),
            "normal_weight": (1, 1),
            "normal_bias": (2, 0),
            "BN scale/shift": (1, 0),
            "lr5_weight": (5, 1),
            "lr10_bias": (10, 0),
            "afm": (1, 0),
        }
        members: dict[str, list[nn.Parameter]] = {name: [] for name in scales}
        for module in self.modules():
            for name, parameter in module.named_parameters(recurse=False):
                members[self._group_of(module, name)].append(parameter)
        return [
            {"name": name, "params": members[name], "lr_scale": float(lr), "decay_scale": float(decay)}
            for name, (lr, decay) in scales.items()
        ]

    def _group_of(self, module: nn.Module, name: str) -> str:
        if module is (self.pa.conv if self.pa else self.resnet.conv1):
            return f"first_conv_{name}"
        if module is self.head and self.fast_head:
            return {"weight": "lr5_weight", "bias": "lr10_bias"}[name]
        if module is self.head or isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            return f"normal_{name}"
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            return "BN scale/shift"
        if module is self.afm:
            return "afm"
        raise ModelError(f"MieNet has no learning rate for the parameter '{name}' of a {type(module).__name__}")

    def timed_parts(self) -> dict[str, list[nn.Module]]:
        parts: dict[str, list[nn.Module | None]] = {
            "PA": [self.pa],
            "AFM": [self.afm],
            "DPTAM": [block.temporal for block in chain(*self.stages())],
        }
        return {
            name: present
            for name, modules in parts.items()
            if (present := [module for module in modules if module is not None])
        }


@MODELS.register("MieNet")
def mie_net(cfg: CfgNode) -> MieNet:
    return MieNet(
        num_classes=cfg.MODEL.NUM_CLASSES,
        frames_per_segment=cfg.MIE.FRAMES_PER_SEGMENT,
        fusion=cfg.MIE.FUSION,
        dptam=cfg.MIE.DPTAM,
        blocks=BLOCKS[cfg.MIE.DEPTH],
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        consensus=cfg.MIE.CONSENSUS,
        partial_bn=cfg.MIE.PARTIAL_BN,
        train_mix=not cfg.MIE.FREEZE_MIX,
        pa_init=cfg.MIE.PA_INIT,
        fast_head=cfg.MIE.FAST_HEAD,
        recompute_blocks=recompute_blocks(cfg),
    )
