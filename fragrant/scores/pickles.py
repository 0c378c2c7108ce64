"""Results of other projects as score tables: the pickles of SlowFast, UniFormer, mmaction2 and TDN, read without
running code from them."""

import math
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fragrant.files import read_plain
from fragrant.metrics import ScoreError
from fragrant.scores.ensemble import PROBABILITIES, SUMMED_LOGITS
from fragrant.scores.table import ScoreTable, ViewName
from fragrant.scores.unpickle import numbers_of, unpickle

TDN_FILE = re.compile(r"(\d+)_crop(\d+)\.pkl")
TDN_CROPS = {1: ("centre",), 3: ("left", "right", "centre")}  # its own order
MANY = 10_000_000  # numbers that a file may hold whatever its size
WHOLE = ViewName(0, "all")  # the views are ensembled already


# ------------------------------------------------------------------------------------------------------------- reading
def read_pickle(path: str | Path) -> Any:
    """What ``unpickle`` makes of a file.

    Raises:
        ScoreError: the file is missing, damaged, or holds anything but arrays, tensors, numbers, texts, lists, dicts.
    """
    try:
        return unpickle(read_plain(path))
    except OSError as error:
        raise ScoreError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can fail in any way
        reason = f": {error}" if isinstance(error, pickle.UnpicklingError) and "asks for" in str(error) else ""
        raise ScoreError(f"'{path}' is no pickle of arrays, or is damaged{reason}") from error


class _Columns:
    """Scores and labels as tensors.

    Args:
        size: of the file, in bytes. One that names the same array again and again is small on the disk alone.
    """

    def __init__(self, size: int):
        self.most = max(size, MANY)

    def _spend(self, count: int) -> None:
        self.most -= count
        if self.most < 0:
            raise ValueError("far more numbers than bytes in the file")

    def array(self, value: Any) -> Tensor:
        """Converts an array, a tensor, a number, or a list of numbers or of rows of numbers to a tensor (N, ...) of
        float32 or long."""
        found = numbers_of(value)
        if found is None:
            return self._listed(value)
        self._spend(math.prod(found.shape))
        if isinstance(found, Tensor):
            return found.to(torch.float32 if found.is_floating_point() else torch.int64)
        with np.errstate(over="ignore"):  # infinite scores are counted, and named, later
            return torch.from_numpy(found.astype(np.float32 if found.dtype.kind == "f" else np.int64))

    def _listed(self, value: Any) -> Tensor:
        rows = value if isinstance(value, (list, tuple)) else [value]
        self._spend(sum(len(row) if isinstance(row, (list, tuple)) else 1 for row in rows))
        numbers = [x for row in rows for x in (row if isinstance(row, (list, tuple)) else [row])]
        if not all(isinstance(x, float) or (isinstance(x, int) and abs(x) < 2**63) for x in numbers):
            raise ValueError("something else than numbers")
        kind = torch.float32 if any(isinstance(x, float) for x in numbers) else torch.int64
        return torch.tensor(value, dtype=kind)

    def pair(self, content: Any) -> tuple[Tensor, Tensor]:
        """Extracts scores (N, K) and labels (N,) from the content of a pickle in one of the known layouts."""
        if isinstance(content, dict) and {"video_preds", "video_labels"} <= set(content):  # UniFormer
            return self.array(content["video_preds"]), self.array(content["video_labels"])
        if not isinstance(content, list) or not content:
            raise ValueError("neither a list nor UniFormer's dict")
        if isinstance(content[0], dict):  # mmaction2's --dump
            scores = [self.array(row["pred_score"]).flatten() for row in content]
            return torch.stack(scores), self._first([row["gt_label"] for row in content])
        if len(content) == 2 and getattr(numbers_of(content[0]), "ndim", 0) == 2:  # SlowFast
            return self.array(content[0]), self.array(content[1])
        scores = [self.array(scores).flatten() for scores, _ in content]  # TDN: one file per clip and crop
        return torch.stack(scores), self._first([label for _, label in content])

    def _first(self, labels: list) -> Tensor:
        return torch.stack([self.array(label).flatten()[0] for label in labels])


def _checked(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"scores {tuple(scores.shape)} and labels {tuple(labels.shape)}")
    whole = labels.double()
    wrong = ~((whole == whole.round()) & (whole >= -1) & (whole < max(scores.shape[1], 1)))
    if wrong.any():
        raise ValueError(f"label {whole[wrong][0]:g} for {scores.shape[1]} classes")
    return scores.float(), labels.long()


def _read(path: str | Path) -> tuple[Tensor, Tensor]:
    """(N, K) float32 scores and (N,) long labels, -1 where nobody knows."""
    content = read_pickle(path)
    try:
        return _checked(*_Columns(Path(path).stat().st_size).pair(content))
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, OverflowError) as error:
        layouts = (
            "SlowFast [preds, labels], UniFormer {video_preds, video_labels}, mmaction2 --dump, TDN [[scores, "
            "label], ...]"
        )
        reason = " ".join(str(error).split())[:200]
        raise ScoreError(f"'{path}' has none of the known layouts ({layouts}): {reason}") from error


def import_pickle(path: str | Path, *, paths: Sequence[str] | None = None) -> ScoreTable:
    """Imports a pickle of scores that were ensembled over the views already.

    Rows that are shares of one sum are taken as probabilities (SlowFast, mmaction2), others as sums of logits
    (UniFormer): each
    allows only the rules that fit it.

    Args:
        paths: paths of the rows, from the list file that was tested; None: the rows are called "row 0", "row 1", ...
    """
    scores, labels = _read(path)
    total = scores.sum(1, keepdim=True)
    are_probs = bool((scores >= 0).all()) and bool(torch.allclose(total, total.mean(), rtol=1e-3))
    logits = (scores / total).log() if are_probs else scores
    kind, rule = (PROBABILITIES, "mean-softmax") if are_probs else (SUMMED_LOGITS, "sum-logits")
    header = {"imported": str(path), "kind": kind, "rule": rule}
    return ScoreTable.whole(_named(paths, len(labels), path), labels, logits[:, None], [WHOLE], header=header)


def import_folder(folder: str | Path, *, paths: Sequence[str] | None = None) -> ScoreTable:
    """Imports the output folder of TDN (or H2CN): ``<clip>_crop<c>.pkl`` with the logits of one clip and crop of every
    video.

    Raises:
        ScoreError: there is no such file, or the files are of different videos.
    """
    found = {
        (int(match[1]), int(match[2])): path
        for path in Path(folder).iterdir()
        if (match := TDN_FILE.fullmatch(path.name))
    }
    if not found:
        raise ScoreError(f"folder '{folder}' has no file like 0_crop0.pkl; allowed: a folder of TDN's per-crop pickles")
    num_crops = 1 + max(crop for _, crop in found)
    if num_crops not in TDN_CROPS:
        raise ScoreError(
            f"folder '{folder}' has crops 0 to {num_crops - 1}; allowed: crop 0 alone (centre), or 0 1 2 (left "
            "right centre)"
        )
    views, columns, labels = [], [], None
    for (clip, crop), path in sorted(found.items()):
        logits, own = _read(path)
        if labels is not None and not torch.equal(labels, own):
            raise ScoreError(
                f"'{path}' has other videos or labels than '{min(found.items())[1]}'; the files of a folder are "
                "of one list"
            )
        labels = own
        views.append(ViewName(clip, TDN_CROPS[num_crops][crop]))
        columns.append(logits)
    assert labels is not None  # there is a file
    header = {"imported": str(folder), "num_videos": len(labels), "rule": "mean-softmax"}
    return ScoreTable.whole(_named(paths, len(labels), folder), labels, torch.stack(columns, 1), views, header=header)


def _named(paths: Sequence[str] | None, num_rows: int, source: str | Path) -> list[str]:
    if paths is None:
        return [f"row {number}" for number in range(num_rows)]
    if len(paths) != num_rows:
        raise ScoreError(f"'{source}' has {num_rows} rows, the list {len(paths)} videos; give the list that was tested")
    return list(paths)
