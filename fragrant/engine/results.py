"""A test's numbers on disk: the score table that everything is computed from, and the pickles that older scripts read."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import simplejson
from torch import Tensor

from fragrant.engine.evaluate import ScoreTable


def save_scores(path: Path, table: ScoreTable, *, paths: list[str], class_names: list[str] | None, header: dict) -> None:
    """``numpy.load(path)`` gives labels (n,), logits (n, V, K) float32, paths (n,), class_names (K,) or none, header (JSON text)."""
    columns = {
        "labels": table.labels.numpy(),
        "logits": table.logits.numpy(),
        "paths": np.array(paths, dtype=str),
        "class_names": np.array(class_names or [], dtype=str),
        "header": np.array(simplejson.dumps(header, sort_keys=True)),
    }
    _write(path, lambda file: np.savez_compressed(file, **columns))


def save_pickles(folder: Path, scores: Tensor, labels: Tensor, *, uniformer_name: str, slowfast_name: str) -> list[Path]:
    """The result files of UniFormer (always) and SlowFast (where TEST.SAVE_RESULTS_PATH names one).

    Args:
        scores: (n, K), ensembled over the views.
    """
    contents = {uniformer_name: {"video_preds": scores.numpy(), "video_labels": labels.numpy()}}
    if slowfast_name:
        contents[slowfast_name] = [scores.numpy(), labels.numpy()]
    for name, content in contents.items():
        _write(folder / name, lambda file, content=content: pickle.dump(content, file))
    return [folder / name for name in contents]


def _write(path: Path, fill: Callable[[IO[bytes]], None]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    with open(unfinished, "wb") as file:
        fill(file)
    os.replace(unfinished, path)
