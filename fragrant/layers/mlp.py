"""The two-layer perceptron inside a block."""

from collections.abc import Callable

from torch import Tensor, nn


class Mlp(nn.Module):
    """Two-layer perceptron, applied to every position: to the hidden width, exact GELU, and back.

    Args:
        linear: builds each of the two layers from (in, out): ``nn.Linear`` for tokens, a 1x1x1 convolution for volumes.
    """

    def __init__(
        self, dim: int, hidden_dim: int, *, linear: Callable[[int, int], nn.Module] = nn.Linear, dropout: float = 0.0
    ):
        super().__init__()
        self.fc1 = linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = linear(hidden_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ``linear`` takes -> the same."""
        x = self.dropout(self.act(self.fc1(x)))
        return self.dropout(self.fc2(x))
