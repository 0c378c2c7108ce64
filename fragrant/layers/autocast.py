"""Autocast switched off inside of layers that choose their number format themselves."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """Number format of autocast on the device of ``x``; None where autocast is off, or ``x`` is on "meta", where sizes
    are measured."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if device != "meta" and torch.is_autocast_enabled(device) else None


def autocast_off(x: Tensor) -> AbstractContextManager:
    """A context with autocast off on the device of ``x``; an empty one where it is off anyway, since torch.export
    cannot hold the switch."""
    return nullcontext() if autocast_dtype(x) is None else torch.autocast(x.device.type, enabled=False)
