"""A ResNet block on single frames, with a module inside that sees the frames of a clip together."""

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck


class FrameBottleneck(Bottleneck):
    """torchvision's bottleneck, built as such; its parts, their names and their initial values are torchvision's.

    Attributes:
        temporal: (N, C, T, H, W) -> the same, set from outside, works on the narrow maps between the first and the second
            convolution; C is ``width``. None: nothing.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.temporal: nn.Module | None = None

    @property
    def width(self) -> int:
        return self.conv1.out_channels

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """(N*T, C, H, W), T = ``num_frames`` -> (N*T, C', H', W')"""
        y = self.relu(self.bn1(self.conv1(x)))
        if self.temporal is not None:
            clips = y.unflatten(0, (-1, num_frames)).transpose(1, 2)  # (N, C, T, H, W), a view
            y = self.temporal(clips).transpose(1, 2).flatten(0, 1)  # (N*T, C, H, W)
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)
