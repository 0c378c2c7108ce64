"""A ResNet block on single frames, with a module inside that sees the frames of a clip together."""

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck


def shift_in_time(x: Tensor, num_frames: int, channels: int = 1) -> Tensor:
    """Shifts channels between frames, (N*T, C, H, W) -> the same shape: the first eighth of the channels comes from the
    next frame, the second from the one before, 0 at the ends.

    Args:
        channels: axis of the channels in x; 3 of (N*T, H, W, C).
    """
    clips = x.unflatten(0, (-1, num_frames))  # (N, T, C, H, W)
    axis = channels + 1
    fold = clips.shape[axis] // 8
    early, late, rest = clips.split([fold, fold, clips.shape[axis] - 2 * fold], axis)
    nothing = torch.zeros_like(early[:, :1])
    return torch.cat(
        [torch.cat([early[:, 1:], nothing], 1), torch.cat([nothing, late[:, :-1]], 1), rest], axis
    ).flatten(0, 1)


class FrameBottleneck(Bottleneck):
    """torchvision's ResNet bottleneck on single frames; its parts, their names and their initial values are
    torchvision's.

    Attributes:
        temporal: a module (N, C, T, H, W) -> the same shape, set from outside, between the first and the second
            convolution; C is ``width``. None: no such module.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.temporal: nn.Module | None = None

    @property
    def width(self) -> int:
        return self.conv1.out_channels

    def seen(self, x: Tensor, num_frames: int) -> Tensor:
        """Input of the first convolution, from the block's input: (N*T, C, H, W) -> the same shape."""
        return x

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """(N*T, C, H, W), T = ``num_frames`` -> (N*T, C', H', W')"""
        y = self.relu(self.bn1(self.conv1(self.seen(x, num_frames))))
        if self.temporal is not None:
            clips = y.unflatten(0, (-1, num_frames)).transpose(1, 2)  # (N, C, T, H, W), a view
            y = self.temporal(clips).transpose(1, 2).flatten(0, 1)  # (N*T, C, H, W)
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ShiftBottleneck(FrameBottleneck):
    """TSM's block (Lin et al. 2019): its first convolution sees an eighth of the channels one frame late, an eighth one
    early."""

    def seen(self, x: Tensor, num_frames: int) -> Tensor:
        return shift_in_time(x, num_frames)
