"""Files of class names, in the forms that the public sets come with."""

import ast
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from fragrant.data.lists.dialects import whole_number
from fragrant.data.lists.errors import ListError
from fragrant.files import is_address, read_plain
from fragrant.remote import RemoteError, joined, local_path

# What such a file is called where it lies beside a list, the first that is there counts.
CLASS_FILES = (
    "classes.txt",
    "mapping_table*.txt",
    "classInd.txt",
    "category.txt",
    "kinetics_*_cat*.txt",
    "*labels.json",
    "label_map.txt",
    "*vocab.json",
)


class ClassTable(NamedTuple):
    """The names of the classes.

    Attributes:
        names: the names of class 0, 1, ...
        source: the file that they were read from.
        ids: label in the lists -> class, where the lists' labels are not 0, 1, ... (UG2+ 2.1 keeps 5 .. 10); else None.
    """

    names: list[str]
    source: str
    ids: dict[int, int] | None = None

    def number(self, name: str) -> int | None:
        """The class of this name, None where there is none; an accent counts alike in both forms that Unicode has."""
        wanted = normalize("NFC", name)
        return next((at for at, own in enumerate(self.names) if normalize("NFC", own) == wanted), None)


def find_class_file(folder: str | os.PathLike) -> str | None:
    """The file of class names in a folder, if one is there; at an address only the first name is tried."""
    if is_address(folder):
        path = joined(str(folder), CLASS_FILES[0])
        try:
            return path if local_path(path) else None
        except RemoteError:
            return None
    for pattern in CLASS_FILES:
        found = sorted(Path(folder).glob(pattern))
        if found:
            return str(found[0])
    return None


def read_class_table(path: str | os.PathLike) -> ClassTable:
    """Reads a file of class names: one name per line, ``5<TAB>Run``, ``riding a bike<TAB>0``, or JSON: names,
    ``{"name": "0"}``, ``{"0": "name"}``, lists of parts.

    Raises:
        ListError: the file cannot be read, has no names, or gives a name or a label twice.
    """
    try:
        text = read_plain(local_path(path)).decode("utf-8-sig").strip()
    except RemoteError as error:
        raise ListError(f"file of class names '{path}' (DATA.CLASSES_FILE) {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ListError(f"file of class names '{path}' (DATA.CLASSES_FILE) cannot be read: {reason}") from error
    if "\0" in text:
        raise ListError(f"file of class names '{path}' holds a NUL byte, it is no text")
    try:
        pairs = _literal_pairs(text) if text[:1] in ("{", "[") else _line_pairs(text)
    except (ValueError, SyntaxError, TypeError, OverflowError, RecursionError, MemoryError) as error:  # too deep
        raise ListError(
            f"file of class names '{path}' is not understood: expected one name per line, a label and a name, or JSON"
        ) from error
    labels, names = [label for label, _ in pairs], [name for _, name in pairs]
    columns: tuple[tuple[str, list], ...] = (("label", labels), ("class name", names))
    for what, values in columns:
        twice = sorted((value for value, count in Counter(values).items() if count > 1), key=str)
        if twice:
            raise ListError(f"file of class names '{path}' has the {what} {twice[0]!r:.200} twice")
    if not pairs:
        raise ListError(f"file of class names '{path}' has no names")
    ids = {label: at for at, label in enumerate(sorted(labels))}
    names = [name for _, name in sorted(pairs)]
    return ClassTable(names, str(path), None if all(label == at for label, at in ids.items()) else ids)


def read_class_names(path: str | os.PathLike) -> list[str]:
    """Reads a file of class names; returns the names of ``read_class_table``."""
    return read_class_table(path).names


def without_brackets(template: str) -> str:
    """Strips the brackets of a template, ``"Holding [something]"`` -> ``"Holding something"``: Something-Something
    writes its classes both ways."""
    return template.replace("[", "").replace("]", "")


def _line_pairs(text: str) -> list[tuple[int, str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for pattern, label, name in ((r"(\d+)[\t ,]+(.+)", 1, 2), (r"(.+)[\t,]\s*(\d+)", 2, 1)):
        matches = [match for line in lines if (match := re.fullmatch(pattern, line))]
        if lines and len(matches) == len(lines):
            return [(whole_number(match[label]), match[name].strip()) for match in matches]
    return list(enumerate(lines))


def _literal_pairs(text: str) -> list[tuple[int, str]]:
    """Parses class names as a Python literal: JSON of texts and lists is Python as well, and one published file is
    Python only."""
    content = ast.literal_eval(text)
    if isinstance(content, dict):
        pairs = (
            content.items()
            if all(str(key).isdecimal() for key in content)
            else ((label, name) for name, label in content.items())
        )
        return [(whole_number(label), str(name)) for label, name in pairs]
    return list(enumerate("+".join(item) if isinstance(item, list) else str(item) for item in content))
