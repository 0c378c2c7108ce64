"""Objectives for the gate of DGAM: the expected loss of its decision, and a loss that balances the use of its experts.

The model is one with ``experts`` (``GammaExperts``) and ``decide``, as ``DGAM`` is. Formulas: Shazeer et al. 2017
and Fedus et al. 2021 (balance of a mixture of experts); the published gate has no objective that reaches it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fragrant.models.dgam import DGAM
from fragrant.objectives.classify import Classify, logged_errors, unmixed
from fragrant.objectives.losses import Loss
from fragrant.objectives.objective import StepOutput


def balance_loss(probs: Tensor, expert: Tensor) -> Tensor:
    """Balance of the experts: E * sum over the experts of mean probability * share of the clips, 1 where all serve
    alike, E for one alone. Gate probabilities (N, E), drawn expert (N,) -> ()."""
    shares = torch.nn.functional.one_hot(expert, probs.shape[1]).to(probs.dtype).mean(0)
    return probs.shape[1] * (probs.mean(0) * shares).sum()


class Gated(Classify):
    """Classification by the drawn expert, the gate's gradient as ``GammaExperts`` defines it.

    Args:
        balance: weight of ``balance_loss``.
    """

    model: DGAM
    loss_fn: Loss

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Loss,
        *,
        balance: float = 0.0,
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = unmixed,
    ):
        super().__init__(model, loss_fn, mix=mix)
        self.balance = balance

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), errors in percent and the mean gamma taken, of clips (N, C, T, H, W) and labels (N,) or (N, K)."""
        clips, labels = self.mix(clips, labels)
        logits, choice = self.model.decide(clips)
        loss = self.loss_fn(logits, labels) + self.balance * balance_loss(choice.probs, choice.expert)
        return StepOutput(
            loss, logged_errors(logits, labels) | {"gamma": self.model.experts.gammas[choice.expert].mean()}
        )


class ExpectedLoss(Gated):
    """Expected loss of the gate, the sum over the experts of (probability * loss of the clip brightened by it): trains
    the gate alone, everything else is frozen.

    The exact gradient of the loss that a gate which draws by its probabilities has on average, classifiers included.
    Every expert's loss comes from a forward pass without a graph: five of them cost about what two steps through the
    backbone do."""

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), and errors in percent and mean gamma of the likeliest expert, of clips (N, C, T, H, W) and labels
        (N,) or (N, K)."""
        clips, labels = self.mix(clips, labels)
        probs = self.model.experts.choose(clips).probs  # (N, E)
        with torch.no_grad():
            experts = torch.arange(probs.shape[1], device=clips.device)
            # (E, N, K)
            logits = torch.stack([self.model.decide(clips, expert.expand(len(clips)))[0] for expert in experts])
            losses = torch.stack([self.loss_fn.each(by_expert, labels) for by_expert in logits], 1)  # (N, E)
        likeliest = probs.argmax(1)
        loss = (probs * losses).sum(1).mean() + self.balance * balance_loss(probs, likeliest)
        taken = logits[likeliest, torch.arange(len(clips), device=clips.device)]  # (N, K)
        return StepOutput(loss, logged_errors(taken, labels) | {"gamma": self.model.experts.gammas[likeliest].mean()})
