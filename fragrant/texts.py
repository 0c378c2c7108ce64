"""Names in what people read: foreign ones without control characters and formulas, wrong ones with the one meant."""

import contextlib
import csv
import difflib
import io
import os
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

# What moves the cursor, colours, ends a line or turns the direction of writing. Combining marks and the joiners of
# scripts and emoji stay.
_CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
_NOT_SHOWN = re.compile(f"[{_CONTROL}\ud800-\udfff]")  # the latter: what no encoding takes
_NOT_IN_CELLS = re.compile(f"[{_CONTROL}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # begins a cell that a spreadsheet computes


def printable(text: str) -> str:
    r"""One line that shows what it says: control characters as ``\n``, ``\x1b``, ``\u202e``; a byte of a file name that
    is no UTF-8 as ``\xff``."""
    return _NOT_SHOWN.sub(_escape, text)


def _escape(match: re.Match) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:  # how Python holds such a byte
        number -= 0xDC00
    return _SHORT.get(match[0]) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def say(lines: str | Iterable[str], file=None) -> None:
    """Prints lines that may hold names from anywhere."""
    for line in [lines] if isinstance(lines, str) else lines:
        print(printable(line), file=file)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggestion for an error, ``"did you mean 'x'? "``, of the closest known name (upper and lower case count alike),
    or ""."""
    if len(name) > 100:  # no name is so long, and comparing takes long
        return ""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean '{by_lower[close[0]]}'? " if close else ""


def give_up(stream: TextIO) -> None:
    """Lets what is still in the stream's buffer go nowhere, where the terminal is closed or the disk behind it full:
    Python would fail over it once more at its end."""
    with contextlib.suppress(OSError, ValueError):  # no file behind it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def cell(value: object) -> object:
    """A value for a CSV file: a text that a spreadsheet would take for a formula gets a ' in front; numbers stay."""
    if not isinstance(value, str):
        return value
    formula = value.strip().startswith(_FORMULA) and not _is_number(value)
    return _NOT_IN_CELLS.sub(_escape, f"'{value}" if formula else value)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV, one line each whatever stands in a cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII) is not None
