"""The plain pre-norm transformer block: attention, then an MLP, each on normed tokens with a residual."""

from collections.abc import Callable

from timm.layers import DropPath
from torch import Tensor, nn

from fragrant.layers.attention import Attention
from fragrant.layers.mlp import Mlp


class TransformerBlock(nn.Module):
    """Transformer block of a vision transformer (Dosovitskiy et al. 2021); its parameters have timm's names.

    Args:
        drop_path: probability that a sample skips a branch in training.
        eps: of the norms.
        activation: builds the activation of the MLP.
        dropout: rate for attention weights, the ends of both branches and the MLP's hidden values.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        eps: float = 1e-6,
        activation: Callable[[], nn.Module] = nn.GELU,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, num_heads=num_heads, attention_dropout=dropout, dropout=dropout)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), dropout=dropout, activation=activation)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """(N, L, D) -> the same shape; ``seen``: see ``Attention``."""
        x = x + self.drop_path(self.attn(self.norm1(x), seen))
        return x + self.drop_path(self.mlp(self.norm2(x)))
