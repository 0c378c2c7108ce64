"""How published code rounds a resize and the places of test crops, by name (DATA.CROP_ROUNDING)."""

from fragrant.data.transforms.view_transforms import UP, Box, CropRounding
from fragrant.registry import Registry

CROP_ROUNDINGS = Registry("DATA.CROP_ROUNDING", keys=("DATA.CROP_ROUNDING",))  # name -> CropRounding


# ------------------------------------------------------------------------------------------------------------- mmaction
def _nearest_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The long side to the nearest whole number, halves up: 240 x 320 becomes 224 x 299 (Resize of MMAction2)."""
    factor = short_side / min(height, width)
    return int(height * factor + 0.5), int(width * factor + 0.5)


def _centre_down(height: int, width: int, side: int) -> Box:
    """CenterCrop of MMAction2."""
    return Box((height - side) // 2, (width - side) // 2, side, side)


def _halves(height: int, width: int, side: int, where: float) -> Box:
    """ThreeCrop of MMAction2: 0, 1 or 2 halves along the long side; the last crop may miss the border by a pixel."""
    middle, halves = _centre_down(height, width, side), round(2 * where)
    return middle._replace(top=middle.top * halves) if height > width else middle._replace(left=middle.left * halves)


# ------------------------------------------------------------------------------------------------------------------ tsn
def _floor_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The long side rounded down after it is multiplied, not before (torchvision's Resize of old)."""
    if height < width:
        return short_side, int(short_side * width / height)
    return int(short_side * height / width), short_side


def _centre_even(height: int, width: int, side: int) -> Box:
    """CenterCrop of torchvision: halves to the even number."""
    return Box(round((height - side) / 2), round((width - side) / 2), side, side)


def _quarters(height: int, width: int, side: int, where: float) -> Box:
    """The three crops of TSN: 0, 2 or 4 quarters from left to right, also in upright frames; the last one may miss the
    border by three pixels."""
    down, across = (height - side) // 4, (width - side) // 4
    return Box(2 * down, round(4 * where) * across, side, side)


CROP_ROUNDINGS.register("up")(UP)
CROP_ROUNDINGS.register("mmaction")(CropRounding(_nearest_size, _centre_down, _halves))
CROP_ROUNDINGS.register("tsn")(CropRounding(_floor_size, _centre_even, _quarters))
