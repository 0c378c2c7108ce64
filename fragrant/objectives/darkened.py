"""Second half of Similarity min-max: a network learns the classes of clips and of their dark copies, and to see both
alike (Luo et al., ICCV 2023, arXiv 2307.08779)."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.data.figures import Track
from fragrant.models.backbone import Backbone
from fragrant.objectives.classify import Classify, logged_errors, unmixed
from fragrant.objectives.contrast import Projector
from fragrant.objectives.darkener import keys_of, keys_of_clips
from fragrant.objectives.darkening import Darkener, Exposures
from fragrant.objectives.ema import follow, frozen_copy
from fragrant.objectives.losses import cross_entropy
from fragrant.objectives.objective import StepOutput
from fragrant.objectives.pixel_clips import PixelClips


class DarkCopies:
    """Dark copies of clips by a trained darkener, in 8 bits as a recording has them.

    Args:
        darkener: on the device of the clips; its weights stay.
        exposures: of the draws.
        pixels: from clips to pixels and back.
    """

    def __init__(self, darkener: Darkener, exposures: Exposures, pixels: PixelClips):
        self.darkener, self.exposures, self.pixels = darkener.eval().requires_grad_(False), exposures, pixels

    @torch.no_grad()
    def __call__(self, clips: Tensor, keys: Sequence[str] | None = None) -> Tensor:
        """(N, C, T, H, W) normalised -> the same shape; ``keys``: see ``Exposures``."""
        pixels = self.pixels.pixels(clips)
        dark, _ = self.darkener(pixels, self.exposures(pixels, keys))
        return self.pixels.clips(dark.mul_(255).round_().div_(255))


def alike_losses(told: Tensor, wanted: Tensor) -> Tensor:
    """Loss of BYOL (Grill et al. 2020): 2 - 2 cosine of what a predictor tells and what is wanted, mean over the
    streams. (N, S, D) twice -> (N,) float32"""
    return 2 - 2 * F.cosine_similarity(told.float(), wanted.float(), dim=-1).mean(1)


class Darkened(Classify):
    """Classification of clips and of their dark copies in one pass, so that BatchNorms measure both together; beside it
    a predictor tells from the features of the one what the network's moving average sees in the other, both ways.

    Args:
        darken: clips, keys -> their dark copies.
        predictor: between the pooled features, D -> D; None = the classes alone.
        weight: of the loss of the predictor.
        decay: of the moving average, per optimiser step.
        seed: the exposure of a copy follows from it, the epoch and the video.
    """

    model: Backbone

    def __init__(
        self,
        model: Backbone,
        darken: Callable[[Tensor, Sequence[str] | None], Tensor],
        loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        predictor: Projector | None = None,
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = unmixed,
        weight: float = 1.0,
        decay: float = 0.99,
        seed: int = 0,
    ):
        super().__init__(model, loss_fn, mix=mix)
        self.darken = darken  # no submodule: checkpoints leave the darkener where it is
        self.predictor = predictor
        self.target: nn.Module | None = None if predictor is None else frozen_copy(model)
        self.weight, self.decay, self.seed = weight, decay, seed
        self.keys: list[str] | None = None  # of the videos of the next step

    def train(self, mode: bool = True) -> "Darkened":
        super().train(mode)
        if self.target is not None:
            self.target.eval()
        return self

    def meet(self, ids: Sequence[int], epoch: int, figures: Track | None = None) -> None:
        self.keys = keys_of(ids, epoch, self.seed)

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), its parts, and errors in percent of the clips and of their copies, of clips (N, C, T, H, W) and
        labels (N,) or (N, K)."""
        keys, self.keys = self.keys, None
        clips, labels = self.mix(clips, labels)
        both = torch.cat([clips, self.darken(clips, keys_of_clips(keys, len(clips)))])  # (2N, C, T, H, W)
        logits, pooled = self.model.logits_and_pooled(both)  # (2N, K), (2N, S, D)
        loss = loss_labels = self.loss_fn(logits, torch.cat([labels, labels]))
        of_lit, of_dark = (logged_errors(part, labels) for part in logits.chunk(2))
        logged = of_lit | {f"dark_{name}": value for name, value in of_dark.items()}
        if self.predictor is not None:
            alike = self.alike(both, pooled)
            loss = loss_labels + self.weight * alike
            logged |= {"loss_labels": loss_labels.detach(), "loss_similarity": alike.detach()}
        return StepOutput(loss, logged)

    def alike(self, both: Tensor, pooled: Tensor) -> Tensor:
        """Mean loss of the predictor, of clips followed by their copies (2N, C, T, H, W) and their features (2N, S, D)
        -> ()"""
        assert self.predictor is not None
        with torch.no_grad():
            seen = cast(Backbone, self.target).map_and_pooled(both)[1]  # (2N, S, D)
        told = self.predictor(pooled)
        return alike_losses(told, seen.roll(len(seen) // 2, 0)).mean()

    def after_step(self) -> None:
        if self.target is not None:
            follow(self.target, self.model, self.decay)
