"""Numbers of a validation and a test: accuracies, mean average precision where videos have several labels, or the loss
where nobody needs labels."""

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from fragrant.metrics import Share, average_precision, in_words_not_finite, topk_accuracy
from fragrant.scores.summary import careful

# in percent, under the names that published logs have: top1_err and top5_err, or map; or the loss, and what the
# objective logs beside it; not_finite: videos whose scores are no numbers, where there are any
Numbers = dict[str, float]


def measure(scores: Tensor, labels: Tensor) -> Numbers:
    """Measures scores (N, K) against labels: class numbers (N,), or (N, K) bool where videos have several; a row with
    a NaN counts as wrong, and is counted"""
    lost = int(scores.isnan().any(1).sum())
    counted: Numbers = {"not_finite": lost} if lost else {}
    if labels.ndim > 1:
        return {"map": float(average_precision(scores, labels).nanmean()), **counted}
    top1, top5 = topk_accuracy(scores, labels).tolist()
    return {"top1_err": 100 - top1, "top5_err": 100 - top5, **counted}


def measure_loss(rows: Tensor, of_rows: Callable[[Tensor], dict[str, float]]) -> Numbers:
    """Measures the loss of a list from what was kept of each video, (n, ...); videos with a number that is not finite
    are left out, and counted."""
    finite = rows.flatten(1).isfinite().all(1)
    lost = int((~finite).sum())
    numbers = of_rows(rows[finite]) if finite.any() else {"loss": math.nan}
    return numbers | ({"not_finite": lost} if lost else {})


def _main(numbers: Numbers) -> str:
    """The field that the best epoch is picked by."""
    return "loss" if "loss" in numbers else "map" if "map" in numbers else "top1_err"


def merit(numbers: Numbers) -> float:
    """The figure that the best epoch is picked by, larger is better; what is no number is worse than all."""
    name = _main(numbers)
    value = float(numbers[name]) if name == "map" else -float(numbers[name])
    return -math.inf if math.isnan(value) else value


def best_so_far(best: dict, epoch: int, numbers: Numbers) -> dict:
    """Updates the best result so far with an epoch's numbers: the earlier of two equally good epochs stays; the two
    smallest errors may come from different epochs. A run that goes on with labels of another kind begins anew."""
    stays = _main(numbers) in best and merit(best) >= merit(numbers)
    found = best if stays else {"epoch": epoch, **numbers}
    if "top5_err" not in numbers:
        return found
    return {**found, "top5_err": min(numbers["top5_err"], best.get("top5_err", 100.0))}


def best_fields(best: dict) -> Numbers:
    """Fields of the best result so far, under the names of the log."""
    names = ("loss",) if "loss" in best else ("map",) if "map" in best else ("top1_err", "top5_err")
    fields = {f"{'max' if name == 'map' else 'min'}_{name}": best[name] for name in names}
    return fields | ({"best_not_finite": best["not_finite"]} if "not_finite" in best else {})


def figure(numbers: Numbers) -> str:
    lost = int(numbers.get("not_finite", 0))
    note = f" ({in_words_not_finite(lost)})" if lost else ""
    if "loss" in numbers:
        return f"{numbers['loss']:.4f}{note}"
    return f"{numbers['map'] if 'map' in numbers else 100 - numbers['top1_err']:.2f} %{note}"


def in_words(numbers: Numbers) -> str:
    if "loss" in numbers:
        return f"loss {figure(numbers)}"
    return f"{'mAP' if 'map' in numbers else 'top-1'} {figure(numbers)}"


def scalars(split: str, numbers: Numbers) -> dict[str, float]:
    """Scalars of an evaluation for TensorBoard: ``{"Val/Top1_err": 20.0, ...}``; nothing where some scores are no
    numbers."""
    if "not_finite" in numbers:
        return {}
    names = {"map": "mAP"} | {name: name for name in numbers if "loss" in numbers}
    return {f"{split}/{names.get(name, name.capitalize())}": value for name, value in numbers.items()}


class EvaluationReport(NamedTuple):
    """The results of a test in four forms: for the published log, with the numbers that are not rounded, for people,
    for TensorBoard."""

    stats: dict[str, str]
    numbers: dict[str, float]
    text: str
    scalars: dict[str, float]


def evaluation_report(summary: dict) -> EvaluationReport:
    """From ``scores.summarise``; where some scores are no numbers, text and stats say so, and there are no scalars."""
    lost, note = summary.get("not_finite"), careful(summary)
    if lost:
        told = evaluation_report({name: value for name, value in summary.items() if name != "not_finite"})
        stats = {**told.stats, "not_finite": str(lost["videos"])}
        return EvaluationReport(stats, told.numbers | {"not_finite": lost["videos"]}, told.text + note, {})
    if "mean_average_precision" in summary:
        value = summary["mean_average_precision"]
        text = f"mAP {value:.2f} % of {summary['videos']} videos"
        return EvaluationReport({"map": f"{value:.2f}"}, {"map": value}, text, {"Test/mAP": value})
    top1, top5, k = Share(**summary["top1"]), Share(**summary["top5"]), summary["top5_k"]
    stats = {"top1_acc": f"{top1.percent:.2f}", "top5_acc": f"{top5.percent:.2f}"}
    numbers = {"top1": top1.percent, f"top{k}": top5.percent}
    scalars = {"Test/Top1_acc": top1.percent, "Test/Top5_acc": top5.percent}
    return EvaluationReport(stats, numbers, f"top-1 {top1}, top-{k} {top5}", scalars)
