"""A loader and models of plain numbers, for tests of the two loops."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class ToyBatch(NamedTuple):
    clips: Tensor
    labels: Tensor
    ids: Tensor
    luma: Tensor
    views: Tensor
    figures: None = None

    def to(self, device):
        return self


class ToyLoader:
    """Videos 0..n-1 in batches; the value of a video's pixels is its id, plus a tenth of the view."""

    def __init__(self, ids: list[int], *, views: int = 1, batch_size: int = 2):
        self.ids, self.num_views, self.batch_size, self.epoch = ids, views, batch_size, None
        self.skipped = {}

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.ids) // self.batch_size)

    def __iter__(self):
        for ids in torch.tensor(self.ids).split(self.batch_size) if self.ids else ():
            pixels = ids[:, None] + 0.1 * torch.arange(self.num_views)  # (B, V)
            clips = pixels[:, :, None, None, None, None].expand(-1, -1, 3, 2, 4, 4)
            yield ToyBatch(clips, ids % 3, ids, ids / 10, torch.arange(self.num_views).expand(len(ids), -1))


class Echo(nn.Module):
    """Logits that show which pixels came in, and how many clips at once."""

    def __init__(self):
        super().__init__()
        self.sizes, self.modes = [], []

    def forward(self, clips: Tensor) -> Tensor:
        self.sizes.append(len(clips))
        self.modes.append(self.training)
        value = clips.float().mean(dim=(1, 2, 3, 4))
        return torch.stack([value, -value, value * 10], 1)


class Choosing(Echo):
    """Also says of every clip whether its pixels are at least 3."""

    choices = {"large": (0.0, 1.0)}

    def score(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self(clips), {"large": clips.amax(dim=(1, 2, 3, 4)) >= 2.999}
