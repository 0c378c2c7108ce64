"""Results of other projects as score tables: the pickles of SlowFast, UniFormer, mmaction2 and TDN, read without
running code from them."""

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fragrant.metrics import ScoreError
from fragrant.scores.ensemble import PROBABILITIES, SUMMED_LOGITS
from fragrant.scores.table import ScoreTable, ViewName

NUMPY_CORE = "numpy._core" if int(np.__version__.split(".")[0]) >= 2 else "numpy.core"
TDN_FILE = re.compile(r"(\d+)_crop(\d+)\.pkl")
TDN_CROPS = {1: ("centre",), 3: ("left", "right", "centre")}  # its own order
WHOLE = ViewName(0, "all")  # the views are ensembled already


# ------------------------------------------------------------------------------------------------------ safe unpickling
def _storage(content: bytes) -> Any:
    """Loads a tensor's storage safely, in place of torch.storage._load_from_bytes, which would unpickle anything."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _latin1(text: str, encoding: str) -> bytes:
    """Encodes text to bytes in place of _codecs.encode, which Python 2 and early protocols write bytes with."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding}")
    return text.encode("latin1")


def _allowed() -> dict[str, Callable]:
    """The functions and classes that a pickle of arrays, tensors, lists and dicts may call, by module.name."""
    numpy_made = {"_reconstruct": "multiarray", "scalar": "multiarray", "_frombuffer": "numeric"}
    found: dict[str, Callable] = {
        "numpy.ndarray": np.ndarray,
        "numpy.dtype": np.dtype,
        "collections.OrderedDict": OrderedDict,
    }
    found |= {"torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2}
    found |= {"torch.storage._load_from_bytes": _storage, "_codecs.encode": _latin1}
    for name, module in numpy_made.items():
        function = getattr(import_module(f"{NUMPY_CORE}.{module}"), name)
        found |= {f"numpy.core.{module}.{name}": function, f"numpy._core.{module}.{name}": function}
    return found


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = _allowed()
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which could run code")
        return allowed[f"{module}.{name}"]


def read_pickle(path: str | Path) -> Any:
    """Reads a pickle of arrays, tensors, numbers, texts, lists and dicts without running code from it.

    Raises:
        ScoreError: the file is missing, damaged, or holds anything else.
    """
    try:
        with open(path, "rb") as file:
            return _Unpickler(file, encoding="latin1").load()
    except OSError as error:
        raise ScoreError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can fail in any way
        reason = f": {error}" if isinstance(error, pickle.UnpicklingError) and "asks for" in str(error) else ""
        raise ScoreError(f"'{path}' is no pickle of arrays, or is damaged{reason}") from error


# -------------------------------------------------------------------------------------------------------------- formats
def _array(value: Any) -> Tensor:
    """Converts an array or nested list to a tensor (N, ...) of float32 or long."""
    array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise ValueError(f"an array of {array.dtype}")
    return torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))


def _columns(content: Any) -> tuple[Tensor, Tensor]:
    """Extracts scores (N, K) and labels (N,) from the content of a pickle in one of the known layouts."""
    if isinstance(content, dict) and {"video_preds", "video_labels"} <= set(content):  # UniFormer
        return _array(content["video_preds"]), _array(content["video_labels"])
    if not isinstance(content, list) or not content:
        raise ValueError("neither a list nor UniFormer's dict")
    if isinstance(content[0], dict):  # mmaction2's --dump
        scores = [_array(row["pred_score"]).flatten() for row in content]
        return torch.stack(scores), torch.stack([_array(row["gt_label"]).flatten()[0] for row in content])
    if len(content) == 2 and getattr(content[0], "ndim", 0) == 2:  # SlowFast
        return _array(content[0]), _array(content[1])
    scores = [_array(scores).flatten() for scores, _ in content]  # TDN: one file per clip and crop
    return torch.stack(scores), torch.stack([_array(label).flatten()[0] for _, label in content])


def _read(path: str | Path) -> tuple[Tensor, Tensor]:
    content = read_pickle(path)
    try:
        scores, labels = _columns(content)
        if scores.ndim != 2 or labels.shape != scores.shape[:1]:
            raise ValueError(f"scores {tuple(scores.shape)} and labels {tuple(labels.shape)}")
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        layouts = (
            "SlowFast [preds, labels], UniFormer {video_preds, video_labels}, mmaction2 --dump, TDN [[scores, "
            "label], ...]"
        )
        raise ScoreError(f"'{path}' has none of the known layouts ({layouts}): {error}") from error
    return scores, labels.long()


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
