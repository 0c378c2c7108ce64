"""First half of Similarity min-max: a darkener learns to make clips look as unlike themselves to a trained network as a
dark picture can (Luo et al., ICCV 2023, arXiv 2307.08779)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fragrant.data.figures import Track
from fragrant.models.backbone import Backbone
from fragrant.objectives.darkening import (
    Darkener,
    Exposures,
    color_casts,
    exposure_errors,
    roughness,
    similarities,
)
from fragrant.objectives.objective import StepOutput
from fragrant.objectives.pixel_clips import PixelClips
from fragrant.objectives.unlabelled import Unlabelled

TERMS = ("similarity", "exposure_error", "roughness", "color_cast")  # in the order of their weights


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the darkener's loss."""

    similarity: float = 1.0
    exposure: float = 10.0
    smoothness: float = 200.0
    color: float = 5.0


def keys_of(ids: Sequence[int], epoch: int | str, seed: int) -> list[str]:
    """What the draws of the clips of videos follow from, of each video."""
    return [f"{seed}-{epoch}-{video}" for video in ids]


def keys_of_clips(keys: Sequence[str] | None, clips: int) -> list[str] | None:
    """The keys of the clips of videos, all of one before those of the next; None where the videos have none."""
    return None if keys is None else [f"{key}-{view}-dark" for key in keys for view in range(clips // len(keys))]


class LearnDarkener(Unlabelled):
    """Trains a darkener alone: the similarity of the features of a clip and of its dark copy becomes small, the dark
    copy has the exposure that was drawn, its curves are smooth, its colours stay near each other.

    Args:
        model: a trained network without its classifier; it stays as it is, in evaluation mode.
        darkener: what is trained.
        exposures: of the draws.
        pixels: from clips to pixels and back.
        weights: of the terms.
        seed: the exposure of a clip follows from it, the epoch and the video.
    """

    model: Backbone

    def __init__(
        self,
        model: Backbone,
        darkener: Darkener,
        exposures: Exposures,
        pixels: PixelClips,
        *,
        weights: Weights,
        seed: int = 0,
    ):
        super().__init__(model.requires_grad_(False))
        self.darkener, self.exposures, self.pixels = darkener, exposures, pixels
        self.weights, self.seed = weights, seed
        self.keys: list[str] | None = None  # of the videos of the next step

    def train(self, mode: bool = True) -> "LearnDarkener":
        super().train(mode)
        self.model.eval()
        return self

    def meet(self, ids: Sequence[int], epoch: int, figures: Track | None = None) -> None:
        self.keys = keys_of(ids, epoch, self.seed)

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss () and its terms, of clips (N, C, T, H, W); labels are not looked at."""
        keys, self.keys = self.keys, None
        terms = self.terms(clips, keys_of_clips(keys, len(clips)))
        loss = (terms * self._weights(terms)).sum(1).mean()
        return StepOutput(loss, dict(zip(TERMS, terms.detach().mean(0).unbind(), strict=True)))

    def terms(self, clips: Tensor, keys: Sequence[str] | None) -> Tensor:
        """The terms of the loss of every clip, before their weights: (N, C, T, H, W) -> (N, 4) float32"""
        pixels = self.pixels.pixels(clips)
        exposures = self.exposures(pixels, keys)
        dark, maps = self.darkener(pixels, exposures)
        with torch.no_grad():
            lit_features = self.model.map_and_pooled(clips)[1]
        dark_features = self.model.map_and_pooled(self.pixels.clips(dark))[1]
        with torch.autocast(clips.device.type, enabled=False):
            alike = similarities(dark_features, lit_features)
            errors = exposure_errors(dark, exposures, patch=self.exposures.patch)
            return torch.stack([alike, errors, roughness(maps), color_casts(dark)], 1)

    def _weights(self, terms: Tensor) -> Tensor:
        weights = self.weights
        return terms.new_tensor([weights.similarity, weights.exposure, weights.smoothness, weights.color])

    def observe(self, clips: Tensor, ids: Sequence[int]) -> Tensor:
        """The terms of each video, (B, 4)"""
        keys = keys_of_clips(keys_of(ids, "validation", self.seed), len(clips))
        return self.terms(clips, keys).unflatten(0, (len(ids), -1)).mean(1)

    def measure(self, rows: Tensor) -> dict[str, float]:
        loss = float((rows * self._weights(rows)).sum(1).mean())
        return {"loss": loss, **dict(zip(TERMS, rows.mean(0).tolist(), strict=True))}
