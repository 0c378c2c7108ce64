"""The public sets as they are distributed -> records of each split, class names; one file per set."""

from fragrant.data.prepare import arid, dark48, diving48, ellar, folders, infar, sljd, ssv2
from fragrant.data.prepare.known_set import SETS, KnownSet, prepared_set
from fragrant.data.prepare.lists import LISTS, listed_set
from fragrant.data.prepare.unpack import unpack_set
from fragrant.data.prepare.write import write_set

__all__ = [
    "LISTS",
    "SETS",
    "KnownSet",
    "listed_set",
    "prepared_set",
    "unpack_set",
    "write_set",
    "arid",
    "dark48",
    "diving48",
    "ellar",
    "folders",
    "infar",
    "sljd",
    "ssv2",
]
