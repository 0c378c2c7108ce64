"""The two-layer perceptron inside a block."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``, an approximation of GELU: CLIP's weights were trained with it, and lose accuracy with
    the exact one."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return x * torch.sigmoid(1.702 * x)


class Mlp(nn.Module):
    """Two-layer perceptron, applied to every position: to the hidden width, exact GELU, and back.

    Args:
        linear: builds each of the two layers from (in, out): ``nn.Linear`` for tokens, a 1x1x1 convolution for volumes.
        activation: builds what stands between them.
        dropout: rate behind the activation and behind the second layer.
        output_dropout: another rate behind the second layer; None = ``dropout``.
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        *,
        linear: Callable[[int, int], nn.Module] = nn.Linear,
        activation: Callable[[], nn.Module] = nn.GELU,
        dropout: float = 0.0,
        output_dropout: float | None = None,
    ):
        super().__init__()
        self.fc1 = linear(dim, hidden_dim)
        self.act = activation()
        self.fc2 = linear(hidden_dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.output_dropout = nn.Dropout(dropout if output_dropout is None else output_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ``linear`` takes -> the same."""
        x = self.dropout(self.act(self.fc1(x)))
        return self.output_dropout(self.fc2(x))
