"""H2CN, the hierarchical hourglass network (MM 2022): TSM with large displacements, between neighbouring frames and
between segments."""

from collections.abc import Sequence
from itertools import chain

import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.layers.hourglass import Hourglass, HourglassGate
from fragrant.models.backbone import ModelError
from fragrant.models.build import MODELS, recompute_blocks
from fragrant.models.parts import Parts
from fragrant.models.tsm import RENAMES, TSM

FRAMES = 5  # of a segment; the middle one is the picture


class H2CN(TSM):
    """H2CN, a TSM on segments of 5 neighbouring frames: a stem that sees all of them, and in every block a gate between
    the segments.

    Sample with DATA.SAMPLING segment, DATA.SEGMENT_LENGTH 5: clips of 5 T frames."""

    renames = [
        (r"\.layer([1-4])_bak\.", r".layer\1."),
        (r"\.mtdin\.conv1\.", ".temporal.reduce."),
        (r"\.mtdin\.bn1\.", ".temporal.norm."),
        (r"\.mtdin\.conv2\.", ".temporal.hourglass.around."),
        (r"\.mtdin\.convt\.", ".temporal.hourglass.over_time."),
        (r"\.mtdin\.conv3\.", ".temporal.expand."),
        (r"\.mtdin\.bn3\.", ".temporal.gate_norm."),
        (r"^base_model\.fhgc([12])\.0\.spaAgg\.", r"short_term.\1.hourglass.around."),
        (r"^base_model\.fhgc([12])\.0\.convt\.", r"short_term.\1.hourglass.over_time."),
        (r"^base_model\.fhgc([12])\.1\.", r"short_term.\1.norm."),
        (r"^base_model\.conv_fhgc\.0\.", "short_term.conv."),
        (r"^base_model\.conv_fhgc\.1\.", "short_term.norm."),
        *RENAMES,
    ]

    def __init__(
        self,
        *,
        num_classes: int,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        dropout_rate: float = 0.5,
        recompute_blocks: Sequence[int] = (0, 0, 0, 0),
    ):
        super().__init__(
            num_classes=num_classes,
            blocks=blocks,
            width=width,
            dropout_rate=dropout_rate,
            recompute_blocks=recompute_blocks,
        )
        net = self.resnet
        # Its ImageNet ancestor has biases here and beside the blocks.
        net.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        for block in chain(*self.stages()):
            block.temporal = HourglassGate(block.width)
            if block.downsample is not None:
                old = block.downsample[0]
                block.downsample[0] = nn.Conv2d(old.in_channels, old.out_channels, 1, stride=old.stride)
        self.short_term = nn.ModuleDict(
            {
                "1": nn.ModuleDict({"hourglass": Hourglass(3, dilation=2, padding=0), "norm": nn.BatchNorm3d(3)}),
                "2": nn.ModuleDict({"hourglass": Hourglass(3, 9, dilation=2, padding=0), "norm": nn.BatchNorm3d(9)}),
                "conv": nn.Conv2d(9, 64, 7, stride=2, padding=3, bias=False),
                "norm": nn.BatchNorm2d(64),
            }
        )

    def motion(self, frames: Tensor) -> Tensor:
        """Motion features of M segments: (M, 3, 5, H, W) -> (M, 64, H / 8, W / 8)"""
        part, step_1, step_2 = self.short_term, self.short_term["1"], self.short_term["2"]
        assert isinstance(step_1, nn.ModuleDict) and isinstance(step_2, nn.ModuleDict)
        x = F.avg_pool3d(frames, (1, 2, 2))  # (M, 3, 5, H / 2, W / 2)
        x = step_1["norm"](step_1["hourglass"](x)).relu()  # (M, 3, 3, ...)
        x = step_2["norm"](step_2["hourglass"](x)).relu()  # (M, 9, 1, ...)
        x = part["norm"](part["conv"](x.squeeze(2))).relu()  # (M, 64, H / 4, W / 4)
        return F.max_pool2d(x, 3, stride=2, padding=1)

    def stem(self, clips: Tensor) -> tuple[Tensor, int]:
        """The first layers on every segment: (N, 3, 5*T, H, W) -> (N*T, 64, H / 4, W / 4), and T"""
        if clips.shape[2] % FRAMES:
            raise ModelError(
                f"H2CN takes clips of a multiple of {FRAMES} frames, the segments; got {clips.shape[2]} frames"
            )
        segments = clips.shape[2] // FRAMES
        frames = clips.unflatten(2, (segments, FRAMES)).transpose(1, 2).flatten(0, 1)  # (N*T, 3, 5, H, W)
        pictures = frames[:, :, FRAMES // 2].unsqueeze(2)  # (N*T, 3, 1, H, W): clips of one frame
        still, _ = super().stem(pictures)
        return 0.5 * still + 0.5 * F.interpolate(self.motion(frames), size=still.shape[2:]), segments

    def part_names(self) -> Parts:
        return {"short_term": ("short_term.",), **super().part_names()}

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: value
            for name, value in super().rename_published(state).items()
            if not name.startswith("base_model.conv1_temp.")
        }


@MODELS.register("H2CN")
def h2cn(cfg: CfgNode) -> H2CN:
    return H2CN(
        num_classes=cfg.MODEL.NUM_CLASSES,
        dropout_rate=cfg.MODEL.DROPOUT_RATE,
        recompute_blocks=recompute_blocks(cfg),
    )
