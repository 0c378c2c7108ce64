"""Histograms of the facts of videos, list by list, with round edges."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

BINS = 20  # of a histogram, about
KINDS = 10  # rows of ``by_kind``; the rest is one more
CLIPPED = 0.99  # share of the videos that decides how far a histogram reaches; the last bin has what lies behind


class Bin(NamedTuple):
    """One bar. ``counts``: of every list."""

    label: str
    counts: list[int]


def round_step(span: float, count: int) -> float:
    """A step of 1, 2 or 5 times a power of ten with which ``count`` steps or a few fewer cover ``span``."""
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def histogram(values: Sequence[float], lists: Sequence[int], num_lists: int, *, whole: bool = False) -> list[Bin]:
    """Bars of the same width from the smallest value on; ``label`` is the range, ``"2 – 2.5"``, of the last one
    ``"from 8"`` where it also has what lies far behind.

    Args:
        values: one per video.
        lists: which list it is in, 0 .. num_lists - 1.
        whole: values are whole numbers, and so are the edges.
    """
    if not values:
        return []
    ordered = sorted(values)
    low, reach = ordered[0], ordered[min(len(ordered) - 1, int(CLIPPED * len(ordered)))]
    step = round_step(max(reach - low, abs(low) * 0.02, 1e-3), BINS)
    step = max(step, 1.0) if whole else step
    first = math.floor(low / step + 1e-9)
    number = math.floor(reach / step + 1e-9) - first + 1
    bins = [[0] * num_lists for _ in range(number)]
    beyond = False
    for value, own in zip(values, lists, strict=True):
        at = math.floor(value / step + 1e-9) - first
        beyond |= at >= number
        bins[min(at, number - 1)][own] += 1
    labels = [_range(first + at, step, whole) for at in range(number)]
    if beyond:
        labels[-1] = f"from {_round((first + number - 1) * step)}"
    return [Bin(label, counts) for label, counts in zip(labels, bins, strict=True)]


def _range(at: int, step: float, whole: bool) -> str:
    if whole and step == 1:
        return _round(at)
    return f"{_round(at * step)} – {_round((at + 1) * step - (1 if whole else 0))}"


def _round(value: float) -> str:
    return f"{round(value, 6):g}"


def by_kind(kinds: Sequence[str], lists: Sequence[int], num_lists: int) -> list[Bin]:
    """One row for each kind, the most frequent first; of many the rarest together."""
    order = [kind for kind, _ in Counter(kinds).most_common()]
    shown = order if len(order) <= KINDS + 1 else order[:KINDS]
    place = {kind: at for at, kind in enumerate(shown)}
    rows = [[0] * num_lists for _ in range(len(shown) + (len(shown) < len(order)))]
    for kind, own in zip(kinds, lists, strict=True):
        rows[place.get(kind, len(shown))][own] += 1
    labels = [*shown, f"{len(order) - len(shown)} others"]
    return [Bin(label, counts) for label, counts in zip(labels, rows, strict=False)]
