"""A line of a list file becomes a VideoRecord; errors carry file:line."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from fragrant.data.lists.class_names import ClassTable
from fragrant.data.lists.dialects import (
    BARE,
    UNLABELLED,
    Dialect,
    Row,
    are_paths,
    dialect_of,
    fitting_dialect,
    header_dialect,
    is_bare_header,
    tell_dialect,
)
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.json_lists import JsonListError, is_json, json_rows
from fragrant.data.lists.list_text import list_text
from fragrant.data.lists.locations import kept_inside, locate
from fragrant.data.lists.soft_rows import check_width, header_width, read_row, row_width, soft_text
from fragrant.files import is_address

AUTO = "auto"
# "#122_Cleaning_Up_The_Alley_drink.avi,0" is a row: HMDB51 has videos with such names
_HMDB_NAME = re.compile(r"#\d+_[A-Za-z]")


class VideoRecord(NamedTuple):
    """A video of a list.

    Attributes:
        path: a video file, or a folder of frames.
        label: the video's class, -1 where it is not known; of a video that has several, all of them.
        num_frames: the number of frames that the list gives; None where it gives none.
    """

    path: str
    label: int | tuple[int, ...]
    num_frames: int | None = None


def each_label(label: int | str | tuple[int, ...]) -> tuple:
    """The labels of a row or a record, one or several."""
    return label if isinstance(label, tuple) else (label,)


class _Texts(Sequence):
    """Paths, one behind the other in memory."""

    def __init__(self, texts: Iterable[str]):
        encoded = [os.fsencode(text) for text in texts]
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index):
        at = range(len(self))[index]
        return os.fsdecode(self._bytes[self._ends[at] : self._ends[at + 1]])


class RecordList(Sequence):
    """Records in a few flat arrays: a list of a million Python objects is copied into every worker, this is not.

    Args:
        records: the records.
        source: the list file they come from.
        lines: line number of each record in it (in a JSON list: number of the entry, from 1).
        further: list files that later records come from, with how many of the records come before each.
        targets: of each record the probability of every class, where its list gives those (the label is the likeliest
            class then), else None; () = none has any.
        partners: path of each record's other video, where records are pairs; None = they are not.
    """

    def __init__(
        self,
        records: Iterable[VideoRecord],
        *,
        source: str = "",
        lines: Sequence[int] | np.ndarray | None = None,
        further: Sequence[tuple[int, str]] = (),
        targets: Sequence[tuple[float, ...] | None] = (),
        partners: Sequence[str] | None = None,
    ):
        records = list(records)
        self.source = source
        self._paths = _Texts(record.path for record in records)
        self._partners = None if partners is None else _Texts(partners)
        labels = [each_label(record.label) for record in records]
        counts = [-1 if record.num_frames is None else record.num_frames for record in records]
        self._numbers = np.array(
            [(own[0], count) for own, count in zip(labels, counts, strict=True)], np.int64
        ).reshape(-1, 2)
        self._more_labels = np.array([label for own in labels for label in own[1:]], dtype=np.int64)
        self._more_ends = np.cumsum([0, *(len(own) - 1 for own in labels)], dtype=np.int64)
        self._lines = np.asarray(range(1, len(records) + 1) if lines is None else lines, dtype=np.int64)
        self._further = tuple(further)
        soft = [target for target in targets if target is not None]
        self._targets = np.array(soft, dtype=np.float32).reshape(len(soft), -1 if soft else 0)
        has_target = np.array([target is not None for target in targets], dtype=bool)
        self._target_at = np.where(has_target, has_target.cumsum() - 1, -1) if soft else None  # (n,), -1 = none

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        label, num_frames = self._numbers[index].tolist()
        more = self._more_labels[self._more_ends[index] : self._more_ends[index + 1]].tolist()
        return VideoRecord(
            self._paths[index], (label, *more) if more else label, None if num_frames < 0 else num_frames
        )

    def __eq__(self, other) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # how Python says that a list has no hash

    def __repr__(self) -> str:
        return f"<{len(self)} records{' of ' + self.source if self.source else ''}>"

    @property
    def labels(self) -> np.ndarray:
        """Labels of all records, (n,), -1 where a video is unlabelled; of several labels the first."""
        return self._numbers[:, 0]

    @property
    def soft(self) -> list[int]:
        """Which records have probabilities as targets."""
        return [] if self._target_at is None else np.flatnonzero(self._target_at >= 0).tolist()

    def target(self, index: int) -> tuple[float, ...] | None:
        """The probability of every class that the list gives for a record; None where it gives a label."""
        at = -1 if self._target_at is None else int(self._target_at[index])
        return None if at < 0 else tuple(self._targets[at].tolist())

    @property
    def targets(self) -> list[tuple[float, ...] | None]:
        """Those of all records; [] where none has any."""
        return [] if self._target_at is None else [self.target(at) for at in range(len(self))]

    @property
    def paired(self) -> bool:
        """Whether every record has another video."""
        return self._partners is not None

    def partner(self, index: int) -> str | None:
        """Path of the other video of a record; None where records are no pairs."""
        return None if self._partners is None else self._partners[index]

    def paths(self) -> list[str]:
        """All videos, also the other ones."""
        return [*self._paths, *(self._partners or ())]

    def of_partners(self) -> "RecordList":
        """Returns the other videos of pairs by themselves."""
        assert self._partners is not None
        records = [record._replace(path=path) for record, path in zip(self, self._partners, strict=True)]
        return RecordList(records, source=self.source, lines=self._lines, targets=self.targets)

    @property
    def sources(self) -> list[str]:
        """The list files that the records come from."""
        return [self.source, *(name for _, name in self._further)]

    @property
    def lines(self) -> list[int]:
        """Line number of every record in its list."""
        return self._lines.tolist()

    def followed_by(self, other: "RecordList") -> "RecordList":
        """Returns these records and then those of another list, both of pairs or neither; errors name the lines of
        both."""
        assert self.paired == other.paired
        lines = np.concatenate([self._lines, other._lines])
        further = [*self._further, (len(self), other.source)]
        soft = self.soft or other.soft
        targets = [part.target(at) for part in (self, other) for at in range(len(part))] if soft else []
        partners = None if self._partners is None else [*self._partners, *(other._partners or ())]
        return RecordList(
            [*self, *other], source=self.source, lines=lines, further=further, targets=targets, partners=partners
        )

    def pick(self, indices: Iterable[int]) -> "RecordList":
        """Returns some of the records of one list; errors still name their lines."""
        assert not self._further
        indices = list(indices)
        lines = self._lines[np.asarray(indices, dtype=np.int64)]
        targets = [self.target(i) for i in indices] if self.soft else []
        partners = None if self._partners is None else [self._partners[i] for i in indices]
        return RecordList(
            (self[i] for i in indices), source=self.source, lines=lines, targets=targets, partners=partners
        )

    def where(self, index: int) -> str:
        """Place of a record in its list, for messages: ``"train.csv:12"``"""
        source = [self.source, *(name for first, name in self._further if first <= index)][-1]
        return f"{source or 'record'}:{self._lines[index]}"


class ListRows(NamedTuple):
    """The rows of a list file as they are written, and the lines that cannot be read.

    Attributes:
        rows: line number -> its row.
        texts: line number -> the line.
        faults: line number -> what is wrong with it.
    """

    rows: dict[int, Row]
    texts: dict[int, str]
    faults: dict[int, str]


def parse_list(
    path: str | os.PathLike,
    *,
    form: str = AUTO,
    separator: str = " ",
    multi_label: bool = False,
    mend: Callable[[str], str] | None = None,
    bare: bool = False,
) -> ListRows:
    """The rows of a list file; blank lines, header rows and lines that begin with # do not count.

    Args:
        form: "auto" or an example row, see ``dialects``.
        separator: the one to prefer where rows can be read with several.
        multi_label: a video may have several labels, ``path 3,7``.
        mend: repairs a line before it is read.
        bare: lines may also be paths and nothing else, as the official lists of a hidden test are.

    Raises:
        ListError: the file cannot be read, or is JSON and no list of videos.
    """
    source = os.fspath(path)
    text = list_text(source)
    if is_json(text):
        try:
            rows = json_rows(text)
        except JsonListError as error:
            raise ListError(
                f"{source}:{error.line}: {error}" if error.line else f"list file '{source}': {error}"
            ) from None
        return ListRows(
            dict(enumerate(rows, start=1)), {at: f"{row.path} {row.label}" for at, row in enumerate(rows, start=1)}, {}
        )
    lines = {number: line.strip() for number, line in enumerate(text.split("\n"), start=1)}
    lines = {number: mend(line) if mend else line for number, line in lines.items() if line and not _is_comment(line)}
    return _parse_lines(source, lines, form, separator, multi_label, bare)


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not _HMDB_NAME.match(line)


def _parse_lines(
    source: str, lines: dict[int, str], form: str, separator: str, multi_label: bool, bare: bool
) -> ListRows:
    first = next(iter(lines), 0)
    try:
        header = header_dialect(lines[first], multi_label=multi_label) if lines else None
    except ValueError as error:
        raise ListError(f"{source}:{first}: {error}; the line is {lines[first]!r:.500}") from None
    if soft := _parse_soft(source, lines, headed=form.lower() != AUTO):
        return soft
    data = {number: line for number, line in lines.items() if header is None or number != first}
    if form.lower() == AUTO:
        dialect = header or tell_dialect(data.values(), prefer=separator, multi_label=multi_label)
        if dialect is None and bare and are_paths(data.values()):
            dialect, data = BARE, {number: line for number, line in data.items() if not is_bare_header(line)} or data
    else:
        dialect = dialect_of(form, multi_label=multi_label)
    rows, faults = {}, {}
    for number, line in data.items():
        try:
            if dialect is None:
                raise ValueError("no path and whole-number label in any known form, see DATA.LIST_FORMAT")
            rows[number] = dialect.read(line)
        except ValueError as error:
            faults[number] = f"{error}{_hint(line, dialect)}"
    return ListRows(rows, data, faults)


def _parse_soft(source: str, lines: dict[int, str], *, headed: bool) -> ListRows | None:
    """The rows of a list with probabilities as targets, where it is one: its first line tells; ``headed``: only a
    header row does, as where DATA.LIST_FORMAT is of other lists."""
    first = next(iter(lines), 0)
    try:
        header = header_width(lines[first]) if lines else None
    except ValueError as error:
        raise ListError(f"{source}:{first}: {error}; the line is {lines[first]!r:.500}") from None
    width = header or (row_width(lines[first]) if lines and not headed else None)
    if width is None:
        return None
    data = {number: line for number, line in lines.items() if not header or number != first}
    rows, faults = {}, {}
    for number, line in data.items():
        try:
            rows[number] = read_row(line, width)
        except ValueError as error:
            faults[number] = str(error)
    return ListRows(rows, data, faults)


def _hint(line: str, dialect: Dialect | None) -> str:
    if dialect is None:
        return ""
    other = fitting_dialect(line, multi_label=dialect.multi_label)
    fits = f"; {other.form!r} would fit" if other and other != dialect else ""
    if not dialect.multi_label and dialect._replace(multi_label=True).fits(line):
        fits = "; several labels of a video are read with DATA.MULTI_LABEL True"
    return f", the form of this list is {dialect.form!r}{fits}"


def read_list(path: str | os.PathLike, **how) -> RecordList:
    """The records of a list file; the arguments are those of ``read_list_and_faults``.

    Raises:
        ListError: with file, line number and line, where there is one.
    """
    records, faults = read_list_and_faults(path, **how)
    for number, fault in sorted(faults.items()):
        raise ListError(f"{os.fspath(path)}:{number}: {fault}")
    return records


def read_unlabelled(
    path: str | os.PathLike,
    *,
    form: str = AUTO,
    separator: str = " ",
    prefix: str = "",
    root_replace: tuple[str, str] | None = None,
    outside: bool = False,
) -> tuple[RecordList, int]:
    """The videos of a list file as videos of unknown class, and how many rows name a class all the same.

    A row may be a path alone, or have any label: nobody reads it. The arguments are those of ``read_list_and_faults``.

    Raises:
        ListError: the file cannot be read, has no rows, or a row is none.
    """
    source = os.fspath(path)
    found = parse_list(source, form=form, separator=separator, bare=True)
    if not found.rows and not found.faults:
        raise ListError(f"list file '{source}' has no rows; expected a path in each line")
    places: dict[str, Any] = {"prefix": prefix, "root_replace": root_replace}
    for number, row in found.rows.items():
        try:
            check_name(row.path)
        except ValueError as error:
            found.faults[number] = str(error)
    names = _paths_of(found, found.rows, places if not outside else None)
    for number, fault in sorted(found.faults.items()):
        raise ListError(f"{source}:{number}: {fault:.1000}; the line is {found.texts[number]!r:.500}")
    paths = locate(names.values(), folder="" if is_address(source) else os.path.dirname(source), **places)
    labelled = sum(row.label not in (UNLABELLED, str(UNLABELLED)) for row in found.rows.values())
    records = [VideoRecord(path, UNLABELLED, found.rows[n].num_frames) for n, path in zip(names, paths, strict=True)]
    return RecordList(records, source=source, lines=list(names)), labelled


def read_list_and_faults(
    path: str | os.PathLike,
    *,
    form: str = AUTO,
    separator: str = " ",
    prefix: str = "",
    root_replace: tuple[str, str] | None = None,
    outside: bool = False,
    classes: ClassTable | None = None,
    num_classes: int | None = None,
    unlabelled: bool = True,
    multi_label: bool = False,
    mend: Callable[[str], str] | None = None,
    bare: bool = False,
    label_free: bool = False,
) -> tuple[RecordList, dict[int, str]]:
    """The records of a list file, and what is wrong with the lines that give none: line number -> fault and line.

    Whether the videos exist is not checked: reading them says so.

    Args:
        form: see ``parse_list``, as ``separator``, ``several``, ``mend`` and ``bare``.
        prefix: see ``locations.locate``, as ``root_replace``.
        outside: paths may lead out of it, see ``locations.kept_inside``.
        classes: gives the numbers of labels that are not 0, 1, ... or are names.
        num_classes: labels are 0 .. num_classes - 1; None = any from 0.
        unlabelled: allow the label -1.
        label_free: no label is wrong: one that is not understood counts as -1.

    Raises:
        ListError: the file cannot be read, or has no rows.
    """
    source = os.fspath(path)
    found = parse_list(source, form=form, separator=separator, multi_label=multi_label, mend=mend, bare=bare)
    if not found.rows and not found.faults:
        raise ListError(f"list file '{source}' has no rows; expected lines of a path, {separator!r} and a label")
    if multi_label:
        _refuse_several_or_soft(source, found)
    labels, from_1 = {}, _counts_from_1(found.rows.values(), num_classes)
    for number, row in found.rows.items():
        try:
            check_name(row.path)
            labels[number] = _classes_of(row, classes, num_classes, unlabelled=unlabelled, label_free=label_free)
        except ValueError as error:
            found.faults[number] = f"{error}{from_1}"
    places: dict[str, Any] = {"prefix": prefix, "root_replace": root_replace}
    names = _paths_of(found, labels, places if not outside else None)
    folder = "" if is_address(source) else os.path.dirname(source)
    paths = locate(names.values(), folder=folder, **places)
    records = [VideoRecord(path, labels[n], found.rows[n].num_frames) for n, path in zip(names, paths, strict=True)]
    targets = [] if label_free else [found.rows[n].target for n in names]
    faults = {
        number: f"{fault:.1000}; the line is {found.texts[number]!r:.500}" for number, fault in found.faults.items()
    }
    return RecordList(records, source=source, lines=list(names), targets=targets), faults


def _paths_of(found: ListRows, numbers: Iterable[int], within: dict[str, Any] | None) -> dict[int, str]:
    """Line number -> path of these rows; one that leads out of the folders of ``within`` becomes a fault instead."""
    names = {number: found.rows[number].path for number in numbers}
    if within is None:
        return names
    for number, path in list(names.items()):
        try:
            names[number] = kept_inside(path, **within)
        except ValueError as error:
            del names[number]
            found.faults[number] = str(error)
    return names


def check_name(path: str) -> None:
    """Checks the name of a video.

    Raises:
        ValueError: no file can be called so.
    """
    if "\0" in path:
        raise ValueError("the path holds a NUL byte")
    if "\n" in path or "\r" in path:
        raise ValueError("the path holds a line break")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError("the path holds half a character (a lone surrogate)") from None


def _refuse_several_or_soft(source: str, found: ListRows) -> None:
    """Raises ListError where a list has no several labels: see ``_refuse_labels_apart``, or probabilities."""
    for number, row in found.rows.items():
        if row.target is not None:
            raise ListError(
                f"{source}:{number}: DATA.MULTI_LABEL True, but this list has probabilities of one class for each video"
            )
    _refuse_labels_apart(source, found)


def _refuse_labels_apart(source: str, found: ListRows) -> None:
    """Refuses lists with labels apart: raises ListError where ``a.mp4 3 7`` would be read as 3 frames of class 7, but
    more likely has two labels."""
    if any(isinstance(row.label, tuple) for row in found.rows.values()):
        return
    for number, row in found.rows.items():
        if row.num_frames is not None and os.path.splitext(row.path)[1]:
            raise ListError(
                f"{source}:{number}: DATA.MULTI_LABEL True, but no video of this list has several labels in one "
                "column, as in "
                f"'path 3,7'; the line is {found.texts[number]!r}"
            )


def _classes_of(
    row: Row, classes: ClassTable | None, num_classes: int | None, *, unlabelled: bool, label_free: bool
) -> int | tuple[int, ...]:
    """The class of a row, or its several, each once; with ``label_free`` -1 where that fails.

    Raises:
        ValueError: a label is not known or out of range.
    """
    if label_free:
        try:
            return _classes_of(row, classes, num_classes, unlabelled=True, label_free=False)
        except ValueError:
            return UNLABELLED
    if row.target is not None:
        check_width(row, num_classes)
        return cast(int, row.label)
    labels = tuple(dict.fromkeys(class_of(label, classes) for label in each_label(row.label)))
    if len(labels) > 1 and UNLABELLED in labels:
        raise ValueError("label -1 (unlabelled) stands alone")
    for label in labels:
        check_label(label, num_classes, unlabelled=unlabelled)
    return labels if len(labels) > 1 else labels[0]


def class_of(label: int | str, classes: ClassTable | None) -> int:
    """The class of a list's label.

    Raises:
        ValueError: the table has no such label, or a name needs one and there is none.
    """
    if label == UNLABELLED:
        return UNLABELLED
    if isinstance(label, str):
        if classes is None:
            raise ValueError(f"class {label!r} has no number: give the file of class names (DATA.CLASSES_FILE)")
        if (number := classes.number(label)) is None:
            raise ValueError(f"class {label!r} is not in '{classes.source}'")
        return number
    if classes is None or classes.ids is None:
        return label
    if label not in classes.ids:
        raise ValueError(f"label {label} is not in '{classes.source}' ({min(classes.ids)}..{max(classes.ids)})")
    return classes.ids[label]


def check_label(label: int, num_classes: int | None, *, unlabelled: bool = True) -> None:
    """Checks that a label is a class number.

    Raises:
        ValueError: the class is out of range.
    """
    if label == UNLABELLED and not unlabelled:
        raise ValueError("label -1 (unlabelled): only test videos may be so")
    if label < UNLABELLED:
        raise ValueError(f"label {label} is below 0")
    if num_classes is not None and label >= num_classes:
        raise ValueError(f"label {label} is not in 0..{num_classes - 1} (MODEL.NUM_CLASSES {num_classes})")


def _counts_from_1(rows: Iterable[Row], num_classes: int | None) -> str:
    labels = {label for row in rows for label in each_label(row.label)}
    return (
        f"; the labels here run from 1 to {num_classes}, they must count from 0"
        if labels == {*range(1, (num_classes or 0) + 1)}
        else ""
    )


def format_row(record: VideoRecord) -> str:
    """A line that ``read_list`` takes back as it was: ``path label``, or ``path num_frames label`` where the number is
    known.

    Several labels are ``3,7``.

    Raises:
        ListError: the path has a line break, which no list can hold.
    """
    try:
        check_name(record.path)
    except ValueError as error:
        raise ListError(f"'{record.path}' cannot stand in a list: {error}") from None
    quoted = record.path.startswith(("#", '"', "'")) or " " in record.path
    path = f'"{record.path}"' if quoted else record.path
    labels = ",".join(map(str, each_label(record.label)))
    return " ".join([path, *([] if record.num_frames is None else [str(record.num_frames)]), labels])


def format_list(records: Sequence[VideoRecord], targets: Sequence[tuple[float, ...] | None] = ()) -> str:
    """The text of a list that ``read_list`` takes back: with probabilities as targets where a video has them (one that
    has a label has 1 for it then), else as ``format_row`` has it.

    Args:
        targets: of each record, see ``RecordList.targets``.

    Raises:
        ListError: see ``format_row``.
    """
    rows = [format_row(record) for record in records]  # says what no list can hold
    width = next((len(target) for target in targets if target is not None), 0)
    if not width:
        return "".join(f"{row}\n" for row in rows)
    soft = [
        target or [float(at == record.label) for at in range(width)]
        for record, target in zip(records, targets, strict=True)
    ]
    return soft_text([record.path for record in records], soft, width)
