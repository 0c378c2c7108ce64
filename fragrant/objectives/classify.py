"""Plain classification: the model's logits against the labels, of clips that may have been mixed."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fragrant.metrics import topk_correct
from fragrant.objectives.losses import cross_entropy
from fragrant.objectives.objective import Objective, StepOutput


def logged_errors(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Errors to log, top1_err and top5_err () in percent, of logits (N, K) and labels (N,) or (N, K). The largest entry
    of a soft label counts as the label; of several labels any."""
    with torch.no_grad():
        if labels.dtype == torch.bool:
            hits = labels.gather(1, logits.topk(min(5, logits.shape[1])).indices)  # (N, 5)
            return {
                "top1_err": 100 - 100 * hits[:, 0].float().mean(),
                "top5_err": 100 - 100 * hits.any(1).float().mean(),
            }
        classes = labels if labels.ndim == 1 else labels.argmax(-1)  # (N,)
        top1_err, top5_err = 100 - 100 * topk_correct(logits, classes, ks=(1, 5)).float().mean(-1)
    return {"top1_err": top1_err, "top5_err": top5_err}


def unmixed(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return clips, labels


class Classify(Objective):
    """Plain classification: one model, one loss.

    Args:
        model: (N, C, T, H, W) -> (N, K).
        loss_fn: logits (N, K), labels -> ().
        mix: clips, labels -> clips, labels, see ``Mixup``.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = unmixed,
    ):
        super().__init__()
        self.model = model
        self.loss_fn = loss_fn
        self.mix = mix

    @property
    def eval_model(self) -> nn.Module:
        return self.model

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), top1_err and top5_err () in percent, of clips (N, C, T, H, W) and labels (N,) or (N, K)."""
        clips, labels = self.mix(clips, labels)
        logits = self.model(clips)  # (N, K)
        return StepOutput(self.loss_fn(logits, labels), logged_errors(logits, labels))
