"""Knowledge distillation: a model learns from the labels and from the probabilities of a trained teacher."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.layers.normalize import ClipNormalize
from fragrant.objectives.classify import Classify, logged_errors, unmixed
from fragrant.objectives.losses import cross_entropy
from fragrant.objectives.objective import StepOutput


def distillation_loss(logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Distillation loss T^2 * KL(teacher || student) of the softened probabilities (Hinton et al. 2015), mean over the
    clips: logits (N, K), (N, K) -> ()."""
    log_probs, wanted = ((x.float() / temperature).log_softmax(-1) for x in (logits, teacher_logits))
    return temperature**2 * F.kl_div(log_probs, wanted, reduction="batchmean", log_target=True)


class TeacherInput:
    """Converts clips as the student sees them to clips as the teacher was trained to see them.

    Args:
        student: the student's normalisation, of its first stream where it has several.
        teacher: pixels -> the clips that the teacher takes, see ``ClipPreparation``.
        enhance: uint8 pixels (N, C, T, H, W) -> brighter ones.
    """

    def __init__(
        self,
        student: ClipNormalize,
        teacher: Callable[[Tensor], Tensor],
        enhance: Callable[[Tensor], Tensor] = lambda pixels: pixels,
    ):
        self.student, self.teacher, self.enhance = student, teacher, enhance

    def __call__(self, clips: Tensor) -> Tensor:
        """The teacher's clips from the student's, (N, C, T, H, W) or with further streams behind these channels."""
        pixels = self.student.undo(clips[:, : self.student.mean.shape[1]]).round().clamp(0, 255).to(torch.uint8)
        return self.teacher(self.enhance(pixels))


class Distill(Classify):
    """Distillation: (1 - alpha) * the loss against the labels + alpha * the loss against the teacher's probabilities,
    for the same clips.

    Args:
        teacher: the trained model on its device; it is no submodule, so that neither optimiser nor checkpoints see it.
        teacher_input: the student's clips -> the teacher's.
        alpha: weight of the teacher, from 0 to 1.
        temperature: softens both probabilities.
    """

    def __init__(
        self,
        model: nn.Module,
        teacher: nn.Module,
        loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = unmixed,
        teacher_input: Callable[[Tensor], Tensor] = lambda clips: clips,
        alpha: float = 0.5,
        temperature: float = 4.0,
    ):
        super().__init__(model, loss_fn, mix=mix)
        self._teacher = (teacher.eval().requires_grad_(False),)  # in a tuple, where torch does not look for submodules
        self.teacher_input, self.alpha, self.temperature = teacher_input, alpha, temperature

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), errors in percent and the two losses, of clips (N, C, T, H, W) and labels (N,) or (N, K)."""
        clips, labels = self.mix(clips, labels)
        with torch.no_grad():
            teacher_logits = self._teacher[0](self.teacher_input(clips))  # (N, K)
        logits = self.model(clips)  # (N, K)
        loss_labels = self.loss_fn(logits, labels)
        loss_teacher = distillation_loss(logits, teacher_logits, temperature=self.temperature)
        loss = (1 - self.alpha) * loss_labels + self.alpha * loss_teacher
        parts = {"loss_labels": loss_labels.detach(), "loss_teacher": loss_teacher.detach()}
        return StepOutput(loss, logged_errors(logits, labels) | parts)
