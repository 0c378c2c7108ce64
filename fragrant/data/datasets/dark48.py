"""Dark-48 (DTCM, TIP 2023): 48 classes collected from the dark videos of Kinetics-700 and Moments in Time, 3 splits."""

from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import need_file, read_split
from fragrant.data.lists.class_names import read_class_table
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.groups import GroupRule

EDITIONS = [f"split{split}{kind}" for kind in ("", "-frames") for split in (1, 2, 3)]


@register_set("dark48", *EDITIONS, groups=GroupRule("source video", r"([^/]+?)_\d+(?:\.\w+)?$"))
def dark48(source: Source) -> KnownSet:
    """Reads Dark-48: its videos, or with ``-frames`` the folders of frames that its second set of lists is for.

    The names are those of classInd.txt and of the class folders, adult_female_singing; its README writes
    adult+female+singing."""
    split, _, frames = source.edition.partition("-")
    names = need_file(source.root, "classInd.txt")
    table = read_class_table(names)
    if len(table.names) != 48 or table.ids:
        raise ListError(f"'{names}' has {len(table.names)} classes, not Dark-48's 48 from 0")
    folder = need_file(names.parent, f"frame_file_list/train_{split}.txt" if frames else f"train_{split}.txt").parent
    splits = {part: read_split(source, folder / f"{part}_{split}.txt", classes=table) for part in ("train", "test")}
    return KnownSet(splits, table.names, {"train": 7052, "test": 1763})
