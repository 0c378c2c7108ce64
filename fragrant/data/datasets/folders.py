"""Sets whose class folders are all there is to them, with the official split files of UCF101 and HMDB51."""

import re
from pathlib import Path

from fragrant.data.datasets.class_folders import class_folders, clips_in, records_of, seeded_parts
from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import levels, need_file, video_folder
from fragrant.data.lists.class_names import read_class_table
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.groups import GroupRule
from fragrant.data.lists.list_text import list_text
from fragrant.data.lists.records import RecordList, VideoRecord

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "validate"),
    "test": ("test", "testing"),
}


@register_set("folders")
def folders(source: Source) -> KnownSet:
    """Reads class folders, ``<class>/<video>``, or those below ``train``, ``val`` and ``test``; videos without a split
    are drawn 70 : 10 : 20 from a seed."""
    root = source.videos or source.root
    folders = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in _SPLIT_FOLDERS.items()
    }
    given = {split: folder for split, folder in folders.items() if folder and class_folders(folder)}
    if given:
        classes = sorted({name for folder in given.values() for name in class_folders(folder)})
        missing = [(split, name) for split, folder in given.items() for name in classes if not (folder / name).is_dir()]
        if missing:
            raise ListError(
                f"'{given[missing[0][0]]}' has no folder '{missing[0][1]}', another split has; every split needs "
                "every class"
            )
        return KnownSet({split: records_of(folder, classes) for split, folder in given.items()}, classes)
    classes = class_folders(root)
    if len(classes) < 2:
        raise ListError(
            f"'{root}' has {len(classes)} folders with videos; expected one folder for each class, two or more"
        )
    drawn = {name: seeded_parts(clips_in(root / name), SHARES, name) for name in classes}
    splits = {
        split: records_of(root, classes, {name: parts[split] for name, parts in drawn.items()}) for split in SHARES
    }
    return KnownSet(
        splits,
        classes,
        {},
        ("drawn 70 : 10 : 20 from a fixed seed; clips cut from one video may be in several splits",),
        drawn=True,
    )


@register_set("ucf101", "split1", "split2", "split3", groups=GroupRule("recording", r"(v_[A-Za-z0-9]+_g\d+)_c\d+"))
def ucf101(source: Source) -> KnownSet:
    """Reads UCF101: ``trainlist01.txt`` (``Class/video.avi 1``), ``testlist01.txt`` (no labels) and ``classInd.txt``,
    which count from 1."""
    table = read_class_table(need_file(source.root, "classInd.txt"))
    splits = {}
    for split in ("train", "test"):
        path = need_file(source.root, f"{split}list0{source.edition[-1]}.txt")
        rows = [(at, line.split()[0]) for at, line in enumerate(list_text(path).split("\n"), start=1) if line.strip()]
        for at, name in rows:
            if name.split("/")[0] not in table.names:
                raise ListError(f"{path}:{at}: no class '{name.split('/')[0]}' in '{table.source}'")
        folder = video_folder(source, [name for _, name in rows]) or source.root
        records = [VideoRecord(str(folder / name), table.names.index(name.split("/")[0])) for _, name in rows]
        splits[split] = RecordList(records, source=str(path), lines=[at for at, _ in rows])
    published = {"split1": (9537, 3783), "split2": (9586, 3734), "split3": (9624, 3696)}[source.edition]
    return KnownSet(splits, table.names, dict(zip(("train", "test"), published, strict=True)))


# what stands before the six properties of a clip: film and class of Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi
@register_set(
    "hmdb51",
    "split1",
    "split2",
    "split3",
    groups=GroupRule("recording", r"([^/]+)_[a-z]+_[a-z]+_np\d_[a-z]+_[a-z]+_\d+(?:\.\w+)?$"),
)
def hmdb51(source: Source) -> KnownSet:
    """Reads HMDB51: ``<class>_test_split1.txt`` with rows ``video.avi 1``: 1 is training, 2 test, 0 neither."""
    pattern = f"*_test_{source.edition}.txt"
    files = next(
        (
            found
            for level in levels(source.root)
            if (found := sorted(p for folder in level for p in folder.glob(pattern)))
        ),
        [],
    )
    if len(files) < 2:
        raise ListError(f"no files {pattern} in '{source.root}' or up to 3 folders below it")
    classes = [path.name.removesuffix(pattern[1:]) for path in files]
    rows: dict[str, list[tuple[str, int]]] = {"1": [], "2": []}
    for label, path in enumerate(files):
        for at, line in enumerate(list_text(path).split("\n"), start=1):
            match = re.fullmatch(r"(.+\S)\s+([012])", line.strip())
            if line.strip() and not match:
                raise ListError(f"{path}:{at}: expected a video and 0, 1 or 2; the line is {line!r}")
            if match and match[2] != "0":
                rows[match[2]].append((f"{classes[label]}/{match[1]}", label))
    folder = video_folder(source, [name for name, _ in rows["1"]]) or source.root
    splits = {
        split: RecordList(
            [VideoRecord(str(Path(folder, name)), label) for name, label in rows[mark]], source=str(files[0].parent)
        )
        for split, mark in (("train", "1"), ("test", "2"))
    }
    return KnownSet(splits, classes, {"train": 3570, "test": 1530})
