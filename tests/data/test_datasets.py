"""From the config to records and class names."""

import re

import pytest

from fragrant.config import load_cfg
from fragrant.data.datasets import DATASETS, read_class_names
from fragrant.data.records import ListError
from fragrant.errors import UserError


def cfg_of(folder, *pairs):
    return load_cfg(None, ["DATA.PATH_TO_DATA_DIR", str(folder), "MODEL.NUM_CLASSES", "2", *pairs])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.csv").write_text("/x/a.mp4 0\n/x/b.mp4 1\n")
    (tmp_path / "other.txt").write_text("/x/c.mp4,1\n")
    return tmp_path


@pytest.mark.parametrize("name", ["kinetics", "video_list"])
def test_lists(folder, name):
    videos = DATASETS.get(name)(cfg_of(folder), "train")
    assert [record.label for record in videos.records] == [0, 1]
    assert videos.class_names is None


def test_named_list_and_prefix(folder):
    cfg = cfg_of(folder, "DATA.TEST_LIST", "other.txt", "DATA.PATH_LABEL_SEPARATOR", ",", "DATA.PATH_PREFIX", "/y")
    assert DATASETS.get("kinetics")(cfg, "test").records[0].path == "/x/c.mp4"


def test_class_names_beside_the_list_or_named(folder):
    (folder / "classes.txt").write_text("sit\n\nstand up\n")
    (folder / "names.txt").write_text("run\nwalk\n")
    assert DATASETS.get("kinetics")(cfg_of(folder), "train").class_names == ["sit", "stand up"]
    cfg = cfg_of(folder, "DATA.CLASSES_FILE", "names.txt")
    assert DATASETS.get("kinetics")(cfg, "train").class_names == ["run", "walk"]


def test_class_names_must_be_as_many_as_classes(folder):
    (folder / "classes.txt").write_text("sit\nstand\nrun\n")
    message = f"'{folder}/classes.txt' names 3 classes, MODEL.NUM_CLASSES is 2"
    with pytest.raises(ListError, match=f"^{re.escape(message)}$"):
        DATASETS.get("kinetics")(cfg_of(folder), "train")


def test_missing_class_names(folder):
    with pytest.raises(ListError, match=r"names.txt' \(DATA.CLASSES_FILE\) cannot be read: No such file"):
        DATASETS.get("kinetics")(cfg_of(folder, "DATA.CLASSES_FILE", "names.txt"), "train")
    (folder / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ListError, match="it is no UTF-8 text"):
        read_class_names(folder / "latin.txt")


@pytest.mark.parametrize("split, pairs, name", [("val", [], "val.csv"), ("test", ["DATA.TEST_LIST", "gone.csv"], "gone.csv")])
def test_missing_list_names_the_keys(folder, split, pairs, name):
    value = pairs[1] if pairs else ""
    message = (
        f"no {split} list '{folder}/{name}'; it follows from DATA.PATH_TO_DATA_DIR '{folder}' "
        f"and DATA.{split.upper()}_LIST '{value}' ('' = {split}.csv)"
    )
    with pytest.raises(ListError, match=f"^{re.escape(message)}$"):
        DATASETS.get("kinetics")(cfg_of(folder, *pairs), split)


def test_unknown_set():
    with pytest.raises(UserError, match="TRAIN.DATASET / TEST.DATASET 'kinetic' is not known; did you mean 'kinetics'"):
        DATASETS.get("kinetic")


def test_demo_set_is_made_once(tmp_path):
    sizes = {"VIDEOS_PER_CLASS": 1, "TEST_VIDEOS_PER_CLASS": 1, "NUM_FRAMES": 4, "HEIGHT": 32, "WIDTH": 32}
    pairs = [text for key, value in sizes.items() for text in (f"DEMO_SET.{key}", str(value))]
    cfg = cfg_of(tmp_path / "demo", "MODEL.NUM_CLASSES", "6", *pairs)
    videos = DATASETS.get("demo")(cfg, "train")
    assert [record.label for record in videos.records] == [0, 1, 2, 3, 4, 5]
    assert videos.class_names == ["jump", "run", "sit", "stand", "turn", "walk"]
    made = (tmp_path / "demo" / "train.csv").stat().st_mtime_ns
    assert len(DATASETS.get("demo")(cfg, "test").records) == 6
    assert (tmp_path / "demo" / "train.csv").stat().st_mtime_ns == made
