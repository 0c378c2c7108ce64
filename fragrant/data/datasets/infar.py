"""The two sets called InFAR: InfAR v1.0 (600 infrared videos), the 1200 infrared videos that FRAGRANT's lists are of.

Gao et al. 2016, InfAR dataset: Infrared action recognition at different times. Both have the same 12 classes.
"""

from pathlib import Path

from fragrant.data.datasets.class_folders import clips_in, records_of, seeded_parts
from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import find_file, levels, video_folder
from fragrant.data.lists.class_names import ClassTable
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.groups import GroupRule
from fragrant.data.lists.records import RecordList, parse_list, read_list

# In the order of FRAGRANT's labels; other code bases have other orders.
CLASSES = "fight handclapping handshake hug jog jump punch push skip walk wave1 wave2".split()
SPLITS = 5
TRAIN_SHARE = 0.6  # 30 of 50
_INSIDE = "/VIS_INF/"  # FRAGRANT's lists: /public/home/.../VIS_INF/train/infrared/fight/000002.avi


def _class_root(root: Path) -> Path:
    for level in levels(root, 2):
        for folder in level:
            if all((folder / name).is_dir() for name in CLASSES):
                return folder
    raise ListError(f"no folder with the classes {', '.join(CLASSES)} in '{root}' or up to 2 folders below it")


def _v1(source: Source) -> KnownSet:
    """Splits InfAR v1.0: 30 videos of each class to train, 20 to test, drawn from a seed: the published index files can
    no longer be had."""
    folder = _class_root(source.videos or source.root)
    drawn = {
        name: seeded_parts(
            clips_in(folder / name), {"train": TRAIN_SHARE, "test": 1 - TRAIN_SHARE}, f"{source.edition}-{name}"
        )
        for name in CLASSES
    }
    splits = {
        split: records_of(folder, CLASSES, {name: parts[split] for name, parts in drawn.items()})
        for split in ("train", "test")
    }
    notes = (
        "drawn from a fixed seed, not the published splits: those can no longer be had",
        "official figure: mean of the five splits",
    )
    return KnownSet(splits, CLASSES, {"train": 360, "test": 240}, notes)


def _without_foreign_root(line: str) -> str:
    _, inside, rest = line.partition(_INSIDE)
    return rest if inside else line


def _fragrant_split(source: Source, path: Path, split: str) -> RecordList:
    table = ClassTable(CLASSES, "the classes of InFAR", {at: at for at in range(len(CLASSES))})
    names = [row.path for row in parse_list(path, mend=_without_foreign_root).rows.values()]
    folder = video_folder(source, names) or source.root
    return read_list(path, prefix=str(folder), classes=table, mend=_without_foreign_root)


def _vis_inf(source: Source) -> KnownSet:
    """Reads FRAGRANT's lists where they are, else every video of ``{train,test}/infrared/<class>``."""
    published = {"train": 899, "test": 300}
    found = {split: find_file(source.root, f"{split}.csv") for split in published}
    lists = {split: path for split, path in found.items() if path}
    if len(lists) == len(published):
        return KnownSet(
            {split: _fragrant_split(source, path, split) for split, path in lists.items()}, CLASSES, published
        )
    folders = {split: (source.videos or source.root) / split / "infrared" for split in published}
    missing = [str(folder) for folder in folders.values() if not folder.is_dir()]
    if missing:
        raise ListError(f"neither train.csv and test.csv nor the folder '{missing[0]}' are there")
    return KnownSet({split: records_of(folder, CLASSES) for split, folder in folders.items()}, CLASSES, published)


# files are called 000001.avi: who is in them stands nowhere
@register_set("infar", *(f"v1.0-split{split}" for split in range(1, SPLITS + 1)), "vis_inf", groups=GroupRule("person"))
def infar(source: Source) -> KnownSet:
    return _vis_inf(source) if source.edition == "vis_inf" else _v1(source)
