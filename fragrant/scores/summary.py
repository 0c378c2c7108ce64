"""Summary of a test from its video scores: a plain dict for JSON, and lines of text."""

import math

from fragrant.metrics import (
    Share,
    average_precision,
    by_quantile,
    calibration_error,
    class_counts,
    confusion_matrix,
    in_words_not_finite,
    mean_class_accuracy,
    predicted,
    share,
    topk_correct,
)
from fragrant.scores.choices import describe_choices, summarise_choices
from fragrant.scores.ensemble import VideoScores

LUMA_GROUPS = 4


def class_name(video: VideoScores, number: int) -> str:
    return video.class_names[number] if video.class_names else f"class {number}"


def summarise(scores: VideoScores, *, luma_groups: int = LUMA_GROUPS) -> dict:
    """Summarises a test as a plain dict; percentages are numbers, rates are {"correct", "total", "percent", "low",
    "high"}.

    Videos of unknown class do not count. "top5" is top-k with k = min(5, K), k stands in "top5_k". Where videos have
    several labels: "mean_average_precision", and "average_precision" of each class. "choices", where the model made
    any, as from ``summarise_choices``. "not_finite", only where there are any: number and paths of the videos with NaN
    or infinite scores; they count as wrong."""
    scores = scores.labelled()
    n, num_classes = scores.scores.shape
    summary = {"videos": n, "classes": num_classes, "rule": scores.rule}
    if bool((lost := scores.not_finite).any()):
        paths = [scores.paths[row] for row in lost.nonzero().flatten().tolist()]
        summary["not_finite"] = {"videos": len(paths), "paths": paths}
    if scores.choices:
        summary["choices"] = summarise_choices(scores.choices, scores.luma)
    if scores.labels.ndim > 1:
        precisions = average_precision(scores.scores, scores.labels)
        return summary | {
            "mean_average_precision": float(precisions.nanmean()),
            "average_precision": [None if math.isnan(value) else value for value in precisions.tolist()],
        }
    top1, top5 = topk_correct(scores.scores, scores.labels)
    predictions = predicted(scores.scores)
    counts = class_counts(predictions, scores.labels, num_classes)
    return summary | {
        "top1": share(int(top1.sum()), n)._asdict(),
        "top5": share(int(top5.sum()), n)._asdict(),
        "top5_k": min(5, num_classes),
        "mean_class": mean_class_accuracy(counts),
        "empty_classes": int((counts.videos == 0).sum()),
        "mean_class_predicted_empty_as_0": mean_class_accuracy(counts, empty="is predicted"),
        "calibration_error": calibration_error(scores.probs, top1),
        "by_luma": [
            group._asdict() | {"share": group.share._asdict()}
            for group in by_quantile(scores.luma, top1, groups=luma_groups)
        ],
        "per_class": [
            {"class": class_name(scores, number), "predicted": given, **share(correct, videos)._asdict()}
            for number, (videos, correct, given) in enumerate(zip(*(column.tolist() for column in counts), strict=True))
        ],
        "confusion": confusion_matrix(predictions, scores.labels, num_classes).tolist(),
    }


def careful(summary: dict) -> str:
    """``"; 3 videos with NaN or infinite scores"``, to follow every number that they are in; "" without any."""
    lost = summary.get("not_finite")
    return f"; {in_words_not_finite(lost['videos'])}" if lost else ""


def name_not_finite(summary: dict, most: int = 10) -> str:
    """Which videos these are, in one line."""
    paths, total = summary["not_finite"]["paths"], summary["videos"]
    return (
        f"{in_words_not_finite(len(paths))}, of {total}, which count as wrong: "
        f"{', '.join(paths[:most])}{', ...' if len(paths) > most else ''}"
    )


def describe_summary(summary: dict, *, per_class: bool = False) -> list[str]:
    """Describes a summary in lines of text; intervals are Wilson's, 95 %."""
    if not summary["videos"]:
        return ["no video with a known class"]
    choices, note = describe_choices(summary.get("choices", {})), careful(summary)
    named = [name_not_finite(summary)] if note else []
    if "mean_average_precision" in summary:
        return [
            *named,
            f"mAP {summary['mean_average_precision']:.2f} % of {summary['videos']} videos, {summary['rule']}{note}",
            *choices,
        ]
    empty = f", {summary['empty_classes']} classes without a video left out" if summary["empty_classes"] else ""
    lines = [
        f"top-1 {Share(**summary['top1'])}",
        f"top-{summary['top5_k']} {Share(**summary['top5'])}",
        f"mean class {summary['mean_class']:.2f} % of {summary['classes'] - summary['empty_classes']} classes{empty}",
        f"expected calibration error {summary['calibration_error']:.2f} %",
    ]
    for group in summary["by_luma"]:
        lines.append(f"mean luma {group['low']:.3f} .. {group['high']:.3f}: top-1 {Share(**group['share'])}")
    lines = [*named, *(line + note for line in lines), *choices]
    if per_class:
        width = max(len(row["class"]) for row in summary["per_class"])
        for row in summary["per_class"]:
            numbers = Share(**{name: row[name] for name in Share._fields})
            text = (
                f"{numbers}, predicted {row['predicted']} times"
                if numbers.total
                else f"no video, predicted {row['predicted']} times"
            )
            lines.append(f"  {row['class']:{width}}  {text}{note}")
    return lines
