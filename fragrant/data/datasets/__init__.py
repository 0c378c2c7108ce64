"""The public sets, one file each: where their lists lie, as they are distributed, and what their classes are called."""

from fragrant.data.datasets import arid, dark48, diving48, ellar, folders, infar, sljd, ssv2  # noqa: F401  each enters itself into SETS
from fragrant.data.datasets.known_set import SETS, KnownSet, prepared_set
from fragrant.data.datasets.lists import LISTS, listed_set

__all__ = ["LISTS", "SETS", "KnownSet", "listed_set", "prepared_set"]
