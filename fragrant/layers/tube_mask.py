"""The parts of clips that are hidden from a network: tubes, the same places in every frame."""

import random
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class TubeMask(NamedTuple):
    """Hidden tubes of a batch of clips.

    Attributes:
        hidden: (N, rows, columns) bool, a tube each; True = hidden in all frames.
        num_visible: tubes of a clip that are not hidden, the same for every clip: known without asking the GPU.
    """

    hidden: Tensor
    num_visible: int

    def on_grid(self, rows: int, columns: int) -> Tensor:
        """The mask on a finer grid, whose rows and columns are multiples of its own: (N, rows, columns) bool"""
        _, own_rows, own_columns = self.hidden.shape
        return self.hidden.repeat_interleave(rows // own_rows, 1).repeat_interleave(columns // own_columns, 2)

    def visible(self, rows: int, columns: int) -> Tensor:
        """Places of a finer grid that are not hidden: (N, P) int64, in rising order.

        As many for every clip, which is known without asking the GPU."""
        _, own_rows, own_columns = self.hidden.shape
        count = self.num_visible * (rows // own_rows) * (columns // own_columns)
        return self.on_grid(rows, columns).flatten(1).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]


class Draws(Protocol):
    """What draws: ``random.Random``, or the module ``random``."""

    def sample(self, population: range, k: int) -> list[int]: ...


def num_hidden(tubes: int, ratio: float) -> int:
    """Tubes to hide of so many, at least one, and at least one is left."""
    return min(max(round(ratio * tubes), 1), tubes - 1)


def draw_tubes(
    clips: int, rows: int, columns: int, ratio: float, *, keys: Sequence[str] | None = None, device=None
) -> TubeMask:
    """Draws the hidden tubes of every clip, all choices equally likely.

    Args:
        ratio: share of the tubes that is hidden, see ``num_hidden``.
        keys: one per clip, from which alone its draw follows; None = draw from the module ``random``.
    """
    tubes = rows * columns
    count = num_hidden(tubes, ratio)
    drawn: list[Draws] = [random.Random(key) for key in keys] if keys is not None else [random] * clips
    places = torch.tensor([draws.sample(range(tubes), count) for draws in drawn])  # (N, count)
    hidden = torch.zeros(clips, tubes, dtype=torch.bool).scatter_(1, places, True)
    return TubeMask(hidden.unflatten(1, (rows, columns)).to(device, non_blocking=True), tubes - count)
