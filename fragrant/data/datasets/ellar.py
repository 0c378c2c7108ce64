"""ELLAR (ACCV 2024): 12 classes in low light and extremely low light."""

from fragrant.data.datasets.class_folders import folder_names
from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import find_file, need_file, read_split
from fragrant.data.lists.groups import GroupRule


@register_set("ellar", groups=GroupRule("subject"))  # how its videos are called is not published
def ellar(source: Source) -> KnownSet:
    """Reads ``ELLAR_label_{train,val,test}.txt`` with rows ``Class/video.mp4 label``, relative to ``videos/``.

    The published config validates on the training list; here it is the validation list."""
    paths = {"train": need_file(source.root, "ELLAR_label_train.txt")}
    for split in ("val", "test"):
        if path := find_file(source.root, f"ELLAR_label_{split}.txt"):
            paths[split] = path
    splits = {split: read_split(source, path) for split, path in paths.items()}
    names = folder_names(list(splits.values()))
    notes = () if len(names) == 12 else (f"{len(names)} classes, its paper says 12",)
    return KnownSet(splits, names, {}, notes)
