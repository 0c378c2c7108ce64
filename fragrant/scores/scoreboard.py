"""Rows of a scoreboard: top-1 with its interval, pooled over the folds of a cross-validation, as a mean over runs."""

import glob
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fragrant.files import expanded
from fragrant.metrics import ScoreError, Share, predicted, share
from fragrant.scores.ensemble import ensemble_views
from fragrant.scores.table import ScoreTable, load_table


class Row(NamedTuple):
    """A row.

    Attributes:
        runs: top-1 of each training (one seed), all of the same videos.
        share: of ``runs`` the mean, with the interval of as many videos as one run has: more runs make no more videos.
    """

    label: str
    runs: list[Share]
    share: Share


def pooled(tables: Sequence[ScoreTable], where: str = "the tables") -> dict[str, bool]:
    """Whether each video is right, by its path: the tables are the test parts of the folds, or one table of a whole
    list.

    Raises:
        ScoreError: a video is in two folds, has several labels, or none has a label.
    """
    right: dict[str, bool] = {}
    for table in tables:
        if table.labels.ndim > 1:
            raise ScoreError(f"{where}: of videos with several labels there is no top-1")
        video = ensemble_views(table, table.header.get("rule") or "mean-softmax").labelled()
        correct = (predicted(video.scores) == video.labels).tolist()
        twice = [path for path in video.paths if path in right]
        if twice or len(set(video.paths)) < len(video.paths):
            raise ScoreError(f"{where}: '{(twice or video.paths)[0]}' has two scores; each video is in one fold alone")
        right |= dict(zip(video.paths, correct, strict=True))
    if not right:
        raise ScoreError(f"{where}: no video has a label")
    return right


def row_of(label: str, runs: Sequence[Sequence[ScoreTable]]) -> Row:
    """The row of a method: for each run the tables of its folds.

    Raises:
        ScoreError: as ``pooled``, or the runs are not of the same videos.
    """
    found = [pooled(tables, label) for tables in runs]
    for other in found[1:]:
        if other.keys() != found[0].keys():
            raise ScoreError(f"{label}: its runs are of {len(found[0])} and of {len(other)} videos, not of the same")
    total = len(found[0])
    shares = [share(sum(right.values()), total) for right in found]
    mean = sum(one.correct for one in shares) / len(shares)
    return Row(label, shares, share(mean, total))  # type: ignore[arg-type]  # a mean of counts is no whole number


def rows_of(inputs: Iterable[str]) -> list[Row]:
    """The rows of ``LABEL=FILE``; a label that comes again is another run, * and ? in FILE are the folds of one run.

    Raises:
        ScoreError: no label, no such file, or as ``row_of``.
    """
    runs: dict[str, list[list[ScoreTable]]] = {}
    for text in inputs:
        label, sign, pattern = (part.strip() for part in text.partition("="))
        if not sign or not label or not pattern:
            raise ScoreError(
                f"'{text}' names no row; write LABEL=FILE, for example \"zero-shot=output/run/scores.npz\""
            )
        files = sorted(glob.glob(expanded(pattern))) or [expanded(pattern)]
        runs.setdefault(label, []).append([load_table(file) for file in files])
    return [row_of(label, tables) for label, tables in runs.items()]


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| method | videos | runs | top-1 | 95 % interval | each run |", "|---|---|---|---|---|---|"]
    for row in rows:
        each = ", ".join(f"{one.percent:.1f}" for one in row.runs) if len(row.runs) > 1 else "-"
        lines.append(
            f"| {row.label} | {row.share.total} | {len(row.runs)} | {row.share.percent:.2f} % | "
            f"{row.share.low:.1f} to {row.share.high:.1f} % | {each} |"
        )
    return "\n".join(lines)
