"""Replaces PyTorch's fused attention from outside, for measurements: another implementation, without touching any
module."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class AttentionAs(TorchFunctionMode):
    """A context in which ``scaled_dot_product_attention`` calls ``attention`` instead, with the same arguments."""

    def __init__(self, attention: Callable[..., Tensor]):
        super().__init__()
        self.attention = attention

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (self.attention if func is F.scaled_dot_product_attention else func)(*args, **(kwargs or {}))
