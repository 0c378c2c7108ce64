"""Folders that are classes: what lies in them, and how to split it where nobody has."""

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.locations import VIDEO_EXTENSIONS
from fragrant.data.lists.records import RecordList, VideoRecord
from fragrant.data.shards import MARK

_PICTURES = (".jpg", ".jpeg", ".png")


def class_folders(folder: Path) -> list[str]:
    """The names of the folders that hold videos or folders of frames, in alphabetical order: that of their labels."""
    folders = (entry for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    return sorted(entry.name for entry in folders if clips_in(Path(entry.path)))


def clips_in(folder: Path) -> list[str]:
    """The names of the videos and the folders of frames in a folder, sorted."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if (_holds_pictures(entry.path) if entry.is_dir() else _is_video(entry.name))
    )


def records_of(folder: Path, classes: Sequence[str], clips: Mapping[str, Sequence[str]] | None = None) -> RecordList:
    """The videos of the class folders, class by class; of ``clips`` (class -> names) where given, else all."""
    rows = []
    for label, name in enumerate(classes):
        for clip in clips_in(folder / name) if clips is None else clips[name]:
            path = folder / name / clip
            rows.append(
                VideoRecord(str(path), label, sum(map(_is_picture, os.listdir(path))) if path.is_dir() else None)
            )
    return RecordList(rows, source=str(folder))


def folder_names(lists: list[RecordList]) -> list[str]:
    """The class names, from the folders of the videos: ``Walking/x.mp4 3`` calls class 3 Walking.

    Raises:
        ListError: a class has two folders, a folder two classes, or a class none.
    """
    names: dict[int, str] = {}
    labels: dict[str, int] = {}
    for records in lists:
        for at, record in enumerate(records):
            name = os.path.basename(os.path.dirname(record.path.replace(MARK, "/")))
            if names.setdefault(record.label, name) != name:
                raise ListError(
                    f"{records.where(at)}: label {record.label} is '{name}' here and '{names[record.label]}' elsewhere"
                )
            if labels.setdefault(name, record.label) != record.label:
                raise ListError(
                    f"{records.where(at)}: '{name}' has label {record.label} here and {labels[name]} elsewhere"
                )
    missing = sorted(set(range(max(names) + 1)) - set(names))
    if missing:
        raise ListError(f"{lists[0].source}: no video has label {missing[0]}, so it has no name")
    return [names[label] for label in sorted(names)]


def seeded_parts(names: Sequence[str], shares: Mapping[str, float], seed: str) -> dict[str, list[str]]:
    """Names drawn into parts of these shares (of 1 together); the same names and seed give the same parts.

    Every part gets at least one name while there are enough, the first parts first.
    """
    order = sorted(names)
    random.Random(seed).shuffle(order)
    parts, first, passed, left = {}, 0, 0.0, len(shares)
    for part, share in shares.items():
        passed, left = passed + share, left - 1
        last = max(first + 1, min(round(passed * len(order)), len(order) - left))
        parts[part] = sorted(order[first:last])
        first = last
    return parts


def _is_video(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_EXTENSIONS


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _PICTURES


def _holds_pictures(folder: str) -> bool:
    return any(_is_picture(entry.name) for entry in os.scandir(folder))
