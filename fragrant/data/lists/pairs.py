"""Two lists of the same scenes, seen by two cameras, as one list of pairs."""

from collections.abc import Sequence
from typing import NamedTuple

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import RecordList

ReadList = tuple[RecordList, dict[int, str]]  # the rows that can be used; line number -> what is wrong with the others


def paired(first: RecordList, second: RecordList, *, labelled: bool = True) -> RecordList:
    """Row i of one list with row i of the other, as the published lists of visible and infrared videos are: the records
    of the first, each with its partner.

    Args:
        labelled: both rows must say the same label.

    Raises:
        ListError: one list has more rows, or the labels of a row differ; names both places.
    """
    _check_as_many((first, {}), (second, {}))
    for at in range(len(first)) if labelled else ():
        if difference := _difference(first, at, second, at):
            raise ListError(f"{first.where(at)}: {difference}")
    return _with_partners(first, second)


class Aligned(NamedTuple):
    """Two lists of which some rows cannot be used: what is left are pairs.

    Attributes:
        lists: the rows of both that are pairs, in their order, and what is wrong with the other rows of each; a
            difference of labels stands in the first.
        lost: line number in the first list -> why its row has no partner, though nothing is wrong with itself.
    """

    lists: tuple[ReadList, ReadList]
    lost: dict[int, str]

    @property
    def pairs(self) -> RecordList:
        """The pairs, as ``paired`` has them."""
        return _with_partners(*(records for records, _ in self.lists))


def aligned(first: ReadList, second: ReadList, *, labelled: bool = True) -> Aligned:
    """Pairs the rows as ``paired`` does, but for those that cannot be used, of either list: they keep their places, so
    that the rows behind them stay pairs.

    Raises:
        ListError: one list has more rows, with those that cannot be used.
    """
    _check_as_many(first, second)
    (records, faults), (others, other_faults) = first, second
    faults, lost, kept = dict(faults), dict[int, str](), list[tuple[int, int]]()
    for (line, at), (other_line, other) in zip(_rows(first), _rows(second), strict=True):
        if at is None:
            continue
        if other is None:
            lost[line] = f"its pair {others.source}:{other_line} cannot be used: {other_faults[other_line]}"
        elif labelled and (difference := _difference(records, at, others, other)):
            faults[line] = difference
        else:
            kept.append((at, other))
    pairs = records.pick(at for at, _ in kept), others.pick(other for _, other in kept)
    return Aligned(((pairs[0], faults), (pairs[1], dict(other_faults))), lost)


def _rows(read: ReadList) -> Sequence[tuple[int, int | None]]:
    """Line number of every row, and its place among the records; None = it cannot be used."""
    records, faults = read
    rows = [*zip(records.lines, range(len(records)), strict=True)]
    # by line, where some are missing; else in the order of the records, whatever their lines
    return sorted([*rows, *((line, None) for line in faults)], key=lambda row: row[0]) if faults else rows


def _check_as_many(first: ReadList, second: ReadList) -> None:
    """Raises ListError where one list has more rows; a torn one may be why, so the first of those is told."""
    counts = [len(records) + len(faults) for records, faults in (first, second)]
    if counts[0] != counts[1]:
        wrong = [
            f"{records.source}:{line}: {fault}"
            for records, faults in (first, second)
            for line, fault in sorted(faults.items())
        ]
        torn = f"; {len(wrong)} of the rows cannot be used, as {wrong[0]}" if wrong else ""
        raise ListError(
            f"'{first[0].source}' and '{second[0].source}' are lists of pairs, row by row: the first has {counts[0]} "
            f"videos, the second {counts[1]}; allowed: as many{torn}"
        )


def _difference(first: RecordList, at: int, second: RecordList, other: int) -> str:
    """What is wrong with the labels of a pair; "" where they agree."""
    one, two = first[at], second[other]
    if one.label == two.label:
        return ""
    return (
        f"its pair is {second.where(other)}, but '{one.path}' has label {one.label} and '{two.path}' {two.label}; "
        "allowed: the same rows in the same order"
    )


def _with_partners(first: RecordList, second: RecordList) -> RecordList:
    partners = [record.path for record in second]
    return RecordList(first, source=first.source, lines=first.lines, targets=first.targets, partners=partners)
