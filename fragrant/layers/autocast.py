"""Layers that choose their number format themselves: autocast off inside of them."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """What autocast computes in where ``x`` lies; None where it is off, or ``x`` is on "meta", where sizes are
    measured."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if device != "meta" and torch.is_autocast_enabled(device) else None


def autocast_off(x: Tensor) -> AbstractContextManager:
    """Nothing at all where it is off anyway: torch.export cannot hold the switch."""
    return nullcontext() if autocast_dtype(x) is None else torch.autocast(x.device.type, enabled=False)
