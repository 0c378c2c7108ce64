"""The number format of forward and backward: float32, or autocast to bfloat16 or float16."""

import contextlib
from typing import NamedTuple

import torch

from fragrant.errors import UserError

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision(NamedTuple):
    """A number format; ``autocast()`` is its context for the forward pass. Weights, gradients and scores stay
    float32."""

    name: str
    device_type: str

    def autocast(self) -> contextlib.AbstractContextManager:
        dtype = DTYPES[self.name]
        return torch.autocast(self.device_type, dtype=dtype) if dtype else contextlib.nullcontext()

    def grad_scaler(self) -> torch.amp.GradScaler:
        """Builds the scaler that keeps small float16 gradients from vanishing; in the other formats it changes
        nothing."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")


def pick_precision(name: str, device: torch.device, *, key: str) -> Precision:
    """Picks the number format by name; ``auto`` is bf16 on CUDA and fp32 elsewhere.

    Raises:
        UserError: the name is not known, or fp16 without CUDA. ``key`` is the config key, for the message.
    """
    if name == "auto":
        name = "bf16" if device.type == "cuda" else "fp32"
    if name not in DTYPES:
        raise UserError(f"{key} '{name}' is not known; allowed: auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type != "cuda":
        raise UserError(f"{key} fp16 needs a CUDA GPU, this run is on the {device.type}; use bf16 or fp32")
    return Precision(name, device.type)
