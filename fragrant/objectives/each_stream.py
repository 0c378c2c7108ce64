"""Classification by two streams together and by each of them alone, so that a network does with the one that it has."""

from collections.abc import Callable

from torch import Tensor

from fragrant.models.dual_stream import DualStream
from fragrant.objectives.classify import Classify, logged_errors, unmixed
from fragrant.objectives.losses import cross_entropy
from fragrant.objectives.objective import StepOutput


class EachStream(Classify):
    """Classification, and beside it that of each stream alone. The networks of the streams run once, fusion and
    classifier three times: what ``StreamDropout`` draws, every clip has.

    Args:
        model, loss_fn, mix: see ``Classify``.
        weight: of the mean loss of the streams alone.
    """

    model: DualStream

    def __init__(
        self,
        model: DualStream,
        loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = unmixed,
        weight: float,
    ):
        super().__init__(model, loss_fn, mix=mix)
        self.weight = weight

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), errors in percent and the two losses, of clips (N, 2C, T, H, W) and labels (N,) or (N, K)."""
        clips, labels = self.mix(clips, labels)
        logits, alone = self.model.logits_and_alone(clips)  # (N, K), two of (N, K)
        loss_labels = self.loss_fn(logits, labels)
        loss_alone = (self.loss_fn(alone[0], labels) + self.loss_fn(alone[1], labels)) / 2
        parts = {"loss_labels": loss_labels.detach(), "loss_alone": loss_alone.detach()}
        return StepOutput(loss_labels + self.weight * loss_alone, logged_errors(logits, labels) | parts)
