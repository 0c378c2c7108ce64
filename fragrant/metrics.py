"""Metrics of scores and labels: values in, values out."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from fragrant.errors import UserError
from fragrant.registry import did_you_mean

SPACES = ("logits", "softmax", "relu", "sigmoid")
METHODS = ("sum", "mean", "max")
EMPTY_CLASSES = ("left out", "is predicted", "always")


class ScoreError(UserError):
    """A score table, or an argument, that no metric can be computed from."""


def topk_correct(scores: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5)) -> Tensor:
    """Whether each label is among the k best classes: scores (N, K), class numbers (N,) -> (len(ks), N) bool. With K <
    k classes, k is K.

    Equal scores rank by class number, as argmax has it, so the answer is the same on every device. A row with a NaN is
    never correct. Does not wait for the GPU."""
    assert scores.ndim == 2 and labels.shape == scores.shape[:1] and min(ks) >= 1, (scores.shape, labels.shape, ks)
    num_classes = scores.shape[1]
    own = scores.gather(1, labels[:, None])  # (N, 1)
    lower_class = torch.arange(num_classes, device=scores.device) < labels[:, None]  # (N, K)
    ahead = (scores > own) | ((scores == own) & lower_class)  # (N, K)
    rank = ahead.sum(1).masked_fill(scores.isnan().any(1), num_classes)  # (N,)
    return torch.stack([rank < min(k, num_classes) for k in ks])


def topk_accuracy(scores: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5)) -> Tensor:
    """Top-k accuracies in percent: scores (N, K), class numbers (N,) -> (len(ks),) float64; NaN for a table without
    rows."""
    return 100 * topk_correct(scores, labels, ks).double().mean(1)


def not_finite(logits: Tensor) -> Tensor:
    """(N, V, K) -> (N,) bool: is any logit of any view NaN or infinite? Then nothing is known about the video."""
    return ~logits.isfinite().flatten(1).all(1)


def in_words_not_finite(videos: int) -> str:
    """What stands beside every number that such videos are in."""
    return f"{videos} video{'s' if videos != 1 else ''} with NaN or infinite scores"


def ensemble(logits: Tensor, *, space: str = "logits", method: str = "sum") -> Tensor:
    """Ensembles the views of each video: logits (N, V, K) of V views of N videos -> scores (N, K), float32 or better.

    Args:
        space: "logits" combines raw logits, as UniFormer's published numbers do; "softmax" combines probabilities, as
            SlowFast's
            heads do; "relu" combines logits of which those below 0 count 0, as TDN does for several models; "sigmoid"
            combines a probability of each class on its own, for videos with several labels. They predict differently.
        method: "sum" and "mean" over the views predict alike; "max" takes the best view of each class.

    Raises:
        UserError: space or method is not known.
    """
    if space not in SPACES:
        raise UserError(
            f"TEST.ENSEMBLE_SPACE '{space}' is not known; {did_you_mean(space, SPACES)}Known: {', '.join(SPACES)}"
        )
    if method not in METHODS:
        raise UserError(
            f"DATA.ENSEMBLE_METHOD '{method}' is not known; {did_you_mean(method, METHODS)}Known: {', '.join(METHODS)}"
        )
    assert logits.ndim == 3 and logits.shape[1] >= 1, logits.shape
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if space == "softmax":
        scores = scores.softmax(-1)
    elif space == "relu":
        scores = scores.relu()
    elif space == "sigmoid":
        scores = scores.sigmoid()
    return scores.amax(1) if method == "max" else getattr(scores, method)(1)  # (N, K)


def complete_order(ids: Tensor, num_videos: int) -> Tensor:
    """Order that sorts scored videos by their ids (N,), (N,) long: ``scores[complete_order(ids, n)]`` is in list order.

    Raises:
        ScoreError: not every id of 0 .. num_videos - 1 is there exactly once; names those that are wrong.
    """
    ids = ids.cpu()  # waits for the GPU: once per evaluation
    assert ids.ndim == 1, ids.shape
    order = ids.argsort()
    if torch.equal(ids[order], torch.arange(num_videos, dtype=ids.dtype)):
        return order
    found, counts = ids.unique(return_counts=True)
    known = (found >= 0) & (found < num_videos)
    missing = sorted(set(range(num_videos)) - set(found.tolist()))
    faults = {
        "missing": missing,
        "scored more than once": found[known & (counts > 1)].tolist(),
        "not in the list": found[~known].tolist(),
    }
    text = "; ".join(f"{len(wrong)} {fault} (ids {_some(wrong)})" for fault, wrong in faults.items() if wrong)
    raise ScoreError(
        f"score table of {len(ids)} rows for {num_videos} videos: {text}; allowed: every video exactly once"
    )


def _some(numbers: list[int], most: int = 10) -> str:
    return ", ".join(map(str, numbers[:most])) + (", ..." if len(numbers) > most else "")


# --------------------------------------------------------------------------------------- one number, and how sure it is
class Share(NamedTuple):
    """A proportion ``correct`` of ``total`` in percent, with its Wilson interval."""

    correct: int
    total: int
    percent: float  # NaN of none
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.percent:.2f} % [{self.low:.1f}, {self.high:.1f}] ({self.correct} of {self.total})"


def share(correct: int, total: int, *, z: float = 1.959964) -> Share:
    """Proportion in percent with its Wilson (1927) score interval, 95 % for the default ``z``: it fits small sets,
    where the usual +- does not."""
    if not total:
        return Share(correct, total, math.nan, 0.0, 100.0)
    p, z2 = correct / total, z * z
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    low, high = (0.0 if correct == 0 else middle - half), (1.0 if correct == total else middle + half)
    return Share(correct, total, 100 * p, 100 * low, 100 * high)


class McNemar(NamedTuple):
    """Outcome of McNemar's test of two models on the same videos: the numbers that only one of them has right, and the
    p-value."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


def mcnemar(first: Tensor, second: Tensor) -> McNemar:
    """McNemar's exact two-sided test (1947), binomial with 1/2 over the videos that differ; first, second: (N,) bool,
    whether each model has each video right."""
    a, b = first.bool(), second.bool()
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    differing, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(differing, k) for k in range(fewer + 1))
    p_value = min(1.0, float(Fraction(2 * tail, 2**differing)))
    return McNemar(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()), p_value)


# ------------------------------------------------------------------------------------------------------------- by class
def predicted(scores: Tensor) -> Tensor:
    """Predicted classes: scores (N, K) -> (N,) class numbers; of equal scores the lower class; -1 for a row with a
    NaN."""
    return scores.argmax(1).masked_fill(scores.isnan().any(1), -1)


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Confusion matrix: predictions (N,), labels (N,) -> (K, K) long, row = true class, column = predicted class. A
    prediction of -1 (no score) is in no column."""
    keep = predictions >= 0
    cells = labels[keep] * num_classes + predictions[keep]
    return cells.bincount(minlength=num_classes**2).unflatten(0, (num_classes, num_classes))


class ClassCounts(NamedTuple):
    """Counts of every class: its videos, those of them that were recognised, and how often it was predicted; (K,) long
    each."""

    videos: Tensor
    correct: Tensor
    predicted: Tensor


def class_counts(predictions: Tensor, labels: Tensor, num_classes: int) -> ClassCounts:
    """Counts each class in predictions (N,) and labels (N,)."""
    right = labels[predictions == labels]
    given = predictions[predictions >= 0]
    return ClassCounts(*(numbers.bincount(minlength=num_classes) for numbers in (labels, right, given)))


def mean_class_accuracy(counts: ClassCounts, *, empty: str = "left out") -> float:
    """Mean class accuracy in percent: the mean over the classes of the share of recognised videos; NaN where no class
    counts.

    Args:
        empty: a class without a video is "left out" (the usual definition), or counts 0 if it "is predicted" at all
            (mmaction2's
            numbers), or counts 0 "always". On small test sets these differ by points.
    """
    if empty not in EMPTY_CLASSES:
        raise UserError(f"empty classes '{empty}' is not known; Known: {', '.join(EMPTY_CLASSES)}")
    counted = {
        "left out": counts.videos > 0,
        "is predicted": counts.videos + counts.predicted > 0,
        "always": counts.videos >= 0,
    }[empty]
    recalls = counts.correct.double() / counts.videos.clamp(min=1)
    return 100 * float(recalls[counted].mean())


# ------------------------------------------------------------------------------------------- probabilities, many labels
def calibration_error(probs: Tensor, right: Tensor, *, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017) in percent: |accuracy - confidence| of ``bins`` equal ranges of
    confidence, by size.

    Args:
        probs: (N, K), rows sum to 1.
        right: (N,) bool, is the most probable class the label?

    Rows with a NaN have no confidence and are left out; NaN where no row is left.
    """
    known = ~probs.isnan().any(1)
    probs, right = probs[known], right[known]
    confidence, right = probs.double().amax(1), right.double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1  # ranges (0, 1/bins], ...
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, right - confidence)
    return 100 * float(gaps.abs().sum() / len(probs)) if len(probs) else math.nan


def average_precision(scores: Tensor, targets: Tensor) -> Tensor:
    """Average precision of each class in percent, the area under its precision-recall steps: scores (N, K), targets (N,
    K) bool -> (K,) float64; NaN without a positive.

    Equal scores count as one step, so that the order of the videos does not matter. A row with a NaN is behind all
    others."""
    scores = scores.double()
    scores = scores.masked_fill(scores.isnan().any(1, keepdim=True), -math.inf)
    columns = [_average_precision(scores[:, k], targets[:, k].bool()) for k in range(scores.shape[1])]
    return 100 * torch.tensor(columns, dtype=torch.float64)


def _average_precision(scores: Tensor, positive: Tensor) -> float:
    if not bool(positive.any()):
        return math.nan
    order = scores.argsort(descending=True, stable=True)
    hits, ranked = positive[order].double().cumsum(0), scores[order]
    # last of equal scores
    ends = torch.cat([(ranked[1:] != ranked[:-1]).nonzero().flatten(), torch.tensor([len(ranked) - 1])])
    precision, recall = hits[ends] / (ends + 1), hits[ends] / hits[-1]
    return float((recall.diff(prepend=torch.zeros(1, dtype=torch.float64)) * precision).sum())


# -------------------------------------------------------------------------------------------------------- by brightness
class Group(NamedTuple):
    """A group of videos of similar brightness: from ``low`` to ``high``, and how many of them are right."""

    low: float
    high: float
    share: Share


def by_quantile(values: Tensor, right: Tensor, *, groups: int = 4) -> list[Group]:
    """Groups videos by quantiles of a value, from the lowest to the highest: values (N,), right (N,) bool. Groups have
    equally many videos, but equal values stay together.

    Videos without a value (NaN) are in no group; fewer different values than groups give fewer groups."""
    known = ~values.isnan()
    values, order = values[known].double().sort(stable=True)
    right = right[known][order]
    if not len(values):
        return []
    edges = {0, len(values)}
    for number in range(1, groups):
        cut = round(len(values) * number / groups)
        edges.add(
            int(torch.searchsorted(values, values[cut : cut + 1], right=False)) if cut < len(values) else len(values)
        )
    bounds = sorted(edges)
    return [
        Group(float(values[start]), float(values[end - 1]), share(int(right[start:end].sum()), end - start))
        for start, end in zip(bounds, bounds[1:], strict=False)
    ]


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two values (N,), -1 .. 1; equal values share their mean rank. NaN where one of
    both does not vary."""
    ranks = torch.stack([_ranks(first), _ranks(second)])
    ranks -= ranks.mean(1, keepdim=True)
    lengths = ranks.norm(dim=1)
    return float(ranks[0] @ ranks[1] / lengths.prod()) if len(first) else math.nan


def _ranks(values: Tensor) -> Tensor:
    """Ranks of values (N,) in ascending order, float64; equal values share their mean rank."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2).double()[place]
