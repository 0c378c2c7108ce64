"""Predictions for each video of a test, as a CSV table for people and spreadsheets."""

import math

from fragrant.scores.ensemble import VideoScores
from fragrant.scores.summary import class_name
from fragrant.texts import csv_text

TOP = 5


def predictions_csv(video: VideoScores) -> str:
    """A row per video: path, label (several: joined by ;), mean luma, what the model chose (mean over the views), then
    name and probability of the most likely classes; "NaN or infinite" in place of these where there are no numbers."""
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
        cells = (
            ["NaN or infinite", *[""] * (2 * top - 1)]
            if bool(probs.isnan().any())
            else [cell for number in order for cell in (class_name(video, number), f"{float(probs[number]):.6f}")]
        )
        rows.append([path, label, _number(luma, ".4f"), *(_number(mean, "g") for mean in means), *cells])
    return csv_text(rows)


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _labels(video: VideoScores) -> list[str]:
    if video.labels.ndim > 1:
        return [
            ";".join(class_name(video, number) for number in row.nonzero().flatten().tolist()) for row in video.labels
        ]
    return [class_name(video, number) if number >= 0 else "" for number in video.labels.tolist()]
