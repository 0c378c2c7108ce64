"""Small classifiers of frozen token features, several of one shape beside each other: linear, or with attention."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.layers.tokens import to_tokens

KINDS = ("linear", "attentive")
SMALLEST_DEVIATION = 1e-6  # of a feature; one that never changes says nothing, and is left at 0


class Probe(nn.Module):
    """P classifiers of the tokens of a clip, each with weights of its own; every feature is standardised first.

    "linear" takes the mean over the tokens. "attentive" is the cross-attention of one learned query over all tokens,
    then a linear layer: the probe of V-JEPA (Bardes et al. 2024, arXiv 2404.08471, section 4.1; CoCa's pooling, Yu et
    al. 2022) without the MLP behind its attention. With a single query the projections of keys and values need never
    be computed for every token, which is exact: q (W_k x) is (W_k' q) x, and the weighted mean of W_v x is W_v of the
    weighted mean of x. So a probe costs A dot products per token instead of two matrices of width x D.
    What the softmax or the linear layer makes superfluous is left out: the biases of keys and values, the scale and
    shift of the norm, the residual connection of the query.

    Args:
        kind: "linear" or "attentive".
        num_features: D, the width of a token.
        count: P.
        num_heads: A of the attention, a divisor of its width.
        width: E of keys and values; 0 = D, as published.

    Raises:
        ValueError: the width is no multiple of the number of heads.
    """

    mean: Tensor  # (D,) of the training tokens, or of their means in a clip for "linear"
    deviation: Tensor

    def __init__(
        self, kind: str, num_features: int, num_classes: int, *, count: int = 1, num_heads: int = 16, width: int = 0
    ):
        super().__init__()
        assert kind in KINDS, kind
        self.kind, self.num_heads = kind, num_heads
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("deviation", torch.ones(num_features))
        seen = num_features
        if kind == "attentive":
            seen = width or num_features
            if seen % num_heads:
                raise ValueError(f"{seen} is no multiple of {num_heads} attention heads")
            self.query = nn.Parameter(torch.empty(count, seen))
            self.key = nn.Parameter(torch.empty(count, seen, num_features))
            self.value = nn.Parameter(torch.empty(count, seen, num_features))
        self.weight = nn.Parameter(torch.zeros(count, num_classes, seen))
        self.bias = nn.Parameter(torch.zeros(count, num_classes))
        self.reset()

    def reset(self, generator: torch.Generator | None = None) -> "Probe":
        """Draws the first weights, the same for each of the P: normal with deviation 0.02, the linear layer 0."""
        with torch.no_grad():
            for name in ("query", "key", "value") if self.kind == "attentive" else ():
                weight = getattr(self, name)
                weight.copy_(0.02 * torch.randn(weight.shape[1:], generator=generator))
        return self

    def pick(self, number: int) -> "Probe":
        """Returns the one probe of this number, as a copy with P = 1."""
        rows = {name: value[number : number + 1] for name, value in self.named_parameters()}
        classes, width = self.weight.shape[1:]
        one = Probe(self.kind, len(self.mean), classes, num_heads=self.num_heads, width=width)
        one.load_state_dict({"mean": self.mean, "deviation": self.deviation} | rows)
        return one

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Logits: tokens (N, L, D) -> (P, N, K)

        Args:
            present: (N, L) bool, which tokens there are where clips have different numbers; None = all.
        """
        if self.kind == "linear":
            return self.classify(self.prepare(mean_over_tokens(tokens, present).unsqueeze(1)))
        return self.classify(self.prepare(tokens), present)

    def prepare(self, tokens: Tensor) -> Tensor:
        """The part of ``forward`` without weights, every token by itself: (..., D) -> the same shape"""
        scale = torch.where(self.deviation > SMALLEST_DEVIATION, 1 / self.deviation, 0.0)
        x = (tokens - self.mean) * scale
        return F.layer_norm(x, x.shape[-1:]) if self.kind == "attentive" else x

    def classify(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """The part of ``forward`` that is learned: what ``prepare`` gives (N, L, D) -> (P, N, K); of the linear kind L
        is 1."""
        if self.kind == "attentive":
            pooled = self._attended(x, present)  # (P, N, E)
        else:
            pooled = x[:, 0].expand(len(self.weight), -1, -1)  # (P, N, D)
        return torch.baddbmm(self.bias.unsqueeze(1), pooled, self.weight.transpose(1, 2))

    def _attended(self, x: Tensor, present: Tensor | None) -> Tensor:
        count, width = self.query.shape
        heads, per_head = self.num_heads, width // self.num_heads
        query = self.query.view(count, heads, 1, per_head) / math.sqrt(per_head)
        looked_for = (query @ self.key.view(count, heads, per_head, -1)).view(count * heads, -1)  # (P A, D)
        scores = x @ looked_for.T  # (N, L, P A)
        if present is not None:
            scores = scores.masked_fill(~present.unsqueeze(2), -math.inf)
        found = scores.softmax(1).transpose(1, 2) @ x  # (N, P A, D)
        found = found.transpose(0, 1).unflatten(0, (count, heads))  # (P, A, N, D)
        values = found @ self.value.view(count, heads, per_head, -1).transpose(2, 3)  # (P, A, N, E / A)
        return values.transpose(1, 2).flatten(2)  # (P, N, E)


def mean_over_tokens(tokens: Tensor, present: Tensor | None = None) -> Tensor:
    """Mean over the tokens that there are: (N, L, D) -> (N, D); ``present``: see ``Probe.forward``."""
    if present is None:
        return tokens.mean(1)
    return (tokens * present.unsqueeze(2)).sum(1) / present.sum(1, keepdim=True)


def tokens_of_map(features: Tensor, grid: int = 0) -> Tensor:
    """The places of a feature map as tokens: (N, D, T', H', W') -> (N, L, D)

    Args:
        grid: rows and columns at most; a larger map is averaged to so many. 0 = as it is.
    """
    times, rows, columns = features.shape[2:]
    if grid and max(rows, columns) > grid:
        frames = features.transpose(1, 2).flatten(0, 1)  # (N T', D, H', W')
        smaller = F.adaptive_avg_pool2d(frames, (min(rows, grid), min(columns, grid)))
        features = smaller.unflatten(0, (-1, times)).transpose(1, 2)
    return to_tokens(features)
