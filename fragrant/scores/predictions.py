"""What was predicted for each video of a test, as a table for people and spreadsheets."""

import csv
import io
import math

from fragrant.scores.ensemble import VideoScores
from fragrant.scores.summary import class_name

TOP = 5


def predictions_csv(video: VideoScores) -> str:
    """path, label (several: joined by ;), mean luma, then name and probability of the most likely classes; a row per video."""
    top = min(TOP, video.scores.shape[1])
    best = video.scores.nan_to_num(nan=-math.inf).sort(dim=1, descending=True, stable=True).indices[:, :top]
    rows = [["path", "label", "luma", *(f"{what}{rank}" for rank in range(1, top + 1) for what in ("class", "prob"))]]
    for path, label, luma, order, probs in zip(video.paths, _labels(video), video.luma.tolist(), best.tolist(), video.probs, strict=True):
        cells = [cell for number in order for cell in (class_name(video, number), f"{float(probs[number]):.6f}")]
        rows.append([path, label, "" if math.isnan(luma) else f"{luma:.4f}", *cells])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _labels(video: VideoScores) -> list[str]:
    if video.labels.ndim > 1:
        return [";".join(class_name(video, number) for number in row.nonzero().flatten().tolist()) for row in video.labels]
    return [class_name(video, number) if number >= 0 else "" for number in video.labels.tolist()]
