"""Predictions for each video of a test, as a CSV table for people and spreadsheets."""

import csv
import io
import math

from fragrant.scores.ensemble import VideoScores
from fragrant.scores.summary import class_name

TOP = 5


def predictions_csv(video: VideoScores) -> str:
    """CSV text with one row per video: path, label (several: joined by ;), mean luma, what the model chose (mean over
    the views), then name and probability of the most likely classes."""
    top = min(TOP, video.scores.shape[1])
    best = video.scores.nan_to_num(nan=-math.inf).sort(dim=1, descending=True, stable=True).indices[:, :top]
    chosen = list(zip(*(chosen.mean().tolist() for chosen in video.choices.values()), strict=True)) or [()] * len(
        video.paths
    )
    rows = [
        [
            "path",
            "label",
            "luma",
            *video.choices,
            *(f"{what}{rank}" for rank in range(1, top + 1) for what in ("class", "prob")),
        ]
    ]
    columns = zip(video.paths, _labels(video), video.luma.tolist(), chosen, best.tolist(), video.probs, strict=True)
    for path, label, luma, means, order, probs in columns:
        cells = [cell for number in order for cell in (class_name(video, number), f"{float(probs[number]):.6f}")]
        rows.append([path, label, _number(luma, ".4f"), *(_number(mean, "g") for mean in means), *cells])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _labels(video: VideoScores) -> list[str]:
    if video.labels.ndim > 1:
        return [
            ";".join(class_name(video, number) for number in row.nonzero().flatten().tolist()) for row in video.labels
        ]
    return [class_name(video, number) if number >= 0 else "" for number in video.labels.tolist()]
