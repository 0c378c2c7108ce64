"""Pseudo-labels: which videos of a scored list are sure enough to train on, and with which probabilities."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fragrant.metrics import ScoreError


class Rule(NamedTuple):
    """What a video must pass to be kept; all that is given counts.

    Attributes:
        top_share: above 0: of the videos that are predicted to be of a class, this share, the surest ones, at least one
            (Nightcrawler, UG2+ 2022, takes a threshold for each class; the share is ours).
        quantile: above 0: the probability of the predicted class must reach this quantile of that class's
            probability over all videos.
        thresholds: the probability of the predicted class must reach this: one number, or one for each class; () = 0.
        temperature: targets are p ** (1 / temperature), scaled to a sum of 1: below 1 sharper, 1 = as they are.
    """

    top_share: float = 0.0
    quantile: float = 0.0
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0

    def __str__(self) -> str:
        words = [f"top share {self.top_share:g} of each predicted class"] if self.top_share else []
        words += [f"quantile {self.quantile:g} of each class"] if self.quantile else []
        words += [f"threshold {', '.join(f'{value:g}' for value in self.thresholds)}"] if self.thresholds else []
        words += [f"temperature {self.temperature:g}"] if self.temperature != 1 else []
        return "; ".join(words) or "every video"


class OfClass(NamedTuple):
    """What became of the videos that are predicted to be of a class: how many, how many are kept, and from which
    probability on."""

    predicted: int
    kept: int
    threshold: float


class PseudoLabels(NamedTuple):
    """Attributes:
    rows: of the videos that are kept, in the order of the list.
    targets: (len(rows), K) float64 probabilities of every class.
    classes: what became of each class.
    lost: how many videos have NaN or infinite scores, which are not kept.
    """

    rows: list[int]
    targets: Tensor
    classes: list[OfClass]
    lost: int


def check_rule(rule: Rule, num_classes: int) -> None:
    """Raises ScoreError where a number of a rule cannot be."""
    for name, value in (("--top-share", rule.top_share), ("--quantile", rule.quantile)):
        if not 0 <= value <= 1:
            raise ScoreError(f"{name} {value:g} is not between 0 and 1")
    if any(not 0 <= value <= 1 for value in rule.thresholds):
        raise ScoreError(f"--threshold {', '.join(map(str, rule.thresholds))}: allowed: numbers from 0 to 1")
    if len(rule.thresholds) not in (0, 1, num_classes):
        raise ScoreError(
            f"--threshold has {len(rule.thresholds)} numbers; allowed: 1, or one for each of the {num_classes} classes"
        )
    if not 0 < rule.temperature < math.inf:
        raise ScoreError(f"--temperature {rule.temperature:g} must be above 0 and finite")


def pseudo_labels(probs: Tensor, rule: Rule) -> PseudoLabels:
    """Picks what is trained on: (n, K) probabilities -> rows and soft targets. Equal videos: the first in the list.

    Raises:
        ScoreError: see ``check_rule``.
    """
    check_rule(rule, probs.shape[1])
    probs = probs.double()
    known = probs.isfinite().all(1)
    confidence, predicted = probs.nan_to_num(0.0).max(1)  # (n,), (n,)
    kept, classes = torch.zeros(len(probs), dtype=torch.bool), []
    for label in range(probs.shape[1]):
        own = (known & (predicted == label)).nonzero().flatten()  # of this class
        threshold = _threshold(probs[known, label], rule, label)
        passed = own[confidence[own] >= threshold]
        if rule.top_share:
            most = max(1, round(rule.top_share * len(own)))
            passed = passed[confidence[passed].argsort(descending=True, stable=True)[:most]]
        kept[passed] = True
        lowest = float(confidence[passed].min()) if len(passed) else threshold
        classes.append(OfClass(len(own), len(passed), max(threshold, lowest)))
    rows = kept.nonzero().flatten()
    targets = (probs[rows].clamp(min=1e-12).log() / rule.temperature).softmax(-1)
    return PseudoLabels(rows.tolist(), targets, classes, int((~known).sum()))


def _threshold(probs: Tensor, rule: Rule, label: int) -> float:
    """The probability that a class must reach: the higher of quantile and absolute number."""
    of_quantile = float(probs.quantile(rule.quantile)) if rule.quantile and len(probs) else 0.0
    given = rule.thresholds[label if len(rule.thresholds) > 1 else 0] if rule.thresholds else 0.0
    return max(of_quantile, given)


def describe(labels: PseudoLabels, names: Sequence[str]) -> list[str]:
    """One line for each class: how many are predicted and kept, from which probability on."""
    width = max(map(len, names))
    return [
        f"  {name:{width}}  {of.kept} of {of.predicted} kept" + (f", from {of.threshold:.3f} on" if of.kept else "")
        for name, of in zip(names, labels.classes, strict=True)
    ]
