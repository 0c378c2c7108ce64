"""The score table: the logits of every view of every video of a test, on disk and in memory."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
import simplejson
import torch
from torch import Tensor

from fragrant.files import open_plain, write_whole
from fragrant.metrics import ScoreError

CHOICE = "choice_"  # before the name of a choice, in a file
UNKNOWN = -1  # label of a video whose class nobody knows
CROPS = {1: ("centre",), 3: ("left", "centre", "right")}  # along the long side: left is also top, right is also bottom
# A table may grow so far when it is read: the paths of its videos are stored as long as the longest.
MOST_GROWTH, MOST_UNPACKED = 100, 100_000_000  # times its size, plus bytes
SAME = 1e-3  # two logits of one view that differ by more are of different models or clips


class ViewName(NamedTuple):
    """Name of a view of a video: the same name means the same pixels for the same settings."""

    clip: int  # number of the temporal clip, from 0
    crop: str = "centre"  # left | centre | right, or whatever else a test looks at
    enhancement: str = ""  # what was done to the pixels, "gamma=2.0"; "" = nothing

    def __str__(self) -> str:
        return f"clip {self.clip} {self.crop}" + (f" {self.enhancement}" if self.enhancement else "")


def grid_views(clips: int, crops: int, enhancement: str = "") -> tuple[ViewName, ...]:
    """The views of a test in their order: view r is crop ``r % crops`` of clip ``r // crops``."""
    names = CROPS.get(crops) or tuple(f"crop{number}" for number in range(crops))
    return tuple(ViewName(clip, crop, enhancement) for clip in range(clips) for crop in names)


@dataclass(frozen=True)
class ScoreTable:
    """Logits of every view of every video of a test: n videos, V views, K classes; everything on the CPU.

    Attributes:
        paths: path of each video, as in the test list.
        ids: (n,) long, place of each video in the whole test list, also where this table is only a part of it.
        labels: (n,) long, UNKNOWN where the class is not known; or (n, K) bool where a video has several, no True where
            they are not known.
        logits: (n, V, K) float32; of a view that is not ``present``: NaN.
        present: (n, V) bool.
        views: name of each view.
        luma: (n,) float32, mean brightness 0..1 of the decoded frames before any enhancement; NaN = not measured.
        class_names: K names; None = not known.
        choices: name -> (n, V) float32, what the model chose for each view, the gamma of DGAM for one; NaN = not known.
        header: what the scores are of: "checkpoint", "checkpoint_hash", "config" (yaml text), "rule" (how the run
            ensembled its
            views), "num_videos" (of the whole list), "choices" (name -> the values there are), ...; plain values.
    """

    paths: tuple[str, ...]
    ids: Tensor
    labels: Tensor
    logits: Tensor
    present: Tensor
    views: tuple[ViewName, ...]
    luma: Tensor
    class_names: tuple[str, ...] | None = None
    choices: dict[str, Tensor] = field(default_factory=dict)
    header: dict = field(default_factory=dict)

    def __post_init__(self):
        n, views, classes = self.logits.shape
        wanted = {"paths": n, "ids": n, "labels": n, "luma": n, "present": n, "views": views}
        wrong = [
            f"{name} {len(getattr(self, name))}"
            for name, length in wanted.items()
            if len(getattr(self, name)) != length
        ]
        if self.class_names is not None and len(self.class_names) != classes:
            wrong.append(f"class_names {len(self.class_names)}")
        wrong += [f"{name} {tuple(taken.shape)}" for name, taken in self.choices.items() if taken.shape != (n, views)]
        if wrong:
            raise ScoreError(
                f"score table of logits {tuple(self.logits.shape)} (videos, views, classes) does not fit "
                f"{', '.join(wrong)}"
            )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def num_classes(self) -> int:
        return self.logits.shape[2]

    def rows(self, index: Sequence[int]) -> "ScoreTable":
        """Returns the table of the videos at these rows, in this order."""
        at = torch.as_tensor(index, dtype=torch.long)
        numbers = {name: getattr(self, name)[at] for name in ("ids", "labels", "logits", "present", "luma")}
        choices = {name: taken[at] for name, taken in self.choices.items()}
        return replace(self, paths=tuple(self.paths[i] for i in at.tolist()), choices=choices, **numbers)

    @classmethod
    def whole(
        cls, paths: Sequence[str], labels: Tensor, logits: Tensor, views: Sequence[ViewName], **more
    ) -> "ScoreTable":
        """Builds the table of a list of which every view of every video was scored. ``more``: luma, class_names,
        choices, header, ids."""
        n, num_views = logits.shape[:2]
        more.setdefault("ids", torch.arange(n))
        more.setdefault("luma", torch.full((n,), float("nan")))
        present = torch.ones(n, num_views, dtype=torch.bool)
        return cls(paths=tuple(paths), labels=labels, logits=logits, views=tuple(views), present=present, **more)


# -------------------------------------------------------------------------------------------------------------- on disk
def save_table(path: str | Path, table: ScoreTable) -> None:
    """Writes the table as a numpy file without pickles: ``numpy.load(path)`` gives paths, ids, labels, logits, present,
    luma, clip, crop, enhancement (of each view), class_names (empty = not known), header (JSON text), choice_gamma or
    whatever else a model chose. The file is written whole or not at all."""
    columns = {name: getattr(table, name).numpy() for name in ("ids", "labels", "logits", "present", "luma")}
    columns |= {name: np.array([getattr(view, name) for view in table.views]) for name in ViewName._fields}
    columns |= {name: np.array(getattr(table, name) or (), dtype=str) for name in ("paths", "class_names")}
    columns |= {CHOICE + name: taken.numpy() for name, taken in table.choices.items()}
    columns["header"] = np.array(simplejson.dumps(table.header, sort_keys=True, ignore_nan=True))
    try:
        packed = io.BytesIO()  # numpy's archive does not take it well when the disk is full
        np.savez_compressed(packed, **columns)
        write_whole(path, packed.getvalue())
    except OSError as error:
        raise ScoreError(f"score table '{path}' cannot be written: {error.strerror or error}") from error


def load_table(path: str | Path) -> ScoreTable:
    """Reads a score table.

    Raises:
        ScoreError: there is no such file, or it is no score table, or not one bit of it may have changed; no code from
            it is run.
    """
    try:
        with open_plain(path) as opened, np.load(opened, allow_pickle=False) as file:
            _refuse_bomb(file.zip, os.fstat(opened.fileno()).st_size)
            columns = {name: file[name] for name in file.files}
        return _table_of(columns)
    except OSError as error:
        raise ScoreError(f"score table '{path}' cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise ScoreError(
            f"'{path}' is no score table: {error} is missing; a test writes one to OUTPUT_DIR/scores.npz"
        ) from error
    except Exception as error:  # a damaged archive can fail in any way
        raise ScoreError(
            f"'{path}' is no score table or is damaged; a test writes one to OUTPUT_DIR/scores.npz"
        ) from error


def _refuse_bomb(archive: ZipFile, size: int) -> None:
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MOST_GROWTH * size + MOST_UNPACKED:
        raise ValueError(f"{size} bytes grow to {unpacked}")


HEADER_KINDS = {"num_videos": int, "choices": dict, "fold": dict} | dict.fromkeys(
    ("rule", "kind", "config", "checkpoint", "checkpoint_hash", "model", "protocol"), str
)


def _is_header(header: object) -> bool:
    return isinstance(header, dict) and all(
        isinstance(header[name], kind) for name, kind in HEADER_KINDS.items() if header.get(name) is not None
    )


def _table_of(columns: dict[str, np.ndarray]) -> ScoreTable:
    """Makes a score table of the columns of a file.

    Raises:
        KeyError: a column is missing. ValueError, TypeError, ScoreError, ...: one is of another kind or length.
    """
    number = {name: torch.from_numpy(columns[name]) for name in ("ids", "labels", "logits", "present", "luma")}
    choices = {
        name.removeprefix(CHOICE): torch.from_numpy(columns[name]) for name in columns if name.startswith(CHOICE)
    }
    kinds = {"ids": "i", "labels": "ib", "logits": "f", "present": "b", "luma": "f", "clip": "iu", "crop": "U"}
    kinds |= {"enhancement": "U", "paths": "U", "header": "U"}
    wrong = [name for name, letters in kinds.items() if columns[name].dtype.kind not in letters]
    header = simplejson.loads(str(columns["header"]))
    if wrong or not _is_header(header):
        raise ValueError(f"columns {wrong} are of another kind")
    n, views, classes = number["logits"].shape
    labels, flat = number["labels"], (n,) if number["labels"].dtype != torch.bool else (n, classes)
    wanted = {"ids": (n,), "labels": flat, "luma": (n,), "present": (n, views)}
    wrong = [name for name, shape in wanted.items() if number[name].shape != shape]
    if wrong or (labels.dtype != torch.bool and ((labels < UNKNOWN) | (labels >= max(classes, 1))).any()):
        raise ValueError(f"columns {wrong or 'labels'} do not fit logits {tuple(number['logits'].shape)}")
    names = zip(columns["clip"].tolist(), columns["crop"].tolist(), columns["enhancement"].tolist(), strict=True)
    return ScoreTable(
        paths=tuple(columns["paths"].tolist()),
        views=tuple(ViewName(*view) for view in names),
        class_names=tuple(map(str, columns["class_names"].tolist())) or None,
        choices=choices,
        header=header,
        **number,
    )


# ------------------------------------------------------------------------------------------------------------- together
def merge(tables: Sequence[ScoreTable], *, names: Sequence[str] | None = None) -> ScoreTable:
    """Merges the tables of one model: parts of a list, further clips or crops of the same videos; rows by ascending
    ids, then in the order given.

    A view that comes twice with the same logits (within 1e-3) is taken once.

    Args:
        names: name of each table, for error messages.

    Raises:
        ScoreError: class names, labels or twice scored views contradict each other.
    """
    names = names or [f"table {number}" for number in range(1, len(tables) + 1)]
    if len(tables) == 1:
        return tables[0]
    for table, name in zip(tables[1:], names[1:], strict=True):
        same_classes(tables[0], table, names[0], name)
    views = tuple(dict.fromkeys(view for table in tables for view in table.views))
    keys = sorted({key for table in tables for key in zip(table.ids.tolist(), table.paths, strict=True)})
    row_of = {key: row for row, key in enumerate(keys)}
    first = tables[0]
    merged = ScoreTable(
        paths=tuple(path for _, path in keys),
        ids=torch.tensor([number for number, _ in keys], dtype=torch.long),
        labels=first.labels.new_full(
            (len(keys), *first.labels.shape[1:]), UNKNOWN if first.labels.ndim == 1 else False
        ),
        logits=torch.full((len(keys), len(views), first.num_classes), float("nan")),
        present=torch.zeros(len(keys), len(views), dtype=torch.bool),
        views=views,
        luma=torch.full((len(keys),), float("nan")),
        class_names=next((table.class_names for table in tables if table.class_names), None),
        choices={name: torch.full((len(keys), len(views)), float("nan")) for table in tables for name in table.choices},
        header=_common_header([table.header for table in tables]),
    )
    for table, name in zip(tables, names, strict=True):
        _fill(merged, table, [row_of[key] for key in zip(table.ids.tolist(), table.paths, strict=True)], name)
    return merged


def is_known(labels: Tensor) -> Tensor:
    """Whether each video has a known class: labels (n,) or (n, K) -> (n,) bool"""
    return labels.any(1) if labels.ndim > 1 else labels != UNKNOWN


def contradicting(labels: Tensor, others: Tensor) -> Tensor:
    """Whether two labels of each video are both known and differ: (n,) or (n, K) twice -> (n,) bool"""
    differ = (labels != others).any(1) if labels.ndim > 1 else labels != others
    return differ & is_known(labels) & is_known(others)


def _fill(merged: ScoreTable, table: ScoreTable, rows: list[int], name: str) -> None:
    """Writes ``table`` into the rows of ``merged``, in place."""
    if len(set(rows)) < len(rows):
        raise ScoreError(f"{name} has the same video twice; allowed: every video once")
    places = torch.tensor(rows, dtype=torch.long)
    if wrong := contradicting(merged.labels[places], table.labels).nonzero().flatten().tolist():
        raise ScoreError(f"{name}: label of '{table.paths[wrong[0]]}' differs from that of the tables before it")
    merged.labels[places] = torch.maximum(merged.labels[places], table.labels)  # -1 and False are unknown
    merged.luma[places] = torch.where(table.luma.isnan(), merged.luma[places], table.luma)
    for at, view in enumerate(table.views):
        column = merged.views.index(view)
        new, old = table.logits[:, at].float(), merged.logits[places, column]  # (n, K)
        both = merged.present[places, column] & table.present[:, at]
        unequal = both & ((new - old).abs() > SAME).any(1)
        if unequal.any():
            video = table.paths[int(unequal.nonzero()[0])]
            raise ScoreError(
                f"{name}: {view} of '{video}' was scored twice with different logits; name runs that differ: "
                "one=FILE two=FILE"
            )
        take = table.present[:, at] & ~both
        merged.logits[places[take], column] = new[take]
        merged.present[places[take], column] = True
        for choice, taken in table.choices.items():
            before = merged.choices[choice][places, column]
            merged.choices[choice][places, column] = torch.where(taken[:, at].isnan(), before, taken[:, at])


def _common_header(headers: list[dict]) -> dict:
    """Header entries that all tables agree on."""
    return {key: value for key, value in headers[0].items() if all(header.get(key) == value for header in headers[1:])}


def same_classes(one: ScoreTable, other: ScoreTable, name: str, other_name: str) -> None:
    """Checks that two tables are of the same classes in the same order.

    Raises:
        ScoreError: the number, names or order of the classes differ.
    """
    if one.num_classes != other.num_classes or one.labels.ndim != other.labels.ndim:
        raise ScoreError(
            f"{name} has {one.num_classes} classes, {other_name} {other.num_classes}; tables of one problem "
            "belong together"
        )
    if one.class_names and other.class_names:
        for number, (a, b) in enumerate(zip(one.class_names, other.class_names, strict=True)):
            if a != b:
                raise ScoreError(f"class {number} is '{a}' in {name}, but '{b}' in {other_name}; the orders must agree")


def missing_views(table: ScoreTable) -> list[str]:
    """Lists what the table lacks, one line per video: a whole video of the list, or some views of one."""
    missing = sorted(set(range(table.header.get("num_videos") or 0)) - set(table.ids.tolist()))
    lines = [f"video {number} of the list" for number in missing]
    for row in (~table.present).any(1).nonzero().flatten().tolist():
        views = [str(view) for view, there in zip(table.views, table.present[row].tolist(), strict=True) if not there]
        lines.append(f"'{table.paths[row]}': {', '.join(views)}")
    return lines


def pick_views(
    table: ScoreTable, *, clips: Sequence[int] = (), crops: Sequence[str] = (), enhancements: Sequence[str] = ()
) -> ScoreTable:
    """Picks the views with one of these clip numbers, crops and enhancements; empty = all.

    Raises:
        ScoreError: there is no such view.
    """
    wanted = ((clips, "clip"), (crops, "crop"), (enhancements, "enhancement"))
    keep = [
        at for at, view in enumerate(table.views) if all(not few or getattr(view, name) in few for few, name in wanted)
    ]
    if not keep:
        asked = "; ".join(f"{name} {', '.join(map(str, few))}" for few, name in wanted if few)
        raise ScoreError(f"no view has {asked}; there are {', '.join(map(str, table.views))}")
    choices = {name: taken[:, keep] for name, taken in table.choices.items()}
    views = tuple(table.views[at] for at in keep)
    return replace(table, logits=table.logits[:, keep], present=table.present[:, keep], views=views, choices=choices)
