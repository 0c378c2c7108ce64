"""RandAugment (Cubuk et al. 2020) of clips in timm's notation: a few random operations, the same for all frames."""

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from fragrant.data.transforms import colors as colors
from fragrant.data.transforms.warp import rotate, shear_x, shear_y, translate, warp
from fragrant.errors import UserError

HIGHEST = 10  # magnitudes are 0..10
USED = 0.5  # probability that an operation that was drawn is used


# -------------------------------------------------------------------- magnitude (0..1 of the highest), sign -> argument
def _signed(largest: float) -> Callable:
    return lambda share, sign: share * largest * sign


def _rising(share: float, sign: int) -> float:
    """Blend factor of the rising operations, around 1, which changes nothing: more magnitude is more change."""
    return 1 + share * 0.9 * sign


def _plain(share: float, sign: int) -> float:
    """Blend factor of the older operations: from nearly nothing to nearly twice, half of the magnitude changes
    nothing."""
    return share * 1.8 + 0.1


def _warped(affine: Callable) -> Callable:
    def apply(clip: Tensor, amount: float, interpolation: str) -> Tensor:
        return warp(clip, affine(amount, *clip.shape[:2]), interpolation=interpolation)

    return apply


def _colored(operation: Callable) -> Callable:
    return lambda clip, amount, interpolation: operation(clip, amount)


def _without_amount(operation: Callable) -> Callable:
    return lambda clip, amount, interpolation: operation(clip)


class Operation(NamedTuple):
    """An operation of RandAugment.

    Attributes:
        apply: (clip (H, W, T, C), argument, interpolation) -> clip
        argument: (magnitude / 10, sign) -> argument of ``apply``
        rising: in place of ``argument`` where the string says inc1: stronger with more magnitude
        weight: how often it is drawn where the string says w0
    """

    apply: Callable
    argument: Callable | None = None
    rising: Callable | None = None
    weight: float = 0.0


OPERATIONS = {
    "AutoContrast": Operation(_without_amount(colors.autocontrast), weight=0.025),
    "Equalize": Operation(_without_amount(colors.equalize), weight=0.005),
    "Invert": Operation(_without_amount(colors.invert)),
    "Rotate": Operation(_warped(rotate), _signed(30), weight=0.3),
    "Posterize": Operation(
        _colored(colors.posterize), lambda share, _: int(share * 4), lambda share, _: 4 - int(share * 4)
    ),
    "Solarize": Operation(
        _colored(colors.solarize), lambda share, _: int(share * 256), lambda share, _: 256 - int(share * 256), 0.005
    ),
    "SolarizeAdd": Operation(_colored(colors.solarize_add), lambda share, _: int(share * 110), weight=0.005),
    "Color": Operation(_colored(colors.adjust_saturation), _plain, _rising, 0.025),
    "Contrast": Operation(_colored(colors.adjust_contrast), _plain, _rising, 0.005),
    "Brightness": Operation(_colored(colors.adjust_brightness), _plain, _rising, 0.005),
    "Sharpness": Operation(_colored(colors.adjust_sharpness), _plain, _rising, 0.025),
    "ShearX": Operation(_warped(lambda amount, height, width: shear_x(amount)), _signed(0.3), weight=0.2),
    "ShearY": Operation(_warped(lambda amount, height, width: shear_y(amount)), _signed(0.3), weight=0.2),
    "TranslateX": Operation(
        _warped(lambda amount, height, width: translate(amount * width, 0)), _signed(0.45), weight=0.1
    ),
    "TranslateY": Operation(
        _warped(lambda amount, height, width: translate(0, amount * height)), _signed(0.45), weight=0.1
    ),
}


class Drawn(NamedTuple):
    """An operation that was drawn for a clip, with its argument."""

    name: str
    argument: float | None
    interpolation: str


class RandAugment:
    """RandAugment: a few random operations on a clip.

    Args:
        magnitude: 0..10
        num_ops: operations drawn for a clip; each is used with probability one half.
        magnitude_std: standard deviation of the magnitude of each operation.
        rising: take the form of each operation that grows stronger with the magnitude.
        weighted: draw by weight, each at most once, instead of evenly.
        interpolation: "bicubic" | "bilinear" | "random", for the operations that move pixels.
    """

    def __init__(
        self,
        *,
        magnitude: float = 10,
        num_ops: int = 2,
        magnitude_std: float = 0.0,
        rising: bool = False,
        weighted: bool = False,
        interpolation: str = "bicubic",
    ):
        self.magnitude = magnitude
        self.num_ops = num_ops
        self.magnitude_std = magnitude_std
        self.rising = rising
        self.weighted = weighted
        self.interpolations = ("bilinear", "bicubic") if interpolation == "random" else (interpolation,)

    def draw(self, rng: random.Random) -> list[Drawn]:
        """Draws the operations of one clip."""
        return [self._draw_one(name, rng) for name in self._names(rng) if rng.random() < USED]

    def __call__(self, frames: Tensor, rng: random.Random) -> Tensor:
        """Augments a clip at random: (T, H, W, C) uint8 -> the same shape"""
        operations = self.draw(rng)
        return apply(frames, operations) if operations else frames

    def _names(self, rng: random.Random) -> Sequence[str]:
        if not self.weighted:
            return rng.choices(list(OPERATIONS), k=self.num_ops)
        left = {name: operation.weight for name, operation in OPERATIONS.items() if operation.weight}
        names = []
        for _ in range(min(self.num_ops, len(left))):
            names += rng.choices(list(left), list(left.values()))
            del left[names[-1]]
        return names

    def _draw_one(self, name: str, rng: random.Random) -> Drawn:
        magnitude = rng.gauss(self.magnitude, self.magnitude_std) if self.magnitude_std else self.magnitude
        argument = argument_of(name, min(max(magnitude, 0), HIGHEST), rng.choice((1, -1)), rising=self.rising)
        return Drawn(name, argument, rng.choice(self.interpolations))


def argument_of(name: str, magnitude: float, sign: int, *, rising: bool) -> float | None:
    """Argument of an operation for a magnitude; None for operations without strength."""
    operation = OPERATIONS[name]
    argument = operation.rising if rising and operation.rising else operation.argument
    return argument(magnitude / HIGHEST, sign) if argument else None


def apply(frames: Tensor, operations: Sequence[Drawn]) -> Tensor:
    """Applies operations to a clip in order: (T, H, W, C) uint8 -> the same shape"""
    clip = frames.permute(1, 2, 0, 3)  # (H, W, T, C)
    clip = clip if clip.is_contiguous() else colors.pixels_together(frames)
    for name, argument, interpolation in operations:
        clip = OPERATIONS[name].apply(clip, argument, interpolation)
    return colors.frames_apart(clip)


# -------------------------------------------------------------------------------------------------- text -> RandAugment
_SECTIONS = {"m": "magnitude", "n": "num_ops", "mstd": "magnitude_std", "inc": "rising", "w": "weighted"}


def parse_randaugment(text: str, *, interpolation: str = "bicubic") -> RandAugment:
    """Parses timm's notation, ``"rand-m7-n4-mstd0.5-inc1"``: magnitude 7, 4 operations, standard deviation 0.5, rising
    operations; ``w0``: weighted.

    Raises:
        UserError: the text is not in this notation.
    """
    head, *sections = text.split("-")
    options = {}
    for section in sections:
        match = re.fullmatch(r"(m|n|mstd|inc|w)(\d+(?:\.\d+)?)", section)
        if head != "rand" or match is None:
            break
        name, number = match.groups()
        options[_SECTIONS[name]] = float(number)
    if head != "rand" or len(options) < len(sections) or options.get("weighted", 0) or options.get("num_ops", 1) % 1:
        raise UserError(
            f"AUG.AA_TYPE {text!r} is no RandAugment; write rand-m7-n4-mstd0.5-inc1: magnitude, operations, "
            "deviation, inc1 or w0"
        )
    given: dict[str, Callable] = {"num_ops": int, "rising": bool, "weighted": lambda number: True}
    return RandAugment(
        **{name: given.get(name, float)(value) for name, value in options.items()}, interpolation=interpolation
    )
