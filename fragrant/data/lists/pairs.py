"""Two lists of the same scenes, seen by two cameras, as one list of pairs."""

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import RecordList


def paired(first: RecordList, second: RecordList, *, labelled: bool = True) -> RecordList:
    """Row i of one list with row i of the other, as the published lists of visible and infrared videos are: the records
    of the first, each with its partner.

    Args:
        labelled: both rows must say the same label.

    Raises:
        ListError: one list has more rows, or the labels of a row differ; names both places.
    """
    names = f"'{first.source}' and '{second.source}'"
    if len(first) != len(second):
        raise ListError(
            f"{names} are lists of pairs, row by row: the first has {len(first)} videos, the second {len(second)}; "
            "allowed: as many"
        )
    for at in range(len(first)) if labelled else ():
        one, other = first[at].label, second[at].label
        if one != other:
            raise ListError(
                f"{first.where(at)} and {second.where(at)} are a pair, but '{first[at].path}' has label {one} and "
                f"'{second[at].path}' {other}; allowed: the same rows in the same order"
            )
    partners = [record.path for record in second]
    return RecordList(first, source=first.source, lines=first.lines, targets=first.targets, partners=partners)
