"""Writes a set's lists, one per split, with its class names."""

import os
from collections import Counter
from pathlib import Path

from fragrant.data.datasets.known_set import KnownSet
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.locations import Folders
from fragrant.data.lists.records import RecordList, format_list
from fragrant.files import save_file


def write_set(found: KnownSet, root: str | os.PathLike, out: str | os.PathLike) -> list[str]:
    """Writes ``<split>.csv`` and ``classes.txt`` in ``out``, paths relative to ``root`` where they lie in it; returns a
    report, line by line."""
    out = Path(out)
    lines = [f"{'list':16} {'videos':>7} {'published':>9} {'per class':>11} {'not there':>9}"]
    for split, records in found.splits.items():
        rows = [record._replace(path=_relative(record.path, root)) for record in records]
        text = format_list(rows, records.targets)
        save_file(out / f"{split}.csv", text, ListError)
        lines.append(
            f"{split + '.csv':16} {len(records):7} {_published(found, split) or '-':>9} "
            f"{_per_class(records, found.class_names):>11} {_missing(records):9}"
        )
    if found.class_names:
        save_file(out / "classes.txt", "".join(f"{name}\n" for name in found.class_names), ListError)
        lines.append(f"{'classes.txt':16} {len(found.class_names):7}")
    return lines + [f"note: {note}" for note in (*found.notes, *_doubts(found))]


def _published(found: KnownSet, split: str) -> int | None:
    same = next((name for name in found.published if found.splits.get(name) is found.splits[split]), split)
    return found.published.get(same)


def _doubts(found: KnownSet) -> list[str]:
    """Lists signs that the copy of the set is not complete."""
    doubts = []
    for split, records in found.splits.items():
        published = _published(found, split)
        if published not in (None, len(records)):
            doubts.append(f"{split}.csv has {len(records)} videos, published are {published}")
        if len(records) and _missing(records) == len(records):
            doubts.append(
                f"no video of {split}.csv is there, {records[0].path} is not: give the folder of the videos (--videos)"
            )
    return doubts


def _relative(path: str, root: str | os.PathLike) -> str:
    relative = os.path.relpath(path, root)
    return path if relative.startswith("..") else relative


def _per_class(records: RecordList, names: list[str] | None) -> str:
    counts = Counter(label for label in records.labels.tolist() if label >= 0)
    fewest = min(counts[label] for label in (range(len(names)) if names else counts)) if counts else 0
    return f"{fewest}..{max(counts.values())}" if counts else "unlabelled"


def _missing(records: RecordList) -> int:
    folders = Folders()
    return sum(folders.find(record.path) is None for record in records)
