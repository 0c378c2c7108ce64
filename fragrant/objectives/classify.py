"""Plain classification: the model's logits against the labels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.metrics import topk_correct
from fragrant.objectives.objective import Objective, StepOutput


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, K), class numbers (N,) -> (): the mean over the batch, in float32 whatever the logits are."""
    return F.cross_entropy(logits.float(), labels)


def soft_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, K), shares of the classes (N, K) or class numbers (N,) -> (): the mean over the batch of -sum(target * log softmax)."""
    if labels.ndim == 1:
        return cross_entropy(logits, labels)  # a one-hot target picks one term of the sum
    return -(labels.float() * logits.float().log_softmax(-1)).sum(-1).mean()


class Classify(Objective):
    """One model, one loss.

    Args:
        model: (N, C, T, H, W) -> (N, K).
        loss_fn: logits (N, K), labels -> ().
    """

    def __init__(self, model: nn.Module, loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy):
        super().__init__()
        self.model = model
        self.loss_fn = loss_fn

    @property
    def eval_model(self) -> nn.Module:
        return self.model

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """(N, C, T, H, W), (N,) or (N, K) -> loss (), top1_err and top5_err () in percent."""
        logits = self.model(clips)  # (N, K)
        loss = self.loss_fn(logits, labels)
        with torch.no_grad():
            classes = labels if labels.ndim == 1 else labels.argmax(-1)  # (N,)
            top1_err, top5_err = 100 - 100 * topk_correct(logits, classes, ks=(1, 5)).float().mean(-1)
        return StepOutput(loss, {"top1_err": top1_err, "top5_err": top5_err})
