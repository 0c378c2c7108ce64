"""The data sets by name: where the lists of a split lie, and what its classes are called."""

import os
from typing import NamedTuple

from fragrant.data.records import ListError, RecordList, read_list
from fragrant.registry import Registry

DATASETS = Registry("TRAIN.DATASET / TEST.DATASET")  # entries: f(cfg, split) -> VideoSet; names in small letters


class VideoSet(NamedTuple):
    records: RecordList
    class_names: list[str] | None  # name of each label, None where nobody says


def read_class_names(path: str | os.PathLike) -> list[str]:
    """One name per line; blank lines do not count.

    Raises:
        ListError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [name for line in file if (name := line.strip())]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ListError(f"file of class names '{path}' (DATA.CLASSES_FILE) cannot be read: {reason}") from error


# ------------------------------------------------------------------------------------------------- config -> records, names
def _class_names(cfg, list_path: str) -> list[str] | None:
    folder = os.path.dirname(list_path)
    path = os.path.join(folder, cfg.DATA.CLASSES_FILE or "classes.txt")
    if not cfg.DATA.CLASSES_FILE and not os.path.isfile(path):
        return None
    names = read_class_names(path)
    if len(names) != cfg.MODEL.NUM_CLASSES:
        raise ListError(f"'{path}' names {len(names)} classes, MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}")
    return names


def _lists_in(cfg, split: str, folder: str) -> VideoSet:
    key = f"{split.upper()}_LIST"
    path = os.path.join(folder, cfg.DATA[key] or f"{split}.csv")
    if not os.path.isfile(path):
        given = f"DATA.PATH_TO_DATA_DIR {cfg.DATA.PATH_TO_DATA_DIR!r} and DATA.{key} {cfg.DATA[key]!r}"
        raise ListError(f"no {split} list '{path}'; it follows from {given} ('' = {split}.csv)")
    separator, prefix = cfg.DATA.PATH_LABEL_SEPARATOR, cfg.DATA.PATH_PREFIX
    records = read_list(path, separator=separator, prefix=prefix, num_classes=cfg.MODEL.NUM_CLASSES)
    return VideoSet(records, _class_names(cfg, path))


@DATASETS.register("video_list")
@DATASETS.register("kinetics")
def video_list(cfg, split: str) -> VideoSet:
    """Any list of "path<separator>label" lines: {train,val,test}.csv in DATA.PATH_TO_DATA_DIR unless named otherwise."""
    return _lists_in(cfg, split, cfg.DATA.PATH_TO_DATA_DIR)


@DATASETS.register("demo")
def demo(cfg, split: str) -> VideoSet:
    """The embedded demo set; the first to ask makes it."""
    from fragrant.data.demo import make_demo_set  # brings what drawing needs: only for those who draw

    folder = cfg.DATA.PATH_TO_DATA_DIR or os.path.join("data", "demo")
    make_demo_set(folder, **{key.lower(): value for key, value in cfg.DEMO_SET.items()})
    return _lists_in(cfg, split, folder)
