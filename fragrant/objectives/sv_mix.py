"""Selective Volume Mixup (SV-Mix): a mixer that learns together with the network, judged by a moving average of the
network."""

import random
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fragrant.errors import UserError
from fragrant.models.backbone import Backbone
from fragrant.objectives.classify import logged_errors
from fragrant.objectives.ema import frozen_copy, move_average
from fragrant.objectives.losses import as_soft_labels, cross_entropy
from fragrant.objectives.objective import Objective, StepOutput
from fragrant.objectives.selective_module import SelectiveModule


class Draw(NamedTuple):
    """One draw of a mix: the share of the clips themselves, and the partner of each."""

    lam: float
    partner: list[int]


class Draws(NamedTuple):
    """The draws of one training step: the mode, the draw that trains the student, the draw that trains the mixer."""

    temporal: bool
    student: Draw
    mixer: Draw


def draw(
    n: int,
    *,
    rng: random.Random,
    spatial_prob: float = 0.5,
    alpha_spatial: float = 1.0,
    alpha_temporal: float = 0.8,
    prob: float = 1.0,
) -> Draws:
    """Draws the mixes for ``n`` clips. A step that does not mix (probability 1 - ``prob``) shows the student clean
    clips; the mixer still trains, in temporal mode."""
    mixed, temporal = rng.random() < prob, rng.random() >= spatial_prob
    alpha = alpha_temporal if temporal else alpha_spatial
    student = Draw(rng.betavariate(alpha, alpha) if mixed else 1.0, rng.sample(range(n), n))
    return Draws(temporal or not mixed, student, Draw(rng.betavariate(1, 1), rng.sample(range(n), n)))


def blend(clips: Tensor, partner: Tensor, mask: Tensor) -> Tensor:
    """Blends clips (N, C, T, H, W) with their partners; the partner's share (N, t, h, w) has one value per box of
    pixels."""
    mask = F.interpolate(mask[:, None], size=clips.shape[2:], mode="nearest")  # (N, 1, T, H, W)
    return clips.lerp(clips[partner], mask.to(clips.dtype))


def own_share(features: Tensor, partner: Tensor, mask: Tensor) -> Tensor:
    """Share of the salient content of a mixed clip that is the clip's own: features (N, C, t, h, w) -> (N,)."""
    saliency = features.float().mean(1).flatten(1).softmax(-1).view_as(mask)  # (N, t, h, w), sums to 1
    own, partners = ((part).sum((1, 2, 3)) for part in (saliency * (1 - mask), saliency[partner] * mask))
    return own / (own + partners)


def mixed_labels(soft_labels: Tensor, partner: Tensor, lam: Tensor | float) -> Tensor:
    """Mixes soft labels (N, K) with those of the partners; ``lam``: weight of the own label, (N, 1) or one for all."""
    return lam * soft_labels + (1 - lam) * soft_labels[partner]


def mask_loss(mask: Tensor, lam: float, *, margin: float = 0.1) -> Tensor:
    """Loss () of a mask: how far the mean share of the clips themselves is from ``lam``, beyond a margin."""
    return F.relu((1 - mask.mean() - lam).abs() - margin)


def all_but_batch_norms_to_eval(model: nn.Module) -> None:
    """Switches dropout and drop path off; BatchNorms keep their mode, also those that a model keeps frozen."""
    for module in model.modules():
        if not isinstance(module, _BatchNorm):
            module.training = False


class SvMix(Objective):
    """SV-Mix: the student learns from clips that the mixer mixed; the mixer learns from the teacher's loss on other
    mixed clips.

    The teacher is the moving average of the student. It gives the mixer its feature maps and is not trained itself, but
    the mixer's gradients flow through it. Student and mixer have no gradient in common.

    Args:
        model: the student, a ``Backbone``; it may return its feature map at any scale.
        mixer: the selective module for its features.
        draws: number of clips -> the draws of a step.
        lam_margin: shares this close to 0 or 1 mix evenly, without the mixer; of the student's clips only.
        mask_weight, mask_margin: weight and margin of ``mask_loss``, which holds the mixer's mean share near the drawn
            one.
        decay: decay of the moving average per optimiser step; its BatchNorm statistics come from its own passes.
        teacher_batch_stats: the teacher's BatchNorms use the statistics of the batch, as published.
        evaluate: "teacher" or "student": the model that is validated and tested.
    """

    same_graph_every_step = False  # two modes

    def __init__(
        self,
        model: nn.Module,
        mixer: SelectiveModule,
        draws: Callable[[int], Draws],
        *,
        num_classes: int,
        loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        smoothing: float = 0.1,
        lam_margin: float = 0.08,
        mask_weight: float = 0.1,
        mask_margin: float = 0.1,
        decay: float = 0.999,
        teacher_batch_stats: bool = True,
        evaluate: str = "teacher",
    ):
        super().__init__()
        self.model, self.mixer, self.teacher = model, mixer, frozen_copy(model)
        self.draws, self.loss_fn = draws, loss_fn
        self.num_classes, self.smoothing = num_classes, smoothing
        self.lam_margin, self.mask_weight, self.mask_margin = lam_margin, mask_weight, mask_margin
        self.decay, self.teacher_batch_stats, self.evaluate = decay, teacher_batch_stats, evaluate

    @property
    def eval_model(self) -> nn.Module:
        return self.teacher if self.evaluate == "teacher" else self.model

    def train(self, mode: bool = True) -> "SvMix":
        super().train(mode)
        self.teacher.train(mode and self.teacher_batch_stats)
        all_but_batch_norms_to_eval(self.teacher)
        return self

    def features(self, clips: Tensor) -> Tensor:
        """The teacher's feature map (N, D, t, h, w), without a graph."""
        features = cast(Backbone, self.teacher).forward_features(clips)
        if features.ndim != 5:
            name, shape = type(self.model).__name__, tuple(features.shape)
            raise UserError(f"MIXUP.TYPE svmix needs a model with a feature map (N, D, T, H, W); {name} gives {shape}")
        return features

    def student_mask(self, features: Tensor, step: Draw, partner: Tensor, *, temporal: bool) -> Tensor:
        """The mask (N, t, h, w) that mixes the student's clips: the partner's share."""
        if min(step.lam, 1 - step.lam) <= self.lam_margin:
            return features.new_full((len(features), *features.shape[2:]), 1 - step.lam, dtype=torch.float32)
        return self.mixer(features, step.lam, partner, temporal=temporal)

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), the student's errors in percent, the parts of the loss, share and mask, of clips (N, C, T, H, W) and
        labels (N,) or (N, K)."""
        temporal, student, mixer = self.draws(len(clips))
        soft_labels = as_soft_labels(labels, self.num_classes, smoothing=self.smoothing)  # (N, K)
        partner, mixers_partner = (torch.tensor(step.partner, device=clips.device) for step in (student, mixer))
        with torch.no_grad():
            features = self.features(clips)
            mask = self.student_mask(features, student, partner, temporal=temporal)
            student_clips = blend(clips, partner, mask)
            target = mixed_labels(soft_labels, partner, own_share(features, partner, mask)[:, None])
        mixers_mask = self.mixer(features, mixer.lam, mixers_partner, temporal=temporal)
        mixers_clips = blend(clips, mixers_partner, mixers_mask)

        logits = self.model(student_clips)  # (N, K)
        loss_student = self.loss_fn(logits, target)
        loss_mixer = self.loss_fn(self.teacher(mixers_clips), mixed_labels(soft_labels, mixers_partner, mixer.lam))
        loss_mask = self.mask_weight * mask_loss(mixers_mask, mixer.lam, margin=self.mask_margin)
        logged = {
            "loss_student": loss_student.detach(),
            "loss_mixer": loss_mixer.detach(),
            "loss_mask": loss_mask.detach(),
            "lam": loss_mask.new_tensor(student.lam).detach(),
            "mask_mean": mask.mean(),
        }
        return StepOutput(loss_student + loss_mixer + loss_mask, logged_errors(logits, target) | logged)

    def after_step(self) -> None:
        move_average(self.teacher, self.model, self.decay)
