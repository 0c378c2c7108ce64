"""Gamma correction of frames: makes dark video visible."""

import numpy as np
import torch
from torch import Tensor

from fragrant.data.transforms.colors import map_values


def gamma_table(gamma: float) -> Tensor:
    """(256,) uint8: ``255 * (value / 255) ** (1 / gamma)``, cut off, not rounded, as published; above 1 is brighter, 1
    changes nothing."""
    return torch.from_numpy((255 * (np.arange(256) / 255) ** (1 / gamma)).astype(np.uint8))


def brighten(frames: Tensor, gamma: float) -> Tensor:
    """uint8 frames of any shape after gamma correction, see ``gamma_table``."""
    return frames if gamma == 1 else map_values(frames, gamma_table(gamma))
