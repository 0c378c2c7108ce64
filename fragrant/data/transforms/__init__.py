"""Transforms of the pixels of a clip: tensors in, tensors out."""

from fragrant.data.transforms import retinex  # noqa: F401  # registers its enhancements
from fragrant.data.transforms.clip_transforms import TRANSFORMS
from fragrant.data.transforms.enhance import ENHANCEMENTS

__all__ = ["ENHANCEMENTS", "TRANSFORMS"]
