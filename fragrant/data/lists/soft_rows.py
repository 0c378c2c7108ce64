"""Rows with a probability of every class in place of a label: ``path,p0,...,pK-1``, as pseudo-labels are written."""

import math
import re
from collections.abc import Iterable, Sequence

from fragrant.data.lists.dialects import Row

SUMS_TO_1 = 1e-3  # probabilities that are written with few digits add up to 1 within this
_HEADER = re.compile(r"""["']?(?:path|video|file|filename)["']?((?:\s*,\s*["']?p\d+["']?)+)\s*""", re.IGNORECASE)
_NUMBER = r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*"
_ROW = re.compile(rf".+?((?:,{_NUMBER}){{2,}})")
_NUMBER_AT_END = re.compile(rf"((?:,{_NUMBER})+)$")
_WRITTEN = 6  # digits behind the point


def header_width(line: str) -> int | None:
    """K of a header row ``path,p0,...,pK-1``; None where the row is none.

    Raises:
        ValueError: its columns are not p0, p1, ... in this order.
    """
    match = _HEADER.fullmatch(line.strip())
    if match is None:
        return None
    numbers = [int(text) for text in re.findall(r"p(\d+)", match[1].lower())]
    if numbers != list(range(len(numbers))) or len(numbers) < 2:
        raise ValueError("columns of probabilities must be p0, p1, ... in this order, two or more")
    return len(numbers)


def row_width(line: str) -> int | None:
    """K of a row that can be nothing but a path and K probabilities: two or more numbers behind the path, of which one
    is written with a point; None of any other row."""
    match = _ROW.fullmatch(line.strip())
    if match is None or "." not in match[1]:
        return None
    return match[1].count(",")


def read_row(line: str, width: int) -> Row:
    """Reads ``path,p0,...,pK-1``; the path may hold commas. The label is the likeliest class.

    Raises:
        ValueError: there are fewer or more numbers than ``width``, or they are no probabilities.
    """
    fields = line.strip().rsplit(",", width)
    path = fields[0].strip()
    more = _NUMBER_AT_END.search(path)
    found = more[1].count(",") if more else 0
    if len(fields) <= width or found:
        count = len(fields) - 1 + found
        raise ValueError(f"{count} probabilities, in this list every row has {width}")
    if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'":
        path = path[1:-1]
    if not path:
        raise ValueError("no path before the probabilities")
    return soft_row(path, fields[1:])


def soft_row(path: str, values: Iterable[object]) -> Row:
    """A row of a path and the probability of every class, which are scaled to a sum of 1.

    Raises:
        ValueError: a value is no number of 0 to 1, or their sum is not 1.
    """
    target = [_probability(at, value) for at, value in enumerate(values)]
    total = math.fsum(target)
    if len(target) < 2:
        raise ValueError(f"{len(target)} probabilities; allowed: one for each class, two or more")
    if abs(total - 1) > SUMS_TO_1:
        raise ValueError(f"the {len(target)} probabilities add up to {total:.6g}; allowed: 1, within {SUMS_TO_1}")
    scaled = tuple(value / total for value in target)
    return Row(path, scaled.index(max(scaled)), target=scaled)


def _probability(at: int, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 1:  # NaN is not, either
        raise ValueError(f"p{at} is {str(value).strip()[:30]}; allowed: a number from 0 to 1")
    return number


def check_width(row: Row, num_classes: int | None) -> None:
    """Checks that a row has a probability of every class; raises ValueError."""
    if row.target is not None and num_classes is not None and len(row.target) != num_classes:
        raise ValueError(
            f"{len(row.target)} probabilities; allowed: one for each of the {num_classes} classes (MODEL.NUM_CLASSES)"
        )


def _needs_quotes(path: str) -> bool:
    """Whether a path by itself would be read as another one: as a comment, without what is around it, or its end as a
    probability (folders of frames may be called ``run,0.5``)."""
    return path[:1] in "#\"'" or path != path.strip() or bool(_NUMBER_AT_END.search(path))


def soft_text(paths: Sequence[str], targets: Iterable[Sequence[float]], num_classes: int) -> str:
    """The text of a list with probabilities as targets, header row first; ``read_row`` takes each row back."""
    header = ",".join(["path", *(f"p{at}" for at in range(num_classes))])
    rows = (
        ",".join([f'"{path}"' if _needs_quotes(path) else path, *(f"{value:.{_WRITTEN}f}" for value in target)])
        for path, target in zip(paths, targets, strict=True)
    )
    return "".join(f"{line}\n" for line in [header, *rows])
