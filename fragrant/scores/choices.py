"""Counts of what a model chose for the views of each video (DGAM: its gamma), and how they go with the video's
brightness."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fragrant.metrics import rank_correlation

SAME = 1e-5  # values that differ by less are one: tables hold float32


class Chosen(NamedTuple):
    """Counts of the views of each video that got each value: values ascending, counts (n, number of values)."""

    values: tuple[float, ...]
    counts: Tensor

    def mean(self) -> Tensor:
        """Mean chosen value of each video: (n,) float64; NaN where no choice is known."""
        return (self.counts.double() @ torch.tensor(self.values, dtype=torch.float64)) / self.counts.sum(1)


def count_choices(choices: Mapping[str, Tensor], values: Mapping[str, Sequence[float]]) -> dict[str, Chosen]:
    """Counts for each video how many of its views got each value: name -> (n, V), NaN = not known.

    Args:
        values: the possible values of each name, also those that no view got; values found beyond them are added.
    """
    counted = {}
    for name, taken in choices.items():
        found = taken[~taken.isnan()].double().unique().tolist()
        named = list(values.get(name, ()))
        levels = sorted(named + [value for value in found if all(abs(value - other) > SAME for other in named)])
        counts = [((taken.double() - value).abs() < SAME).sum(1) for value in levels]
        counted[name] = Chosen(
            tuple(levels), torch.stack(counts, 1) if counts else torch.zeros(len(taken), 0, dtype=torch.long)
        )
    return counted


def summarise_choices(choices: Mapping[str, Chosen], luma: Tensor) -> dict[str, dict]:
    """Summarises each kind of choice: the values, how many views got each, their median luma, and the rank correlation
    of the values with darkness.

    "correlation_with_darkness" is Spearman's, between minus a video's luma and the mean choice over its views; None
    where either is the same for all videos, or not known."""
    numbers = {}
    for name, (values, counts) in choices.items():
        mean = choices[name].mean()
        known = ~(luma.isnan() | mean.isnan())
        # float32: what rounding alone makes differ is equal again
        correlation = rank_correlation(-luma[known], mean[known].float())
        light = [luma[known].repeat_interleave(column) for column in counts[known].unbind(1)]  # of every view
        numbers[name] = {
            "values": list(values),
            "views": counts.sum(0).tolist(),
            "median_luma": [float(views.median()) if len(views) else None for views in light],
            "videos": int((counts.sum(1) > 0).sum()),
            "correlation_with_darkness": None if math.isnan(correlation) else correlation,
        }
    return numbers


def describe_choices(numbers: Mapping[str, dict]) -> list[str]:
    """One line of text per kind of choice, from the numbers of ``summarise_choices``."""
    lines = []
    for name, row in numbers.items():
        views = ", ".join(f"{value:g} in {count}" for value, count in zip(row["values"], row["views"], strict=True))
        correlation = row["correlation_with_darkness"]
        light = "" if correlation is None else f"; rank correlation with darkness {correlation:.2f}"
        lines.append(f"{name}: {views} views of {row['videos']} videos{light}")
    return lines
