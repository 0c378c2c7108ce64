"""Contrast of views: two clips of one video should look alike to a network, those of other videos should not."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.distributed import gather_with_gradient
from fragrant.objectives.objective import StepOutput
from fragrant.objectives.unlabelled import Unlabelled


def contrastive_losses(
    own: Tensor, others: Tensor, *, first: int = 0, views: int = 2, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """NT-Xent (SimCLR, Chen et al. 2020), for any number of views: of every clip, mean over the other views of its
    video of -log softmax over all other clips, by cosine / temperature.

    Args:
        own: (n, E), vectors of length 1; the views of a video are neighbours.
        others: (m, E), all clips to tell apart, those of ``own`` among them from number ``first`` on.

    Returns:
        The loss and the mean cosine to the other views of the video, each (n,) float32.
    """
    own, others = own.float(), others.float()
    cosines = own @ others.T  # (n, m)
    number = torch.arange(len(others), device=own.device)
    mine = torch.arange(first, first + len(own), device=own.device)
    itself = number == mine[:, None]  # (n, m)
    alike = (number // views == mine[:, None] // views) & ~itself
    log_probs = (cosines / temperature).masked_fill(itself, -torch.inf).log_softmax(1)
    losses = -log_probs.masked_fill(~alike, 0.0).sum(1) / (views - 1)
    return losses, cosines.masked_fill(~alike, 0.0).sum(1) / (views - 1)


class Projector(nn.Sequential):
    """Two layers between pooled features and the vectors that are compared; pre-training alone needs them. No
    BatchNorm, through which clips could tell each other what they are (MoCo, He et al. 2020)."""

    def __init__(self, features: int, *, width: int = 512, dim: int = 128):
        super().__init__(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, dim))


class Contrast(Unlabelled):
    """Contrast of the views of videos, over the clips of all ranks together.

    Args:
        model: the encoder, without classes: (N, C, T, H, W) -> pooled features (N, D).
        views: clips of a video that come one after the other in a batch.
        temperature: what cosines are divided by; small: near misses count most.
        chunk: videos that a validation contrasts with each other.
    """

    def __init__(
        self, model: nn.Module, projector: Projector, *, views: int, temperature: float = 0.1, chunk: int = 16
    ):
        super().__init__(model)
        self.projector = projector
        self.views, self.temperature, self.chunk = views, temperature, max(chunk, 2)

    def vectors(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, E) float32 of length 1"""
        projected = self.projector(self.model(clips))
        return F.normalize(projected.float(), dim=1)

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss () and mean cosine of the views of a video, of clips (B*V, C, T, H, W); labels are not looked at."""
        own = self.vectors(clips)
        others, first = gather_with_gradient(own)
        with torch.autocast(clips.device.type, enabled=False):
            losses, cosines = contrastive_losses(
                own, others, first=first, views=self.views, temperature=self.temperature
            )
        return StepOutput(losses.mean(), {"view_cosine": cosines.detach().mean()})

    def observe(self, clips: Tensor, ids: Sequence[int]) -> Tensor:
        """The vectors of each video, (B, V, E)"""
        return self.vectors(clips).unflatten(0, (len(ids), -1))

    def measure(self, rows: Tensor) -> dict[str, float]:
        """Loss and cosine of a list, contrasted in chunks of neighbours: the same on any number of ranks."""
        chunks = [rows[at : at + self.chunk].flatten(0, 1) for at in range(0, len(rows), self.chunk)]
        if len(chunks) > 1 and len(chunks[-1]) == self.views:  # a video alone has nothing to be told from
            chunks.pop()
        found = [contrastive_losses(part, part, views=self.views, temperature=self.temperature) for part in chunks]
        losses, cosines = (torch.cat(values) for values in zip(*found, strict=True))
        return {"loss": float(losses.mean()), "view_cosine": float(cosines.mean())}
