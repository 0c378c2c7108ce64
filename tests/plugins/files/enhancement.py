"""An enhancement: twice as bright."""

from torch import Tensor

from fragrant.data.transforms import ENHANCEMENTS


@ENHANCEMENTS.register("twice")
def twice(frames: Tensor) -> Tensor:
    """(T, H, W, 3) uint8 -> the same shape."""
    return frames.clamp(max=127) * 2
