"""A column of a list file that is no part of a video's record: the scene, the person, the recording."""

import json
import os
from collections.abc import Iterable

from fragrant.data.lists.dialects import SEPARATORS, Dialect, header_dialect
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.json_lists import is_json
from fragrant.data.lists.list_text import list_text


def column_of(path: str | os.PathLike, name: str, lines: Iterable[int]) -> list[str]:
    """The values of a column, by its name in the header row of a list or the entries of a JSON list.

    Args:
        lines: line number of every row that is wanted (in a JSON list: number of the entry, from 1).

    Raises:
        ListError: the list cannot be read, or has no such column, where the message names those that there are, or a
            row that is wanted has nothing in it.
    """
    text = list_text(path)
    values = _of_entries(os.fspath(path), text, name) if is_json(text) else _of_rows(os.fspath(path), text, name)
    wanted = list(lines)
    if empty := [line for line in wanted if not values.get(line)]:
        more = f", nor in {len(empty) - 1} other rows" if len(empty) > 1 else ""
        raise ListError(f"{os.fspath(path)}:{empty[0]}: no value in the column '{name}'{more}; every video needs one")
    return [values[line] for line in wanted]


def _of_entries(source: str, text: str, name: str) -> dict[int, str]:
    entries = list(enumerate(json.loads(text), start=1))
    found = {
        number: "" if entry[name] is None else str(entry[name]).strip()
        for number, entry in entries
        if isinstance(entry, dict) and name in entry
    }
    if not found:
        raise _no_column(source, name, list(entries[0][1]) if entries and isinstance(entries[0][1], dict) else [])
    return found


def _of_rows(source: str, text: str, name: str) -> dict[int, str]:
    rows = {number: line.strip() for number, line in enumerate(text.split("\n"), start=1) if line.strip()}
    first = next(iter(rows), 0)
    dialect = header_dialect(rows[first]) if rows else None
    if dialect is None:
        raise _no_column(source, name, [])
    names = [field.strip("\"' ") for field in rows[first].split(dialect.separator)]
    if name not in names:
        raise _no_column(source, name, names)
    if names[dialect.columns.index("path")] == name:
        raise ListError(f"the column '{name}' of {source} is the path of the videos, no group")
    # the path takes what the other columns leave, as in every list; these go by the names of the header
    columns = tuple("path" if kind == "path" else own for kind, own in zip(dialect.columns, names, strict=True))
    reader = Dialect(dialect.separator, columns)
    values = {}
    for number, line in rows.items():
        try:
            values[number] = reader.fields(line)[name]
        except ValueError:  # a line that gives no record, which whoever reads the list says
            continue
    return values


def _no_column(source: str, name: str, names: list[str]) -> ListError:
    told = (
        f"; its columns are {', '.join(names)}"
        if names
        else (f": it has no header row that names its columns, such as {SEPARATORS[1].join(('path', 'label', name))}")
    )
    return ListError(f"{source} has no column '{name}'{told}")
