"""Scores of several runs for the figures: from run folders or score tables, each with its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.report.strips import PictureError
from fragrant.scores import VideoScores, ensemble_views, load_table


class RunScores(NamedTuple):
    """The videos of known class of one run."""

    name: str
    scores: VideoScores


def run_names(folders: Sequence[Path]) -> list[str]:
    """Short distinct names for the runs: the last part of each path, or as many parts as are needed."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return names


def names_of(runs: Sequence[Path], names: Sequence[str] | None) -> list[str]:
    """The names given, or those of the folders.

    Raises:
        PictureError: there are more or fewer names than runs.
    """
    if names is not None and len(names) != len(runs):
        raise PictureError(f"{len(names)} names for {len(runs)} runs; allowed: one for each, in the same order")
    return list(names or run_names([run if run.is_dir() else run.parent for run in runs]))


def load_scores(runs: Sequence[str | Path], *, names: Sequence[str] | None, rule: str | None) -> list[RunScores]:
    """Loads the scores of runs, the OUTPUT_DIRs of tests or score tables.

    Args:
        rule: how views become a video's score; None = as each test did.

    Raises:
        PictureError: the runs have other classes, or no video of known class. ScoreError: a table cannot be read.
    """
    paths = [Path(run) for run in runs]
    named = names_of(paths, names)
    loaded = []
    for name, path in zip(named, paths, strict=True):
        table = load_table(path / "scores.npz" if path.is_dir() else path)
        scores = ensemble_views(table, rule or table.header.get("rule") or "sum-logits").labelled()
        if not scores.paths:
            raise PictureError(f"run '{path}' has no video of known class, so there is nothing to draw")
        loaded.append(RunScores(name, scores))
    first = loaded[0]
    for other in loaded[1:]:
        if class_names(other.scores) != class_names(first.scores):
            raise PictureError(f"runs '{first.name}' and '{other.name}' have other classes; draw them one by one")
        if other.scores.labels.ndim != first.scores.labels.ndim:
            raise PictureError(f"'{first.name}' and '{other.name}': one has several labels for a video, the other one")
    return loaded


def class_names(scores: VideoScores) -> list[str]:
    """The names of the classes, else ``class 0`` and so on."""
    return list(scores.class_names or [f"class {number}" for number in range(scores.scores.shape[1])])
