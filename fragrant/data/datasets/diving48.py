"""Diving48 with the labels V2: 48 dives, told apart by their course alone."""

from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import find_file, need_file, read_split
from fragrant.data.lists.class_names import read_class_table
from fragrant.data.lists.groups import GroupRule


@register_set("diving48", groups=GroupRule("competition", r"([^/]+)_\d{5}(?:\.\w+)?$"))
def diving48(source: Source) -> KnownSet:
    """Reads ``Diving48_V2_{train,test}.json`` and ``Diving48_vocab.json``; a class is called by its four attributes, as
    mmaction2 does."""
    vocabulary = find_file(source.root, "Diving48_vocab.json")
    names = read_class_table(vocabulary).names if vocabulary else None
    splits = {
        split: read_split(source, need_file(source.root, f"Diving48_V2_{split}.json")) for split in ("train", "test")
    }
    notes = () if names else ("Diving48_vocab.json is not there: the classes have no names",)
    return KnownSet(
        splits, names, {"train": 15027, "test": 1970}, (*notes, "figures with labels V1 are not comparable")
    )
