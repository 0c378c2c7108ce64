"""Gamma correction of frames: makes dark video visible."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fragrant.data.transforms.colors import map_values


def middle_gamma(gammas: Sequence[float]) -> float:
    """Gamma that everything but training takes: the middle of [] (1, no correction), [gamma] or [smallest, largest]."""
    return (gammas[0] + gammas[-1]) / 2 if gammas else 1.0


def gamma_table(gamma: float) -> Tensor:
    """Lookup table of gamma correction, (256,) uint8: ``255 * (value / 255) ** (1 / gamma)``, cut off, not rounded, as
    published; above 1 is brighter, 1 changes nothing."""
    return torch.from_numpy((255 * (np.arange(256) / 255) ** (1 / gamma)).astype(np.uint8))


def brighten(frames: Tensor, gamma: float) -> Tensor:
    """Applies gamma correction to uint8 frames of any shape, see ``gamma_table``."""
    return frames if gamma == 1 else map_values(frames, gamma_table(gamma))
