"""Numbers of a validation and a test: accuracies, or mean average precision where videos have several labels."""

import math
from typing import NamedTuple

from torch import Tensor

from fragrant.metrics import Share, average_precision, topk_accuracy

Numbers = dict[str, float]  # in percent, under the names that published logs have: top1_err and top5_err, or map


def measure(scores: Tensor, labels: Tensor) -> Numbers:
    """Measures scores (N, K) against labels: class numbers (N,), or (N, K) bool where videos have several."""
    if labels.ndim > 1:
        return {"map": float(average_precision(scores, labels).nanmean())}
    top1, top5 = topk_accuracy(scores, labels).tolist()
    return {"top1_err": 100 - top1, "top5_err": 100 - top5}


def best_so_far(best: dict, epoch: int, numbers: Numbers) -> dict:
    """Updates the best result so far with an epoch's numbers: the earlier of two equally good epochs stays; the two
    smallest errors may come from different epochs."""
    if "map" in numbers:
        return best if best.get("map", -math.inf) >= numbers["map"] else {"epoch": epoch, **numbers}
    smallest = {"top5_err": min(numbers["top5_err"], best.get("top5_err", 100.0))}
    return {
        **(best if best.get("top1_err", math.inf) <= numbers["top1_err"] else {"epoch": epoch, **numbers}),
        **smallest,
    }


def best_fields(best: dict) -> Numbers:
    """Fields of the best result so far, under the names of the log."""
    return (
        {"max_map": best["map"]} if "map" in best else {f"min_{name}": best[name] for name in ("top1_err", "top5_err")}
    )


def figure(numbers: Numbers) -> str:
    return f"{numbers['map'] if 'map' in numbers else 100 - numbers['top1_err']:.2f} %"


def in_words(numbers: Numbers) -> str:
    return f"{'mAP' if 'map' in numbers else 'top-1'} {figure(numbers)}"


def scalars(split: str, numbers: Numbers) -> dict[str, float]:
    """Scalars of an evaluation for TensorBoard: ``{"Val/Top1_err": 20.0, ...}``"""
    return {f"{split}/{'mAP' if name == 'map' else name.capitalize()}": value for name, value in numbers.items()}


class EvaluationReport(NamedTuple):
    """The results of a test in four forms: for the published log, with the numbers that are not rounded, for people,
    for TensorBoard."""

    stats: dict[str, str]
    numbers: dict[str, float]
    text: str
    scalars: dict[str, float]


def evaluation_report(summary: dict) -> EvaluationReport:
    """Builds the report from the summary of ``scores.summarise``."""
    if "mean_average_precision" in summary:
        value = summary["mean_average_precision"]
        text = f"mAP {value:.2f} % of {summary['videos']} videos"
        return EvaluationReport({"map": f"{value:.2f}"}, {"map": value}, text, {"Test/mAP": value})
    top1, top5, k = Share(**summary["top1"]), Share(**summary["top5"]), summary["top5_k"]
    stats = {"top1_acc": f"{top1.percent:.2f}", "top5_acc": f"{top5.percent:.2f}"}
    numbers = {"top1": top1.percent, f"top{k}": top5.percent}
    scalars = {"Test/Top1_acc": top1.percent, "Test/Top5_acc": top5.percent}
    return EvaluationReport(stats, numbers, f"top-1 {top1}, top-{k} {top5}", scalars)
