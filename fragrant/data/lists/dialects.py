"""The forms that a row of a list file can have, and which of them a list is written in.

A form is written as an example row, the way DATA.LIST_FORMAT takes it: ``path label``, ``path,label``,
``path num_frames label``,
``id\\tlabel\\tpath``. A video's several labels share a column: ``path 3,7``, ``path,3;7``.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fragrant.data.lists.errors import ListError

SEPARATORS = ("\t", ",", ";", " ")
LABEL_SEPARATORS = ",;|"  # between the labels of a video; not the one between columns
UNLABELLED = -1  # label of a video whose class is not known

# In the order they are tried where several fit: "x 90 6" is a frame folder rather than a folder called "x 90".
_FORMS = (
    ("path", "num_frames", "label"),
    ("id", "label", "path"),
    ("id", "path", "label"),
    ("path", "label"),
    ("label", "path"),
)
_MOST_DIGITS = 20  # of a whole number of 64 bits, with its sign; Python's own int() takes the time of their square
_PATH = re.compile(r"""[^\s,;|]+|.+\.[A-Za-z][A-Za-z0-9]{1,4}["']?""")
_INFINITE = (float("inf"), float("-inf"))
_SAMPLE = 200  # rows that decide which form a list has

# What header rows call the columns. Other names in a header are columns that nobody reads.
_COLUMNS = {
    "path": "path video file filename file_name video_path video_name vid_name clip",
    "label": "label labels class classid class_id label_id target",
    "num_frames": "num_frames frames nframes n_frames frame_count",
    "id": "id videoid video_id index",
}
_COLUMN_OF = {name: column for column, names in _COLUMNS.items() for name in names.split()}
_ONE_FRAME_PER_ROW = "frame_id"


class Row(NamedTuple):
    """The fields of a row as they are written: ``label`` is a text where the list gives class names, a tuple where it
    gives several; ``target`` are the probabilities of all classes, where it gives those, and the label the likeliest
    one."""

    path: str
    label: int | str | tuple[int, ...]
    num_frames: int | None = None
    target: tuple[float, ...] | None = None


class Dialect(NamedTuple):
    """The form of a row: its separator and its columns. The path takes what the other columns leave.

    ``multi_label``: a video may have more than one label."""

    separator: str
    columns: tuple[str, ...]
    multi_label: bool = False

    @property
    def form(self) -> str:
        """The form as DATA.LIST_FORMAT takes it."""
        return self.separator.join(self.columns)

    def fields(self, line: str) -> dict[str, str]:
        """The text of each column; those before the path are cut off from the left, those behind it from the right.

        Raises:
            ValueError: there are fewer columns.
        """
        at = self.columns.index("path")
        fields, rest = {}, line
        for name in self.columns[:at]:
            field, found, rest = rest.strip(" ").partition(self.separator)
            fields[name] = _clean(field, found)
        for name in reversed(self.columns[at + 1 :]):
            rest, found, field = rest.strip(" ").rpartition(self.separator)
            fields[name] = _clean(field, found)
        return fields | {"path": _clean(rest, "a path may be all there is")}

    def read(self, line: str) -> Row:
        """Reads a line of the list.

        Raises:
            ValueError: the line is not of this form.
        """
        fields = self.fields(line)
        path, num_frames = fields["path"], fields.get("num_frames", "0")
        labels = self._labels(fields.get("label", str(UNLABELLED)))
        if (
            not path
            or {path[0], path[-1]} & {*SEPARATORS}
            or not all(map(_is_int, labels))
            or not num_frames.isdecimal()
        ):
            raise ValueError("no path and whole-number label where they should be")
        numbers = tuple(map(whole_number, labels))
        label = numbers[0] if len(numbers) == 1 else numbers
        return Row(path, label, whole_number(num_frames) if "num_frames" in fields else None)

    def _labels(self, field: str) -> list[str]:
        return re.split(f"[{LABEL_SEPARATORS.replace(self.separator, '')}]", field) if self.multi_label else [field]

    def fits(self, line: str) -> bool:
        """Whether the line reads, and what would be a row number is one."""
        try:
            self.read(line)
            return "id" not in self.columns or self.fields(line)["id"].isdecimal()
        except ValueError:
            return False


def dialect_of(form: str, *, multi_label: bool = False) -> Dialect:
    """The dialect of a DATA.LIST_FORMAT; a tab may also be written as a backslash and a t.

    Raises:
        ListError: the form is not understood.
    """
    text = form.replace("\\t", "\t")
    names, gaps = re.findall(r"[\w-]+", text), set(re.split(r"[\w-]+", text)[1:-1])
    columns = tuple(_COLUMN_OF.get(name.lower(), "-" if name == "-" else "") for name in names)
    if len(gaps) != 1 or not all(columns) or columns.count("path") != 1 or columns.count("label") > 1:
        raise ListError(
            f"DATA.LIST_FORMAT {form!r} is not understood; allowed: auto, or an example row such as 'path label', "
            "'path,num_frames,label', "
            f"'id\\tlabel\\tpath' (columns: path, label, num_frames, id, and - for one that nobody reads)"
        )
    return Dialect(gaps.pop(), columns, multi_label)


BARE = Dialect(" ", ("path",))  # a line is a path, nothing else


def are_paths(lines: Iterable[str]) -> bool:
    """Whether every line looks like a path alone: it ends as file names do, or nothing in it could cut off a label."""
    return all(_PATH.fullmatch(line) for line in lines)


def is_bare_header(line: str) -> bool:
    return _COLUMN_OF.get(line.strip("\"' ").lower()) == "path"


def header_dialect(line: str, *, multi_label: bool = False) -> Dialect | None:
    """The dialect that a header row announces; None where the row is no header.

    Raises:
        ValueError: it announces a list with a row per frame.
    """
    for separator in SEPARATORS:
        names = [_clean(name, separator).lower() for name in line.split(separator)]
        columns = tuple(_COLUMN_OF.get(name, "-") for name in names)
        if (
            columns.count("path") == 1
            and len(columns) > 1
            and len({*columns} - {"-"}) > 1
            and not any(map(_is_int, names))
        ):
            if _ONE_FRAME_PER_ROW in names:
                raise ValueError("this list has one row per frame; one row per video is needed")
            return Dialect(separator, columns, multi_label)
    return None


def tell_dialect(lines: Iterable[str], *, prefer: str = " ", multi_label: bool = False) -> Dialect | None:
    """The dialect that fits most of the lines, None where none fits any.

    Of several it is the one that finds the most labels, then the one with the separator ``prefer``.
    """
    lines = list(lines)[:_SAMPLE]
    best, most = None, (0, 0)
    for dialect in _dialects(prefer, multi_label):
        labels = [dialect.read(line).label for line in lines if dialect.fits(line)]
        found = len(labels), sum(isinstance(label, tuple) for label in labels)
        if found > most:
            best, most = dialect, found
    return best


def fitting_dialect(line: str, *, multi_label: bool = False) -> Dialect | None:
    return tell_dialect([line], multi_label=multi_label)


def _dialects(prefer: str, multi_label: bool) -> Sequence[Dialect]:
    separators = dict.fromkeys((prefer, *SEPARATORS))
    # A blank stands in paths as well: "1 jump/a.mp4 0" begins with the name of a folder, not with a row number.
    return [
        Dialect(s, form, multi_label)
        for s in separators
        for form in _FORMS
        if not (s == " " and form == ("id", "path", "label"))
    ]


def _clean(field: str, found: str) -> str:
    """Strips blanks and quotes around a field.

    Raises:
        ValueError: nothing was found to cut the line at.
    """
    if not found:
        raise ValueError("too few columns")
    field = field.strip()
    return field[1:-1] if len(field) > 1 and field[0] == field[-1] and field[0] in "\"'" else field


def whole_number(value: object) -> int:
    """A label or a number of frames, from text or JSON.

    Raises:
        ValueError: it is no whole number, or none that a computer counts with (64 bits).
    """
    if isinstance(value, str):
        if not _is_int(value) or len(value) > _MOST_DIGITS:
            raise ValueError(f"{value[:30]!r} is no whole number of up to {_MOST_DIGITS} characters")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value in _INFINITE:
        raise ValueError(f"{value!r} is no whole number")
    if int(value) != value or not -(2**63) <= int(value) < 2**63:
        raise ValueError(f"{str(value)[:30]} is no whole number of 64 bits")
    return int(value)


def _is_int(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
