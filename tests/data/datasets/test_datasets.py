"""From the config to records and class names."""

import re

import pytest

from fragrant.config import load_cfg
from fragrant.data.datasets.build import DATASETS, read_class_names
from fragrant.data.lists.records import ListError
from fragrant.errors import UserError


def cfg_of(folder, *pairs):
    return load_cfg(None, ["DATA.PATH_TO_DATA_DIR", str(folder), "MODEL.NUM_CLASSES", "2", *pairs])


@pytest.fixture
def folder(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "train.csv").write_text(f"{tmp_path}/a.mp4 0\n{tmp_path}/b.mp4 1\n")
    (tmp_path / "other.txt").write_text("c.avi,1\n")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "kinetics",
        "video_list",
        "arid",
        "infar",
        "ellar",
        "sljd",
        "dark48",
        "ssv2",
        "diving48",
        "folders",
        "ucf101",
        "hmdb51",
    ],
)
def test_lists(folder, name):
    videos = DATASETS.get(name)(cfg_of(folder), "train")
    assert [record.label for record in videos.records] == [0, 1]
    assert videos.class_names is None


@pytest.mark.parametrize("separator", [" ", ","])
def test_named_list_and_prefix(folder, separator):
    cfg = cfg_of(
        "/nowhere",
        "DATA.TEST_LIST",
        f"{folder}/other.txt",
        "DATA.PATH_LABEL_SEPARATOR",
        separator,
        "DATA.PATH_PREFIX",
        str(folder),
    )
    assert DATASETS.get("kinetics")(cfg, "test").records == [(f"{folder}/c.mp4", 1, None)]


def test_paths_of_another_machine(folder):
    (folder / "test.csv").write_text("/home/someone/x/a.mp4 0\n")
    cfg = cfg_of(folder, "DATA.ROOT_REPLACE", f"[/home/someone/x,{folder}]")
    assert DATASETS.get("video_list")(cfg, "test").records[0].path == f"{folder}/a.mp4"


def test_a_folder_without_the_videos_is_named_at_once(folder):
    (folder / "test.csv").write_text("# x\nx/a.mp4 0\nx/b.mp4 1\n")
    message = (
        f"{folder}/test.csv:2: the videos of this list are not there, the first is '/y/x/a.mp4'; set "
        "DATA.PATH_PREFIX (for relative paths) "
        "or DATA.ROOT_REPLACE (for those of another machine)"
    )
    with pytest.raises(ListError, match=f"^{re.escape(message)}$"):
        DATASETS.get("kinetics")(cfg_of(folder, "DATA.PATH_PREFIX", "/y"), "test")
    (folder / "test.csv").write_text("x/a.mp4 0,1\nx/b.mp4 1,0\n")
    with pytest.raises(
        ListError,
        match=r"'x/a.mp4 0'; .*the end of the path may be a further label or a number, see DATA.MULTI_LABEL and",
    ):
        DATASETS.get("kinetics")(cfg_of(folder), "test")


def test_unlabelled_videos_are_for_tests(folder):
    (folder / "test.csv").write_text("a.mp4 -1\nb.mp4 0\n")
    assert DATASETS.get("video_list")(cfg_of(folder), "test").records.labels.tolist() == [-1, 0]
    with pytest.raises(
        ListError, match=r"test.csv:1: label -1 \(unlabelled\): only test videos may be so; the line is 'a.mp4 -1'"
    ):
        DATASETS.get("video_list")(cfg_of(folder, "DATA.VAL_LIST", "test.csv"), "val")


@pytest.mark.parametrize("name, val", [("sth", "validation"), ("hmdb", "val")])
def test_lists_of_frame_folders(folder, name, val):
    (folder / "78687").mkdir()
    for split in ("train", val):
        (folder / f"rgb_{split}_split.txt").write_text("78687 134 1\n")
    cfg = cfg_of(folder, "DATA.LABEL_PATH_TEMPLATE", "rgb_{}_split.txt")
    for split in ("train", "val", "test"):
        assert DATASETS.get(name)(cfg, split).records == [(f"{folder}/78687", 1, 134)]


def test_labels_become_classes_by_the_mapping_table(folder):
    (folder / "mapping_table_t1.txt").write_text("9\tWalk\n10\tWave\n")
    (folder / "test.csv").write_text("a.mp4 10\nb.mp4 9\n")
    videos = DATASETS.get("video_list")(cfg_of(folder), "test")
    assert (videos.records.labels.tolist(), videos.class_names) == ([1, 0], ["Walk", "Wave"])


def test_a_known_set_is_read_as_distributed(tmp_path):
    for name in ("sit/a.mp4", "sit/b.mp4", "run/a.mp4"):
        for split in ("train", "test"):
            (tmp_path / split / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / split / name).touch()
    for split in ("train", "val", "test"):
        videos = DATASETS.get("folders")(cfg_of(tmp_path), split)
        assert (videos.records.labels.tolist(), videos.class_names) == ([0, 1, 1], ["run", "sit"])
    with pytest.raises(ListError, match="'folders ' names 2 classes, MODEL.NUM_CLASSES is 3"):
        DATASETS.get("folders")(cfg_of(tmp_path, "MODEL.NUM_CLASSES", "3"), "train")


def test_class_folders_name_the_classes_of_a_known_set(tmp_path):
    for name in ("fight", "hug"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.avi").touch()
    (tmp_path / "train.csv").write_text("fight/1.avi 0\nhug/1.avi 1\n")
    assert DATASETS.get("infar")(cfg_of(tmp_path), "train").class_names == ["fight", "hug"]
    assert DATASETS.get("infar")(cfg_of(tmp_path, "MODEL.NUM_CLASSES", "3"), "train").class_names is None
    assert DATASETS.get("video_list")(cfg_of(tmp_path), "train").class_names is None


def test_unlabelled_videos_of_a_known_set(shared_lists, tmp_path):
    (tmp_path / "0.mp4").touch()
    (tmp_path / "Drink").mkdir()
    pairs = ["DATA.EDITION", "ug2-2.1", "MODEL.NUM_CLASSES", "6", "DATA.PATH_PREFIX", str(tmp_path)]
    cfg = cfg_of(shared_lists / "DarkLight_ARID_UG2", *pairs)
    test = DATASETS.get("arid")(cfg, "test")
    assert test.records[0] == (f"{tmp_path}/0.mp4", 0, None) and test.class_names[0] == "Run"


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


@pytest.mark.parametrize(
    "split, pairs, name", [("val", [], "val.csv"), ("test", ["DATA.TEST_LIST", "gone.csv"], "gone.csv")]
)
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
