"""Supervised contrast: clips of one class should look alike to a network, in all their views, those of others not."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.distributed import gather_rows, gather_with_gradient
from fragrant.models.backbone import Backbone
from fragrant.objectives.classify import Classify, logged_errors
from fragrant.objectives.contrast import Projector
from fragrant.objectives.losses import cross_entropy
from fragrant.objectives.objective import StepOutput


def supcon_losses(
    own: Tensor, others: Tensor, own_classes: Tensor, classes: Tensor, *, first: int = 0, temperature: float = 0.1
) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, L_out): of every view, mean over the other views of its class of
    -log softmax over all other views, by cosine / temperature; 0 where there is no other view of its class.

    Args:
        own: (n, E), vectors of length 1. own_classes: (n,) their classes.
        others: (m, E), all views to tell apart, those of ``own`` among them from number ``first`` on. classes: (m,).

    Returns:
        The loss of each, (n,) float32.
    """
    own, others = own.float(), others.float()
    number = torch.arange(len(others), device=own.device)
    itself = number == torch.arange(first, first + len(own), device=own.device)[:, None]  # (n, m)
    alike = (own_classes[:, None] == classes) & ~itself
    log_probs = (own @ others.T / temperature).masked_fill(itself, -torch.inf).log_softmax(1)
    return -log_probs.masked_fill(~alike, 0.0).sum(1) / alike.sum(1).clamp(min=1)


class SupCon(Classify):
    """Classification, and beside it the supervised contrast of all views of the batch, over all ranks together: both
    streams of a network of two, the augmented copies of a clip, and the other clips of its class.

    Args:
        projector: between the pooled features and the vectors that are compared.
        weight: of the contrastive loss.
        temperature: what cosines are divided by.
    """

    model: Backbone

    def __init__(
        self,
        model: Backbone,
        projector: Projector,
        loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        weight: float,
        temperature: float = 0.1,
    ):
        super().__init__(model, loss_fn)
        self.projector, self.weight, self.temperature = projector, weight, temperature

    def contrast(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of the views' features (N, S, D) and labels (N,) or (N, K), whose likeliest class counts -> ()"""
        classes = (labels if labels.ndim == 1 else labels.argmax(1)).repeat_interleave(pooled.shape[1])  # (N * S,)
        own = F.normalize(self.projector(pooled.flatten(0, 1)).float(), dim=1)
        others, first = gather_with_gradient(own)
        with torch.autocast(own.device.type, enabled=False):
            losses = supcon_losses(
                own, others, classes, gather_rows(classes), first=first, temperature=self.temperature
            )
        return losses.mean()

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), errors in percent and the two losses, of clips (N, C, T, H, W) and labels (N,) or (N, K)."""
        logits, pooled = self.model.logits_and_pooled(clips)  # (N, K), (N, S, D)
        loss_labels, contrast = self.loss_fn(logits, labels), self.contrast(pooled, labels)
        parts = {"loss_labels": loss_labels.detach(), "loss_supcon": contrast.detach()}
        return StepOutput(loss_labels + self.weight * contrast, logged_errors(logits, labels) | parts)
