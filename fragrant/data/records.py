"""A line of a list file becomes a VideoRecord; errors carry file:line."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fragrant.errors import UserError

SEPARATORS = (" ", ",", "\t", ";")


class ListError(UserError):
    """A list file that cannot be used; the message says where."""


class VideoRecord(NamedTuple):
    path: str
    label: int
    num_frames: int | None = None


class RecordList(Sequence):
    """Records in a few flat arrays: a list of a million Python objects is copied into every worker, this is not.

    Args:
        records: the records.
        source: the list file they come from.
        lines: line number of each record in it.
    """

    def __init__(self, records: Iterable[VideoRecord], *, source: str = "", lines: Sequence[int] | None = None):
        records = list(records)
        paths = [os.fsencode(record.path) for record in records]
        self.source = source
        self._paths = b"".join(paths)
        self._ends = np.cumsum([0, *map(len, paths)], dtype=np.int64)
        self._numbers = np.array([(r.label, -1 if r.num_frames is None else r.num_frames) for r in records], np.int64).reshape(-1, 2)
        self._lines = np.asarray(range(1, len(records) + 1) if lines is None else lines, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        label, num_frames = self._numbers[index].tolist()
        return VideoRecord(self._path(index), label, None if num_frames < 0 else num_frames)

    def __eq__(self, other) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None

    def __repr__(self) -> str:
        return f"<{len(self)} records{' of ' + self.source if self.source else ''}>"

    def pick(self, indices: Iterable[int]) -> "RecordList":
        """Some of the records; errors still name their lines."""
        indices = list(indices)
        return RecordList((self[i] for i in indices), source=self.source, lines=self._lines[np.asarray(indices, dtype=np.int64)])

    def where(self, index: int) -> str:
        """``"train.csv:12"``"""
        return f"{self.source or 'record'}:{self._lines[index]}"

    def _path(self, index: int) -> str:
        return os.fsdecode(self._paths[self._ends[index] : self._ends[index + 1]])


def parse_row(line: str, separator: str) -> tuple[str, int]:
    """``"a b.mp4 3"`` -> ``("a b.mp4", 3)``: split at the last separator, so that paths may hold blanks; quotes are taken off.

    Raises:
        ValueError: the line is not of this form; the message says what it is instead.
    """
    path, label = _split(line, separator)
    if path and _is_int(label):
        return path, int(label)
    fitting = [other for other in SEPARATORS if all(_split(line, other)) and _is_int(_split(line, other)[1])]
    hint = f"{fitting[0]!r} would fit" if fitting else "expected a path, the separator, a whole number"
    raise ValueError(f"no label behind DATA.PATH_LABEL_SEPARATOR {separator!r}; {hint}")


def read_list(path: str | os.PathLike, *, separator: str = " ", prefix: str = "", num_classes: int | None = None) -> RecordList:
    """The records of a list file, one "path<separator>label" per line; blank lines and lines that begin with # do not count.

    A relative path lies in ``prefix`` if given, else beside the list file if it exists there, else it is taken as it is.
    Whether the videos exist is not checked: reading them says so.

    Args:
        num_classes: labels are 0 .. num_classes - 1; None = any from 0.

    Raises:
        ListError: with file, line number and line.
    """
    source = os.fspath(path)
    folder = os.path.dirname(source)
    records, lines = [], []
    for number, line in enumerate(_lines_of(source), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            video, label = parse_row(line, separator)
            _check_label(label, num_classes)
        except ValueError as error:
            raise ListError(f"{source}:{number}: {error}; the line is {line!r}") from None
        records.append(VideoRecord(_resolve(video, prefix, folder), label))
        lines.append(number)
    if not records:
        raise ListError(f"list file '{source}' has no rows; expected lines of a path, {separator!r} and a label")
    return RecordList(records, source=source, lines=lines)


def _lines_of(source: str) -> list[str]:
    try:
        with open(source, encoding="utf-8-sig", errors="surrogateescape") as file:  # paths are bytes: any encoding passes through
            return [line.strip() for line in file]
    except OSError as error:
        raise ListError(f"list file '{source}' cannot be read: {error.strerror}") from error


def _check_label(label: int, num_classes: int | None) -> None:
    if label < 0:
        raise ValueError(f"label {label} is below 0")
    if num_classes is not None and label >= num_classes:
        raise ValueError(f"label {label} is not in 0..{num_classes - 1} (MODEL.NUM_CLASSES {num_classes})")


def _resolve(video: str, prefix: str, folder: str) -> str:
    if os.path.isabs(video):
        return video
    if prefix:
        return os.path.join(prefix, video)
    beside = os.path.join(folder, video)
    return beside if os.path.exists(beside) else video


def _split(line: str, separator: str) -> tuple[str, str]:
    path, _, label = line.rpartition(separator)
    return _unquote(path.strip()), _unquote(label.strip())


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _is_int(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
