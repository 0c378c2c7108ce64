"""CSN, the channel-separated 3D ResNet (Tran et al. 2019, arXiv 1904.02811), on torchvision's VideoResNet.

The names of the modules, and so the keys of the state dict, are those of torchvision and VMZ but for the head ("fc"
there).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.video.resnet import Bottleneck, VideoResNet

from fragrant.layers.convolution import Conv3d
from fragrant.layers.depthwise_conv import DepthwiseConv3d
from fragrant.layers.recompute import recompute
from fragrant.models.backbone import Backbone, ModelError, blocks_to_recompute
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.parts import Parts, stage_parts

# depth -> blocks of the four stages
BLOCKS = {
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
BATCH_NORM_EPS = 1e-3  # as in Caffe2, where the published weights come from; torch's 1e-5 moves logits by up to 0.8 %


class Depthwise(DepthwiseConv3d):
    """The 3 x 3 x 3 convolution of an interaction-reduced block (ir): every channel by itself."""

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int, stride: int = 1, padding: int = 1):
        assert in_channels == out_channels and padding == 1, (in_channels, out_channels, padding)  # VideoResNet's call
        super().__init__(in_channels, kernel_size=3, stride=stride, bias=False)

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        """Stride of the shortcut (T, H, W): time is shortened with space."""
        return stride, stride, stride


class PointwiseDepthwise(nn.Sequential):
    """The convolution of an interaction-preserved block (ip): a 1 x 1 x 1 convolution mixes the channels, then
    ``Depthwise``, without an activation in between."""

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int, stride: int = 1, padding: int = 1):
        super().__init__(
            nn.Conv3d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm3d(out_channels),
            Depthwise(out_channels, out_channels, mid_channels, stride, padding),
        )

    get_downsample_stride = Depthwise.get_downsample_stride


BOTTLENECKS = {"ir": Depthwise, "ip": PointwiseDepthwise}


def stem() -> nn.Sequential:
    """The first layers of CSN: (N, 3, T, H, W) -> (N, 64, T, ceil(H / 4), ceil(W / 4))"""
    return nn.Sequential(
        Conv3d(3, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
        nn.BatchNorm3d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
    )


class CSN(Backbone):
    """CSN, the channel-separated 3D ResNet. Space is halved five times, to 1/32, time three times, to 1/8; all sizes
    are rounded up.

    Args:
        num_classes: K; 0 gives an Identity head.
        depth: 26, 50, 101 or 152.
        bottleneck: "ir" (3 x 3 x 3 convolutions replaced by depthwise ones) or "ip" (a 1 x 1 x 1 convolution before
            them).
        pool2: halve time once more, after the first stage; no published model does.
        frozen_bn: BatchNorm keeps its statistics, scales and shifts, as in all published fine-tuning.
        dropout_rate: rate of the dropout before the head.
        recompute_blocks: how many of a stage's first blocks keep no activations for the backward pass.

    Raises:
        ModelError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        depth: int = 152,
        bottleneck: str = "ir",
        pool2: bool = False,
        frozen_bn: bool = False,
        dropout_rate: float = 0.5,
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
    ):
        super().__init__()
        if depth not in BLOCKS:
            raise ModelError(f"CSN depth {depth} is not known; allowed: {', '.join(map(str, BLOCKS))}")
        if bottleneck not in BOTTLENECKS:
            raise ModelError(f"CSN bottleneck '{bottleneck}' is not known; allowed: {', '.join(BOTTLENECKS)}")
        self.depth, self.bottleneck = depth, bottleneck
        self.frozen_bn = frozen_bn
        self.recompute_blocks = blocks_to_recompute(recompute_blocks)
        net = VideoResNet(Bottleneck, [BOTTLENECKS[bottleneck]] * 4, list(BLOCKS[depth]), stem, max(num_classes, 1))
        self.stem, self.layer1, self.layer2, self.layer3, self.layer4 = (
            net.stem,
            net.layer1,
            net.layer2,
            net.layer3,
            net.layer4,
        )
        self.pool2 = nn.MaxPool3d((2, 1, 1), stride=(2, 1, 1)) if pool2 else nn.Identity()
        self.num_features = net.fc.in_features
        self.dropout = nn.Dropout(dropout_rate)
        # VideoResNet initialises it as published: std 0.01, bias 0
        self.head = net.fc if num_classes else nn.Identity()
        for norm in self._batch_norms():
            norm.eps = BATCH_NORM_EPS
            for parameter in norm.parameters() if frozen_bn else ():
                parameter.requires_grad_(False)
        self.train()  # a fresh module is in training mode: now with frozen norms

    def _batch_norms(self) -> list[_BatchNorm]:
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]

    def train(self, mode: bool = True) -> "CSN":
        super().train(mode)
        if self.frozen_bn:
            for norm in self._batch_norms():
                norm.eval()
        return self

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T, H, W) -> (N, 2048, ceil(T / 8), ceil(H / 32), ceil(W / 32))"""
        if clips.ndim != 5 or clips.shape[1] != 3:
            raise ModelError(f"clips must be (N, 3, T, H, W); got a tensor of shape {tuple(clips.shape)}")
        x = self.stem(clips)  # (N, 64, T, H / 4, W / 4)
        for stage, recomputed in enumerate(self.recompute_blocks, start=1):
            for index, block in enumerate(getattr(self, f"layer{stage}")):
                x = recompute(block, x) if index < recomputed else block(x)  # (N, D, T', H', W') of this stage
            x = self.pool2(x) if stage == 1 else x
        return x

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.head(self.dropout(features.mean(dim=(2, 3, 4))))

    def part_names(self) -> Parts:
        return stage_parts(["stem."], [[f"layer{stage}."] for stage in (1, 2, 3, 4)], {"head": ["head."]})

    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        return layout_of(state)

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of mmaction2, VMZ and torchvision.

        Raises:
            ModelError: the file's network is a CSN of the other kind or another depth: most names would still fit.
        """
        if any(re.search(r"(^|\.)layer1\.0\.conv2\.0\.weight$", key) for key in state) and layout_of(state).startswith(
            "mmaction2"
        ):
            raise ModelError(
                "the weights are of an old mmaction2 (before mid-2021), whose ip-CSN has no BatchNorm between "
                "the two convolutions of a "
                "block: another network; allowed: today's mmaction2 files, VMZ and torchvision files"
            )
        state = renamed_csn(state)
        found, own = network_of(state), f"{self.bottleneck}-CSN-{self.depth}"
        if found and found != own:
            raise ModelError(
                f"the weights are those of {found}, the model is {own}; set CSN.BOTTLENECK and CSN.DEPTH as in the file"
            )
        return state


# ---------------------------------------------------------------------------------------------------- published layouts
def layout_of(state: Mapping[str, Tensor]) -> str:
    """Origin of a state dict, told by its key names: mmaction2, VMZ and torchvision, or this package; "" = not
    known."""
    if "backbone.conv1.conv.weight" in state:
        return "mmaction2 recogniser"
    if "conv1.conv.weight" in state:
        return "mmaction2 backbone"
    if "stem.0.weight" in state:
        return "VMZ / torchvision" if "fc.weight" in state else "fragrant"
    return ""


_RENAMES = [  # mmaction2 -> torchvision, in this order
    (r"^backbone\.", ""),
    (r"^cls_head\.fc_cls\.", "head."),
    (r"^fc\.", "head."),
    (r"^conv1\.conv\.", "stem.0."),
    (r"^conv1\.bn\.", "stem.1."),
    (r"\.(conv1|conv3|downsample)\.conv\.", r".\1.0."),
    (r"\.(conv1|conv3|downsample)\.bn\.", r".\1.1."),
]
_RENAMES_IR = [(r"\.conv2\.0\.conv\.", ".conv2.0."), (r"\.conv2\.0\.bn\.", ".conv2.1.")]
_RENAMES_IP = [
    (r"\.conv2\.0\.conv\.", ".conv2.0.0."),
    (r"\.conv2\.0\.bn\.", ".conv2.0.1."),
    (r"\.conv2\.1\.conv\.", ".conv2.0.2."),
    (r"\.conv2\.1\.bn\.", ".conv2.1."),
]


def renamed_csn(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a state dict of any known layout to the names of this package; mmaction2's preprocessing constants are
    left out."""
    is_ip = any(".conv2.1.conv." in key for key in state)
    renames = [(re.compile(pattern), new) for pattern, new in [*_RENAMES, *(_RENAMES_IP if is_ip else _RENAMES_IR)]]
    result = {}
    for key, value in state.items():
        if key.startswith("data_preprocessor."):
            continue
        for pattern, new in renames:
            key = pattern.sub(new, key)
        result[key] = value
    return result


def network_of(state: Mapping[str, Tensor]) -> str:
    """Name of the network that a renamed state dict is of, by its blocks: ``"ir-CSN-152"``; "" where it is no known
    CSN."""
    firsts = [re.fullmatch(r"layer([1-4])\.\d+\.conv1\.0\.weight", key) for key in state]
    counts = Counter(match[1] for match in firsts if match)
    depths: dict[tuple[int, ...], int] = {blocks: depth for depth, blocks in BLOCKS.items()}
    depth = depths.get(tuple(counts[stage] for stage in "1234"))
    if depth is None or "layer1.0.conv3.0.weight" not in state:
        return ""
    return f"{'ip' if 'layer1.0.conv2.0.0.weight' in state else 'ir'}-CSN-{depth}"


@MODELS.register("CSN")
def csn(cfg: CfgNode) -> CSN:
    return CSN(
        num_classes=cfg.MODEL.NUM_CLASSES,
        depth=cfg.CSN.DEPTH,
        bottleneck=cfg.CSN.BOTTLENECK,
        pool2=cfg.CSN.POOL2,
        frozen_bn=cfg.CSN.FROZEN_BN,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        recompute_blocks=recompute_blocks(cfg),
    )
