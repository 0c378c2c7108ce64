"""The data sets by name: where the lists of a split lie, and what its classes are called."""

import os
import re
from functools import partial
from typing import NamedTuple

from fragrant.config import changed
from fragrant.config.label_free import learns_without_labels
from fragrant.config.streams import COLOR, MODALITIES, THERMAL, alone_in_test, has_pairs, lists_folder, tests_pairs
from fragrant.data.datasets import SETS, prepared_set
from fragrant.data.datasets.class_folders import folder_names
from fragrant.data.lists.class_names import ClassTable, find_class_file, read_class_names, read_class_table
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.locations import Folders
from fragrant.data.lists.pairs import Aligned, ReadList, aligned, paired
from fragrant.data.lists.records import RecordList, read_list, read_list_and_faults, read_unlabelled
from fragrant.data.shards import ShardError, check_shards, index_path, split_member
from fragrant.files import is_address
from fragrant.registry import Registry
from fragrant.remote import RemoteError, below, fetched, joined

__all__ = ["DATASETS", "VideoSet", "read_class_names"]


class Datasets(Registry):
    """Registry of the data sets that TRAIN.DATASET and TEST.DATASET name, in small letters: the entries here, f(cfg,
    split) -> VideoSet, and all of ``SETS``."""

    def names(self) -> list[str]:
        return sorted({*super().names(), *SETS.names()})

    def get(self, name: str, *, key: str = ""):
        """Returns the data set called ``name``; raises UserError where it is not known."""
        return partial(_known_set, name=name) if name in SETS else super().get(name, key=key)


_FETCHED = 3  # videos at an address that are tried before a run

DATASETS = Datasets("TRAIN.DATASET / TEST.DATASET")


class VideoSet(NamedTuple):
    records: RecordList
    class_names: list[str] | None  # name of each label, None where nobody says


def _names_of_folders(records: RecordList, num_classes: int) -> list[str] | None:
    """The names of the folders that the videos lie in, where they are one for each class."""
    try:
        names = folder_names([records])
    except ListError:
        return None
    return names if len(names) == num_classes else None


def _need_a_video(records: RecordList, prefix: str = "") -> None:
    """Checks that the list's folder is not a wrong one, and its shards those that the list says: raises ListError where
    none of some of its videos is there, or a shard has no index, or not the member."""
    if not len(records):
        raise ListError(f"{records.source or 'the list'} has no videos")
    some = records[:: max(1, len(records) // 20)]
    reason = _why_not_there([record.path for record in some], prefix)
    if reason is not None:
        where = "set DATA.PATH_PREFIX (for relative paths) or DATA.ROOT_REPLACE (for those of another machine)"
        if re.search(r"[ ,;\t]\d+$", some[0].path):
            where += (
                "; the end of the path may be a further label or a number, see DATA.MULTI_LABEL and DATA.LIST_FORMAT"
            )
        raise ListError(
            f"{records.where(0)}: the videos of this list are not there, the first is '{some[0].path}'{reason}; {where}"
        )
    try:
        check_shards((record.path for record in records), lambda path: below(path, prefix))
    except (ShardError, RemoteError) as error:
        raise ListError(f"{records.source}: {error}") from error


def _why_not_there(paths: list[str], prefix: str) -> str | None:
    """None where one of them is there; of those at an address the first few are fetched, of shards the index."""
    if not is_address(prefix):
        folders = Folders()
        return None if any(map(folders.find, paths)) or any(map(os.path.exists, paths)) else ""
    reason = ""
    for path in paths[:_FETCHED]:
        shard, member = split_member(path)
        address = below(index_path(shard) if member is not None else path, prefix)
        try:
            if os.path.exists(path) or address is not None and fetched(address):
                return None
        except RemoteError as error:
            reason = reason or f", which {error}"
    return reason


# --------------------------------------------------------------------------------------------- config -> records, names
def _check_classes(cfg, names: list[str], source: str) -> None:
    if len(names) != cfg.MODEL.NUM_CLASSES and not learns_without_labels(cfg):
        raise ListError(f"'{source}' names {len(names)} classes, MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}")


def _classes(cfg, list_path: str) -> ClassTable | None:
    folder = os.path.dirname(list_path)  # which also cuts an address rightly
    path = joined(folder, cfg.DATA.CLASSES_FILE) if cfg.DATA.CLASSES_FILE else find_class_file(folder or ".")
    if path is None:
        return None
    return read_class_table(path if path.isascii() else Folders().find(path) or path)


def _list_path(cfg, split: str, folder: str, default: str) -> str:
    path = joined(folder, cfg.DATA[f"{split.upper()}_LIST"] or default)
    return path if path.isascii() else Folders().find(path) or path


def read_set(cfg, name: str, split: str) -> VideoSet:
    """The videos of a split of a set; with DATA.COLOR_PATH_TO_DATA_DIR and DATA.THERMAL_PATH_TO_DATA_DIR those of both,
    as pairs, or in a test with TEST.MODALITY of one folder those alone.

    Raises:
        ListError: a list is missing or wrong, or the lists are no pairs, see ``paired``, or the same videos.
    """
    read = DATASETS.get(name.lower())
    if not has_pairs(cfg):
        return read(cfg, split)
    alone = alone_in_test(cfg) if split == "test" else None
    if alone is not None:
        return read(_of_stream(cfg, alone), split)
    color, thermal = (read(_of_stream(cfg, stream), split) for stream in range(2))
    names = _names_of_pairs(cfg, f"DATA.{split.upper()}_LIST", color, thermal)
    return VideoSet(paired(color.records, thermal.records, labelled=not learns_without_labels(cfg)), names)


def _names_of_pairs(cfg, key: str, color: VideoSet, thermal: VideoSet) -> list[str] | None:
    """The class names of two lists that ``key`` names; raises ListError where they name the same videos, or other
    classes."""
    (first, names), (second, others) = color, thermal
    if first.paths() == second.paths() and lists_folder(cfg, 0) != lists_folder(cfg, 1):
        raise ListError(
            f"'{first.source}' and '{second.source}' name the same videos, each would be its own pair; allowed in "
            f"{key}: the name of a list that both folders have"
        )
    if names and others and names != others:
        raise ListError(
            f"'{first.source}' and '{second.source}' are lists of pairs, but the classes beside them differ: "
            f"{', '.join(names)} and {', '.join(others)}"
        )
    return names or others


def _of_stream(cfg, stream: int):
    """The config of the lists of one stream of pairs by themselves."""
    # of the demo set, that folder gets the infrared pictures of the scenes
    demo = {"DEMO_SET.THERMAL": True} if stream else {}
    return changed(cfg, {"DATA.PATH_TO_DATA_DIR": lists_folder(cfg, stream), **demo})


def _is_there(path: str) -> bool:
    """Whether a list file is there; one at an address is expected to be: reading it says so where it is not."""
    return is_address(path) or os.path.isfile(path)


def _lists_in(cfg, split: str, folder: str, default: str = "") -> VideoSet:
    """Reads the list of a split that lies in a folder."""
    key, default = f"{split.upper()}_LIST", default or f"{split}.csv"
    path = _list_path(cfg, split, folder, default)
    if not is_address(path) and not os.path.exists(path):
        of_pairs = [name for name in (COLOR, THERMAL) if has_pairs(cfg) and cfg.DATA[name] == folder]
        where = (of_pairs or ["PATH_TO_DATA_DIR"])[0]
        given = f"DATA.{where} {cfg.DATA.PATH_TO_DATA_DIR!r} and DATA.{key} {cfg.DATA[key]!r}"
        raise ListError(f"no {split} list '{path}'; it follows from {given} ('' = {default})")
    reading, classes = _reading(cfg, split, path)
    records = read_list(path, **reading)
    if classes:
        _check_classes(cfg, classes.names, classes.source)
    _need_a_video(records, cfg.DATA.PATH_PREFIX)
    return VideoSet(records, classes and classes.names)


def _reading(cfg, split: str, path: str) -> tuple[dict, ClassTable | None]:
    """Arguments that a list file is read with, and its classes."""
    classes = _classes(cfg, path)
    reading = {
        "form": cfg.DATA.LIST_FORMAT,
        "separator": cfg.DATA.PATH_LABEL_SEPARATOR,
        "prefix": cfg.DATA.PATH_PREFIX,
        "root_replace": tuple(cfg.DATA.ROOT_REPLACE) or None,
        "outside": cfg.DATA.ALLOW_OUTSIDE_PREFIX,
        "classes": classes,
        "num_classes": None if learns_without_labels(cfg) else cfg.MODEL.NUM_CLASSES,
        "unlabelled": split == "test",
        "label_free": learns_without_labels(cfg),
        "multi_label": cfg.DATA.MULTI_LABEL,
        "bare": split == "test" or learns_without_labels(cfg),
    }
    return reading, classes


def extra_records(cfg, class_names: list[str] | None) -> RecordList:
    """The videos of DATA.EXTRA_TRAIN_LIST, whose paths are relative to its own folder; the classes beside it, where
    there are names, are those of the training, in any case of letters. With pairs those of the lists of its name in the
    folders ``color`` and ``thermal`` beside it, as pairs.

    Raises:
        ListError: it is not there or wrong, it has other classes, none of its videos is there, or two are no pairs.
    """
    path = cfg.DATA.EXTRA_TRAIN_LIST
    if not has_pairs(cfg):
        return _extra_list(cfg, path, class_names)
    folder, name = os.path.split(path)
    color, thermal = (_extra_list(cfg, joined(joined(folder, its), name), class_names) for its in MODALITIES)
    return paired(color, thermal, labelled=not learns_without_labels(cfg))


def _extra_list(cfg, path: str, class_names: list[str] | None) -> RecordList:
    if not _is_there(path):
        raise ListError(f"DATA.EXTRA_TRAIN_LIST: no list file '{path}'")
    reading, classes = _reading(cfg, "train", path)
    if classes and class_names:
        own, other = ([name.casefold() for name in names] for names in (class_names, classes.names))
        if own != other:
            raise ListError(
                f"DATA.EXTRA_TRAIN_LIST '{path}': '{classes.source}' names {', '.join(classes.names)}; allowed: the "
                f"classes of the training in their order, {', '.join(class_names)}"
            )
    folder = os.path.dirname(path)
    records = read_list(path, **(reading | {"prefix": folder, "outside": False}))
    _need_a_video(records, folder)
    return records


def unlabelled_list(cfg, path: str) -> tuple[RecordList, int]:
    """The videos of a further list file, relative to the folder of the lists, as ``read_unlabelled`` has them; with
    pairs of the list of this name in both folders, as pairs, where a test has both. The path of the visible list in its
    folder names both, too.

    Raises:
        ListError: it is not there or wrong, none of its videos is there, or two lists are no pairs.
    """
    if not tests_pairs(cfg):
        return _unlabelled(cfg, joined(lists_folder(cfg, alone_in_test(cfg) or 0), path))
    name = _name_in_both(cfg, path)
    (color, labelled), (thermal, also) = (_unlabelled(cfg, joined(lists_folder(cfg, at), name)) for at in range(2))
    _names_of_pairs(cfg, "--list", VideoSet(color, None), VideoSet(thermal, None))
    return paired(color, thermal, labelled=False), max(labelled, also)


def _name_in_both(cfg, path: str) -> str:
    """The name of a list in the folders of both streams, from that name or from the path of the visible list."""
    folder = lists_folder(cfg)
    if is_address(folder) or not os.path.exists(path):
        return path
    inside = os.path.relpath(path, folder)
    return path if inside.split(os.sep)[0] == os.pardir else inside


def _unlabelled(cfg, path: str) -> tuple[RecordList, int]:
    records, labelled = read_unlabelled(
        path if path.isascii() else Folders().find(path) or path,
        form=cfg.DATA.LIST_FORMAT,
        separator=cfg.DATA.PATH_LABEL_SEPARATOR,
        prefix=cfg.DATA.PATH_PREFIX,
        root_replace=tuple(cfg.DATA.ROOT_REPLACE) or None,
        outside=cfg.DATA.ALLOW_OUTSIDE_PREFIX,
    )
    _need_a_video(records, cfg.DATA.PATH_PREFIX)
    return records, labelled


def names_and_records(cfg, split: str, path: str = "") -> tuple[list[str] | None, RecordList, dict[int, str]]:
    """The class names of a split (None where nobody says), its rows that can be used, and what is wrong with the
    others, by line; of another list file where one is given. Of pairs, what is wrong with either row of a pair."""
    if _are_both(cfg, split, path):
        names, both = _both_lists(cfg, split)
        return names, both.pairs, both.lists[0][1] | both.lost
    (records, names), faults = _one_list(
        _of_stream(cfg, alone_in_test(cfg) or 0) if has_pairs(cfg) else cfg, split, path
    )
    return names or _names_of_folders(records, cfg.MODEL.NUM_CLASSES), records, faults


def lists_and_faults(cfg, split: str, path: str = "") -> list[ReadList]:
    """The list of a split, or both of pairs, see ``aligned``: the rows that can be used, and what is wrong with the
    others, by line; of another list file where one is given.

    Raises:
        ListError: there is none, or two are no pairs: not as many rows, other classes, the same videos.
    """
    if _are_both(cfg, split, path):
        return [*_both_lists(cfg, split)[1].lists]
    _, records, faults = names_and_records(cfg, split, path)
    return [(records, faults)]


def _are_both(cfg, split: str, path: str) -> bool:
    """Whether a split is of pairs, and not of one stream alone."""
    return has_pairs(cfg) and not path and (split != "test" or alone_in_test(cfg) is None)


def _both_lists(cfg, split: str) -> tuple[list[str] | None, Aligned]:
    (color, faults), (thermal, others) = (_one_list(_of_stream(cfg, stream), split) for stream in range(2))
    names = _names_of_pairs(cfg, f"DATA.{split.upper()}_LIST", color, thermal)
    labelled = not learns_without_labels(cfg)
    return names, aligned((color.records, faults), (thermal.records, others), labelled=labelled)


def _one_list(cfg, split: str, path: str = "") -> tuple[VideoSet, dict[int, str]]:
    """The rows of a list that can be used, with the classes beside it, and what is wrong with the others."""
    default = _list_path(cfg, split, cfg.DATA.PATH_TO_DATA_DIR, f"{split}.csv")
    if path or _is_there(default):
        reading, classes = _reading(cfg, split, path or default)
        records, faults = read_list_and_faults(path or default, **reading)
        return VideoSet(records, classes and classes.names), faults
    name = (cfg.TEST if split == "test" else cfg.TRAIN).DATASET
    return DATASETS.get(name.lower())(cfg, split), {}


def _known_set(cfg, split: str, name: str) -> VideoSet:
    """Reads a public set: lists in DATA.PATH_TO_DATA_DIR (written by tools/prepare_data.py, or named) win; without them
    it is the set as distributed."""
    folder = cfg.DATA.PATH_TO_DATA_DIR
    if cfg.DATA[f"{split.upper()}_LIST"] or _is_there(_list_path(cfg, split, folder, f"{split}.csv")):
        listed = _lists_in(cfg, split, folder)
        return (
            listed
            if listed.class_names
            else listed._replace(class_names=_names_of_folders(listed.records, cfg.MODEL.NUM_CLASSES))
        )
    found = prepared_set(name, folder, edition=cfg.DATA.EDITION, videos=cfg.DATA.PATH_PREFIX)
    if split not in found.splits:
        raise ListError(f"{name} {found.edition} has no {split} list in '{folder}', only {', '.join(found.splits)}")
    records = found.splits[split]
    if found.class_names:
        _check_classes(cfg, found.class_names, f"{name} {found.edition}")
    _need_a_video(records)
    unlabelled = records.labels < 0
    if split != "test" and unlabelled.any() and not learns_without_labels(cfg):
        raise ListError(f"{records.where(int(unlabelled.argmax()))}: label -1 (unlabelled): only test videos may be so")
    return VideoSet(records, found.class_names)


@DATASETS.register("video_list")
@DATASETS.register("kinetics")
@DATASETS.register("kinetics_sparse")
def video_list(cfg, split: str) -> VideoSet:
    """Any list of videos: {train,val,test}.csv in DATA.PATH_TO_DATA_DIR unless named otherwise. UniFormerV2's name
    ``kinetics_sparse`` brings DATA.SAMPLING sparse with it, see config/published.py."""
    return _lists_in(cfg, split, cfg.DATA.PATH_TO_DATA_DIR)


@DATASETS.register("sth")
def sth(cfg, split: str) -> VideoSet:
    """UniFormer's lists of Something-Something: ``folder num_frames label``; it tests on the validation list."""
    name = cfg.DATA.LABEL_PATH_TEMPLATE.format("train" if split == "train" else "validation")
    return _lists_in(cfg, split, cfg.DATA.PATH_TO_DATA_DIR, name)


@DATASETS.register("hmdb")
def hmdb(cfg, split: str) -> VideoSet:
    """UniFormer's lists of frame folders, with other names than those of ``sth``."""
    name = cfg.DATA.LABEL_PATH_TEMPLATE.format("train" if split == "train" else "val")
    return _lists_in(cfg, split, cfg.DATA.PATH_TO_DATA_DIR, name)


@DATASETS.register("demo")
def demo(cfg, split: str) -> VideoSet:
    """The embedded demo set; the first to ask makes it."""
    from fragrant.synthetic.demo_set import make_demo_set  # brings what drawing needs: only for those who draw

    folder = cfg.DATA.PATH_TO_DATA_DIR or os.path.join("data", "demo")
    make_demo_set(folder, **{key.lower(): value for key, value in cfg.DEMO_SET.items()})
    return _lists_in(cfg, split, folder)
