"""Losses: logits against class numbers or soft labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def as_soft_labels(labels: Tensor, num_classes: int, *, smoothing: float = 0.0) -> Tensor:
    """Converts class numbers (N,) or soft labels (N, K) to soft labels (N, K) float32, of which ``smoothing`` is spread
    over all classes alike."""
    soft_labels = F.one_hot(labels, num_classes) if labels.ndim == 1 else labels
    return soft_labels.float() * (1 - smoothing) + smoothing / num_classes


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    smoothing: float = 0.0,
    focus: float = 0.0,
    each: bool = False,
) -> Tensor:
    """Cross-entropy, mean of -sum(label * log softmax): logits (N, K), labels (N,) or (N, K) -> (), in float32 whatever
    the logits are.

    Args:
        each: return the losses of the clips (N,) instead of their mean.
        class_weights: (K,); the mean then counts every clip as much as its classes weigh.
        smoothing: share of every label that is spread over all classes.
        focus: gamma of the focal loss (Lin et al. 2017): (1 - p) ** gamma before every term makes easy clips count
            less.
    """
    logits = logits.float()
    if labels.ndim == 1 and class_weights is None and not focus:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none" if each else "mean")
    soft_labels, log_probs = as_soft_labels(labels, logits.shape[1], smoothing=smoothing), logits.log_softmax(-1)
    terms = -soft_labels * log_probs  # (N, K)
    if focus:
        terms = terms * (1 - log_probs.exp()).clamp(min=1e-12) ** focus  # above 0, where a root has no slope
    if class_weights is None:
        return terms.sum(-1) if each else terms.sum(-1).mean()
    total = (soft_labels * class_weights).sum()
    return len(terms) * (terms * class_weights).sum(-1) / total if each else (terms * class_weights).sum() / total


def binary_cross_entropy(
    logits: Tensor, labels: Tensor, *, class_weights: Tensor | None = None, smoothing: float = 0.0, each: bool = False
) -> Tensor:
    """Binary cross-entropy, mean over clips and classes, each class a yes or no: logits (N, K), labels (N,) or (N, K)
    of 0 and 1, several per clip -> ().

    Args:
        each: return the losses of the clips (N,) instead of their mean.
    """
    soft_labels = as_soft_labels(labels, logits.shape[1], smoothing=smoothing)
    if each:
        return F.binary_cross_entropy_with_logits(
            logits.float(), soft_labels, weight=class_weights, reduction="none"
        ).mean(1)
    return F.binary_cross_entropy_with_logits(logits.float(), soft_labels, weight=class_weights)


class Loss(nn.Module):
    """A loss function with its settings; class weights move to the device with it and are in no state dict.

    Args:
        function: cross_entropy or binary_cross_entropy.
        class_weights: one per class; () = all alike.
        settings: further arguments of the function.
    """

    def __init__(
        self, function=cross_entropy, *, class_weights: tuple[float, ...] = (), settings: dict[str, float] | None = None
    ):
        super().__init__()
        self.function, self.settings = function, dict(settings or {})
        weights = torch.tensor(class_weights, dtype=torch.float32) if class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of logits (N, K) and labels (N,) or (N, K) -> ()"""
        return self.function(logits, labels, class_weights=self.class_weights, **self.settings)

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each clip, of which ``forward`` is the mean: logits (N, K), labels (N,) or (N, K) -> (N,)"""
        return self.function(logits, labels, class_weights=self.class_weights, each=True, **self.settings)
