"""Public sets as converters read them, and the table of converters."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.groups import GroupRule
from fragrant.data.lists.records import RecordList
from fragrant.registry import Registry, did_you_mean


class KnownSet(NamedTuple):
    """A set as it is distributed, read.

    Attributes:
        splits: "train", "val", "test" and further splits of the set.
        class_names: name of each label; None where they are not known.
        published: how many videos each split is said to have, where that is published.
        notes: remarks for the user.
        edition: the edition that was read.
        drawn: whether the splits are not its own, but drawn from all its videos.
    """

    splits: dict[str, RecordList]
    class_names: list[str] | None = None
    published: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    edition: str = ""
    drawn: bool = False


class Source(NamedTuple):
    """The place of a set on disk.

    Attributes:
        root: the folder that the set was unpacked in.
        edition: which of the set's editions is wanted.
        videos: the folder of the videos where it is not below ``root``, or not to be searched for.
    """

    root: Path
    edition: str
    videos: Path | None = None


class Converter(NamedTuple):
    read: Callable[[Source], KnownSet]
    editions: tuple[str, ...]  # the first is what one gets without asking
    groups: GroupRule | None = None  # which of its videos are near copies of each other; None = nothing is known


SETS = Registry("the set")


def register_set(name: str, *editions: str, groups: GroupRule | None = None) -> Callable:
    def keep(read: Callable[[Source], KnownSet]):
        SETS.register(name)(Converter(read, editions or ("",), groups))
        return read

    return keep


# Sets that are read as lists or class folders, but whose file names are known.
_MORE_RULES = {"weizmann": GroupRule("person", r"(?:^|/)([A-Za-z]+)_[A-Za-z0-9]+\.\w+$")}  # daria_walk.avi


def group_rules() -> dict[str, GroupRule]:
    """The rules of all sets that say what their groups are, by the name of the set."""
    own = {name: rule for name in SETS.names() if (rule := SETS.get(name).groups) is not None}
    return _MORE_RULES | own


def prepared_set(name: str, root: str | os.PathLike, *, edition: str = "", videos: str | os.PathLike = "") -> KnownSet:
    """Reads a set as distributed in ``root``; without a validation list of its own it validates on the test list, as
    papers do.

    Raises:
        ListError: the edition is not known, or a file of the set is not there or wrong.
    """
    converter = SETS.get(name)
    edition = edition or converter.editions[0]
    if edition not in converter.editions:
        known = ", ".join(converter.editions)
        raise ListError(
            f"DATA.EDITION '{edition}' of {name} is not known; {did_you_mean(edition, converter.editions)}Known: "
            f"{known}"
        )
    if not root or not Path(root).is_dir():
        raise ListError(f"the folder '{root}' of {name} is not there (DATA.PATH_TO_DATA_DIR, --root)")
    found = converter.read(Source(Path(root), edition, Path(videos) if videos else None))
    return with_validation(found._replace(edition=edition))


def with_validation(found: KnownSet) -> KnownSet:
    """A set without a validation list validates on its test list."""
    if "val" in found.splits or "test" not in found.splits:
        return found
    splits = {**found.splits, "val": found.splits["test"]}
    return found._replace(splits=splits, notes=(*found.notes, "the set has no validation list: val repeats test"))
