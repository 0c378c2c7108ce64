"""TSM, the temporal shift module (Lin et al. 2019): a ResNet on single frames whose blocks look at the frames beside
theirs for free."""

import re
from collections.abc import Sequence

from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torchvision.models.resnet import ResNet

from fragrant.layers.frame_bottleneck import ShiftBottleneck
from fragrant.layers.recompute import recompute
from fragrant.models.backbone import Backbone, ModelError, blocks_to_recompute
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.parts import Parts, resnet_parts

RENAMES = [  # published name -> ours, in this order; a name that is ours already stays
    (r"^(base_model\.fc|new_fc|fc)\.", "head."),
    (r"^(base_model\.)?(?=(conv1|bn1|layer[1-4])\.)", "resnet."),  # torchvision's own files have no prefix
    (r"\.conv1\.net\.", ".conv1."),  # around every shifted convolution
]


class TSM(Backbone):
    """TSM-ResNet-50: 23.9 M parameters with 174 classes; T frames spread over the video (DATA.SAMPLING segment).

    Args:
        blocks: number of blocks of each of the four stages.
        width: width of the bottlenecks in the first stage.
        dropout_rate: rate of the dropout before the head.
        recompute_blocks: how many blocks of each stage are computed again in the backward pass instead of kept.
    """

    renames = RENAMES

    def __init__(
        self,
        *,
        num_classes: int,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        dropout_rate: float = 0.5,
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
    ):
        super().__init__()
        self.resnet = ResNet(ShiftBottleneck, list(blocks), width_per_group=width)
        self.num_features = self.resnet.fc.in_features
        self.resnet.fc = nn.Identity()  # the head is ours
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.recompute_blocks = blocks_to_recompute(recompute_blocks)
        if isinstance(self.head, nn.Linear):
            nn.init.normal_(self.head.weight, std=0.001)
            nn.init.zeros_(self.head.bias)

    def stages(self) -> list[list[ShiftBottleneck]]:
        return [list(getattr(self.resnet, f"layer{stage}")) for stage in (1, 2, 3, 4)]

    def stem(self, clips: Tensor) -> tuple[Tensor, int]:
        """The first layers on every frame: (N, 3, T, H, W) -> (N*T, 64, H / 4, W / 4), and T"""
        net, images = self.resnet, clips.transpose(1, 2).flatten(0, 1)  # (N*T, 3, H, W)
        return net.maxpool(net.relu(net.bn1(net.conv1(images)))), clips.shape[2]

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, 3, T, H, W) -> (N, D, T, H / 32, W / 32)"""
        if clips.ndim != 5 or clips.shape[1] != 3:
            raise ModelError(f"clips must be (N, 3, T, H, W); got a tensor of shape {tuple(clips.shape)}")
        x, num_frames = self.stem(clips)
        for blocks, recomputed in zip(self.stages(), self.recompute_blocks, strict=True):
            for index, block in enumerate(blocks):
                x = recompute(block, x, num_frames) if index < recomputed else block(x, num_frames)
        return x.unflatten(0, (-1, num_frames)).transpose(1, 2)  # (N, D, T, H', W')

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map, the mean over the frames' logits: (N, D, T, H', W') -> (N, K)"""
        return self.head(self.dropout(features.mean((3, 4)).transpose(1, 2))).mean(1)

    def part_names(self) -> Parts:
        return resnet_parts()

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of TSM and of torchvision's ResNets."""
        renamed = {}
        for name, value in state.items():
            for pattern, replacement in self.renames:
                name = re.sub(pattern, replacement, name)
            renamed[name] = value
        return renamed


@MODELS.register("TSM")
def tsm(cfg: CfgNode) -> TSM:
    return TSM(
        num_classes=cfg.MODEL.NUM_CLASSES,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        recompute_blocks=recompute_blocks(cfg),
    )
