"""Any lists of videos as a set."""

import os
from collections.abc import Sequence

from fragrant.data.datasets.known_set import KnownSet, with_validation
from fragrant.data.lists.class_names import find_class_file, read_class_table
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import read_list
from fragrant.files import expanded

LISTS = "video_list"  # the name of such a set
_SPLITS = ("train", "val", "test")


def listed_set(lists: Sequence[str], root: str | os.PathLike) -> KnownSet:
    """Lists by their split, ``["train=lists/a.txt", "test=lists/b.txt"]``, paths from ``root``; class names lie beside
    the first. A list that is not there may lie below ``root``, too.

    Raises:
        ListError: there is no list, or one or the class names are not there or wrong.
    """
    paths = {}
    for text in lists:
        split, _, path = text.partition("=")
        if split not in _SPLITS or not path:
            raise ListError(f"--list '{text}' is not of the form train=FILE, val=FILE or test=FILE")
        given = expanded(path)
        below = os.path.join(root, given)
        paths[split] = below if not os.path.exists(given) and os.path.exists(below) else given
    if not paths:
        raise ListError(f"the set {LISTS} needs a list: --list train=FILE")
    classes = find_class_file(os.path.dirname(next(iter(paths.values()))) or ".")
    table = read_class_table(classes) if classes else None
    splits = {
        split: read_list(path, prefix=os.fspath(root), classes=table, bare=split == "test")
        for split, path in paths.items()
    }
    return with_validation(KnownSet(splits, table and table.names))
