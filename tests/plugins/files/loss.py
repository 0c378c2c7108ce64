"""A loss: squared error of the probabilities."""

from torch import Tensor

from fragrant.objectives import LOSSES
from fragrant.objectives.losses import as_soft_labels


@LOSSES.register("brier")
def brier(logits: Tensor, labels: Tensor, *, class_weights=None, smoothing: float = 0.0, each: bool = False) -> Tensor:
    """(N, K), (N,) or (N, K) -> (), or with ``each`` (N,)."""
    errors = (logits.float().softmax(1) - as_soft_labels(labels, logits.shape[1], smoothing=smoothing)).square()
    losses = (errors if class_weights is None else errors * class_weights).sum(1)
    return losses if each else losses.mean()
