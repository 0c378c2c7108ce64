"""Numbers from a score table: values in, values out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fragrant.errors import UserError
from fragrant.registry import did_you_mean

SPACES = ("logits", "softmax")
METHODS = ("sum", "mean", "max")


class ScoreError(UserError):
    """A score table that no number should be computed from."""


def topk_correct(scores: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5)) -> Tensor:
    """(N, K), class numbers (N,) -> (len(ks), N) bool: is the label among the k best classes? With K < k classes, k is K.

    Equal scores rank by class number, as argmax has it, so the answer is the same on every device. A row with a NaN is never
    correct. Does not wait for the GPU.
    """
    assert scores.ndim == 2 and labels.shape == scores.shape[:1] and min(ks) >= 1, (scores.shape, labels.shape, ks)
    num_classes = scores.shape[1]
    own = scores.gather(1, labels[:, None])  # (N, 1)
    lower_class = torch.arange(num_classes, device=scores.device) < labels[:, None]  # (N, K)
    ahead = (scores > own) | ((scores == own) & lower_class)  # (N, K)
    rank = ahead.sum(1).masked_fill(scores.isnan().any(1), num_classes)  # (N,)
    return torch.stack([rank < min(k, num_classes) for k in ks])


def topk_accuracy(scores: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5)) -> Tensor:
    """(N, K), (N,) -> (len(ks),) float64: percent of the rows that are correct within k; NaN for a table without rows."""
    return 100 * topk_correct(scores, labels, ks).double().mean(1)


def ensemble(logits: Tensor, *, space: str = "logits", method: str = "sum") -> Tensor:
    """(N, V, K), the logits of every view of N videos -> (N, K): one score per video and class, float32 or better.

    Args:
        space: "logits" combines raw logits, as UniFormer's published numbers do; "softmax" combines probabilities, as SlowFast's
            heads do. The two predict differently.
        method: "sum" and "mean" over the views predict alike; "max" takes the best view of each class.

    Raises:
        UserError: space or method is not known.
    """
    if space not in SPACES:
        raise UserError(f"TEST.ENSEMBLE_SPACE '{space}' is not known; {did_you_mean(space, SPACES)}Known: {', '.join(SPACES)}")
    if method not in METHODS:
        raise UserError(f"DATA.ENSEMBLE_METHOD '{method}' is not known; {did_you_mean(method, METHODS)}Known: {', '.join(METHODS)}")
    assert logits.ndim == 3 and logits.shape[1] >= 1, logits.shape
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if space == "softmax":
        scores = scores.softmax(-1)
    return scores.amax(1) if method == "max" else getattr(scores, method)(1)  # (N, K)


def complete_order(ids: Tensor, num_videos: int) -> Tensor:
    """Video ids (N,) in the order they were scored -> (N,) long: ``scores[complete_order(ids, n)]`` is in list order.

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
    raise ScoreError(f"score table of {len(ids)} rows for {num_videos} videos: {text}; allowed: every video exactly once")


def _some(numbers: list[int], most: int = 10) -> str:
    return ", ".join(map(str, numbers[:most])) + (", ..." if len(numbers) > most else "")
