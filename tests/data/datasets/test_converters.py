"""The public sets as they are distributed: the real lists give the published counts, the layouts are found."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import golden, load_tool

from fragrant.data.datasets import SETS, prepared_set
from fragrant.data.datasets.class_folders import seeded_parts
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import parse_list, read_list
from fragrant.data.prepare import write_set

prepare_data = load_tool("prepare_data")


def touch(root, *names) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def paths(root, records) -> list[str]:
    return [str(Path(record.path).relative_to(root)) for record in records]


REAL = [
    ("arid", "v1.0-split1", "ARID_v1", {"train": 2288, "test": 823, "other": 673}, 11),
    ("arid", "v1.0-split2", "ARID_v1", {"train": 2252, "test": 859, "other": 673}, 11),
    ("arid", "v1.0-split3", "ARID_v1", {"train": 2259, "test": 852, "other": 673}, 11),
    ("arid", "ug2-2.1", "ARID_UG2_2.1", {"train": 1837, "validation": 90}, 6),
    ("arid", "ug2-2.1", "DarkLight_ARID_UG2", {"train": 1837, "test": 1289}, 6),
    ("arid", "ug2-2.2", "ARID_UG2_2.2", {"train": 2625, "dark": 3088, "dry_run": 330}, 11),
    ("arid", "6class", "EE6222_2023_6class", {"train": 150, "test": 96}, 6),
    ("arid", "10class", "EE6222_2022_10class", {"train": 750, "test": 320}, 10),
    ("infar", "vis_inf", "InfAR_FRAGRANT", {"train": 899, "test": 300}, 12),
    *[
        ("dark48", f"split{split}{kind}", "Dark48", {"train": 7052, "test": 1763}, 48)
        for split in (1, 2, 3)
        for kind in ("", "-frames")
    ],
]


@pytest.mark.parametrize(
    "name, edition, folder, counts, num_classes", REAL, ids=[f"{row[0]}-{row[1]}-{row[2]}" for row in REAL]
)
def test_real_lists(shared_lists, name, edition, folder, counts, num_classes):
    found = prepared_set(name, shared_lists / folder, edition=edition)
    assert {split: len(records) for split, records in found.splits.items() if split != "val"} == counts
    assert counts.items() <= found.published.items()
    assert len(found.class_names) == num_classes
    assert set(found.splits["train"].labels.tolist()) == set(range(num_classes))
    assert ("val" in found.splits) == ("test" in counts) and found.splits.get("val") is found.splits.get("test")


# ----------------------------------------------------------------------------------------------------- ARID, real lists
def groups(records) -> set[tuple[int, str]]:
    return {(record.label, Path(record.path).name.split("_")[1]) for record in records}


@pytest.mark.parametrize("split", [1, 2, 3])
def test_arid_splits_share_no_group(shared_lists, split):
    """(class, scene and actor) is in train or in test, never in both; the three parts are the same 3784 clips in every
    split."""
    splits = prepared_set("arid", shared_lists / "ARID_v1", edition=f"v1.0-split{split}").splits
    assert not groups(splits["train"]) & groups(splits["test"])
    clips = [record.path for part in ("train", "test", "other") for record in splits[part]]
    assert len(clips) == len(set(clips)) == 3784


def test_arid_split_1_per_class(shared_lists):
    found = prepared_set("arid", shared_lists / "ARID_v1", edition="v1.0-split1")
    counts = Counter(found.splits["test"].labels.tolist())
    assert [counts[label] for label in range(11)] == [79, 78, 50, 77, 106, 70, 51, 44, 82, 110, 76]
    assert all(Path(record.path).parent.name == found.class_names[record.label] for record in found.splits["train"])


def test_arid_ug2_labels_become_0_to_5(shared_lists):
    found = prepared_set("arid", shared_lists / "DarkLight_ARID_UG2", edition="ug2-2.1")
    assert found.class_names == ["Run", "Sit", "Stand", "Turn", "Walk", "Wave"]
    counts = Counter(found.splits["test"].labels.tolist())
    assert [counts[label] for label in range(6)] == [206, 192, 159, 228, 256, 248]
    assert all(Path(record.path).parent.name == found.class_names[record.label] for record in found.splits["train"])


def test_arid_malformed_rows_are_mended(shared_lists):
    """The same 2625 rows as in a copy of this list that someone has repaired."""
    mended = prepared_set("arid", shared_lists / "ARID_UG2_2.2", edition="ug2-2.2").splits["train"]
    repaired = parse_list(shared_lists / "ZeroShotDayNightDA_NormalLight/ARID_split1_train.txt").rows.values()
    assert sorted((Path(r.path).name, r.label) for r in mended) == sorted((r.path, r.label) for r in repaired)
    assert sum(Path(record.path).name.startswith("-") for record in mended) >= 15


def test_arid_6class_train_is_part_of_arid_split_2_train(shared_lists):
    six = prepared_set("arid", shared_lists / "EE6222_2023_6class", edition="6class").splits["train"]
    two = prepared_set("arid", shared_lists / "ARID_v1", edition="v1.0-split2").splits
    stems = [{Path(record.path).stem for record in records} for records in (six, two["train"], two["test"])]
    assert stems[0] <= stems[1] and not stems[0] & stems[2]


def test_arid_v15_few_shot_test_list_has_the_published_size(shared_lists):
    assert len(parse_list(shared_lists / "VideoEval_AR_in_Dark/test.txt").rows) == 2011


# ---------------------------------------------------------------------------------------------------- layouts of copies
@pytest.mark.parametrize("other", ["others", "other"])
def test_arid_v15_layout(tmp_path, other):
    split = {"others": 0, "other": 1}[other]
    lists = tmp_path / f"list_cvt/split_{split}"
    lists.mkdir(parents=True)
    for part, row in {
        "train": "0\t10\tWave/Wave_10_1.mp4",
        "test": "0\t0\tDrink/Drink_1_1.mp4",
        other: "0\t0\tDrink/Drink_2_1.mp4",
    }.items():
        (lists / f"split{split}_{part}.txt").write_text(row)
    touch(tmp_path, "clips_v1.5/Wave/Wave_10_1.mp4", "clips_v1.5/Drink/Drink_1_1.mp4", "clips_v1.5/Drink/Drink_2_1.mp4")
    splits = prepared_set("arid", tmp_path, edition=f"v1.5-split{split}").splits
    assert {part: paths(tmp_path / "clips_v1.5", records) for part, records in splits.items()} == {
        "train": ["Wave/Wave_10_1.mp4"],
        "test": ["Drink/Drink_1_1.mp4"],
        "val": ["Drink/Drink_1_1.mp4"],
        "other": ["Drink/Drink_2_1.mp4"],
    }


def test_arid_v1_layout_with_clips_of_another_extension(shared_lists, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/list_cvt").symlink_to(shared_lists / "ARID_v1")
    touch(tmp_path, *(f"raw/data/Drink/Drink_11_{number}.mp4" for number in range(1, 60)))
    splits = prepared_set("arid", tmp_path).splits
    assert splits["train"][0].path == f"{tmp_path}/raw/data/Drink/Drink_11_1.mp4"


def test_the_same_names_in_two_folders(shared_lists, tmp_path):
    """validate.txt says 24.mp4; the folder whose name is that of the list is meant."""
    for name in ("train.txt", "validate.txt"):
        (tmp_path / name).write_bytes((shared_lists / "EE6222_2023_6class" / name).read_bytes())
    touch(tmp_path, "train/Jump/Jump_11_1.mp4", "validate/24.mp4", "test/24.mp4")
    splits = prepared_set("arid", tmp_path, edition="6class").splits
    assert splits["train"][0].path == f"{tmp_path}/train/Jump/Jump_11_1.mp4"
    assert splits["test"][0].path == f"{tmp_path}/validate/24.mp4"
    touch(tmp_path, "val_old/24.mp4")
    with pytest.raises(ListError, match="'24.mp4' may lie in '.*/val_old' and in '.*/validate': say which folder"):
        prepared_set("arid", tmp_path, edition="6class")
    assert (
        prepared_set("arid", tmp_path, edition="6class", videos=tmp_path / "test").splits["test"][0].path
        == f"{tmp_path}/test/24.mp4"
    )


INFAR = "fight handclapping handshake hug jog jump punch push skip walk wave1 wave2".split()


def test_infar_v1_is_drawn_30_to_20_five_times(tmp_path):
    root = tmp_path / "InfAR_Dataset_1.0"
    touch(root, *(f"{name}/{name}{number}.avi" for name in INFAR for number in range(50)))
    trains = []
    for split in range(1, 6):
        found = prepared_set("infar", tmp_path, edition=f"v1.0-split{split}")
        assert found.class_names == INFAR
        assert (
            (len(found.splits["train"]), len(found.splits["test"]))
            == (360, 240)
            == (found.published["train"], found.published["test"])
        )
        assert set(Counter(found.splits["train"].labels.tolist()).values()) == {30}
        train, test = (set(paths(root, found.splits[part])) for part in ("train", "test"))
        assert not train & test and len(train | test) == 600
        trains.append(train)
    assert len(set(map(frozenset, trains))) == 5
    again = prepared_set("infar", tmp_path, edition="v1.0-split1").splits["train"]
    assert set(paths(root, again)) == trains[0]
    # the draw is frozen
    assert paths(root, again)[:3] == [
        "fight/fight1.avi",
        "fight/fight10.avi",
        "fight/fight11.avi",
    ]


def test_infar_1200_with_and_without_fragrants_lists(shared_lists, tmp_path):
    clips = [
        f"{split}/infrared/{name}/{number:06d}.avi"
        for split in ("train", "test")
        for name in INFAR
        for number in (2, 4)
    ]
    touch(tmp_path, *clips)
    found = prepared_set("infar", tmp_path, edition="vis_inf")
    assert sorted(paths(tmp_path, [*found.splits["train"], *found.splits["test"]])) == sorted(clips)
    (tmp_path / "lists").symlink_to(shared_lists / "InfAR_FRAGRANT")
    found = prepared_set("infar", tmp_path, edition="vis_inf")
    assert (
        len(found.splits["train"]) == 899
        and found.splits["train"][0].path == f"{tmp_path}/train/infrared/fight/000002.avi"
    )
    assert all(Path(record.path).parent.name == found.class_names[record.label] for record in found.splits["test"])


def test_infar_1200_is_fragrants_split(shared_lists):
    found = prepared_set("infar", shared_lists / "InfAR_FRAGRANT", edition="vis_inf")
    for name, row in golden("framework/visinf_split")["classes"].items():
        for split in ("train", "test"):
            clips = [Path(record.path) for record in found.splits[split] if record.label == row["label"]]
            assert sorted(int(clip.stem) for clip in clips) == row[split]
            assert {clip.parts[-4:-1] for clip in clips} == {(split, "infrared", name)} and found.class_names[
                row["label"]
            ] == name


def test_ellar_layout(tmp_path):
    touch(tmp_path, "videos/Walking/a.mp4", "videos/Stertching/b.mp4")
    for split in ("train", "val", "test"):
        (tmp_path / f"ELLAR_label_{split}.txt").write_text("Walking/a.mp4 1\nStertching/b.mp4 0\n")
    found = prepared_set("ellar", tmp_path)
    assert found.class_names == ["Stertching", "Walking"]
    assert {split: paths(tmp_path, records) for split, records in found.splits.items()} == dict.fromkeys(
        ("train", "val", "test"), ["videos/Walking/a.mp4", "videos/Stertching/b.mp4"]
    )


@pytest.mark.parametrize(
    "rows, message",
    [
        (
            "Walking/a.mp4 0\nRunning/b.mp4 0\n",
            "ELLAR_label_train.txt:2: label 0 is 'Running' here and 'Walking' elsewhere",
        ),
        ("Walking/a.mp4 0\nWalking/b.mp4 1\n", "ELLAR_label_train.txt:2: 'Walking' has label 1 here and 0 elsewhere"),
        ("Walking/a.mp4 0\nRunning/b.mp4 2\n", "ELLAR_label_train.txt: no video has label 1, so it has no name"),
    ],
)
def test_ellar_refuses_folders_that_share_a_label(tmp_path, rows, message):
    (tmp_path / "ELLAR_label_train.txt").write_text(rows)
    with pytest.raises(ListError, match=f"{re.escape(message)}$"):
        prepared_set("ellar", tmp_path)


def test_sljd_layout(tmp_path):
    rows = [f"frames/phase{label + 1}_F_22_1 5 {label}" for label in range(10)]
    touch(tmp_path, *(f"{row.split()[0]}/img_00001.png" for row in rows))
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val", "test"):
        (tmp_path / f"annotations/{split}.txt").write_text("\n".join(rows))
    found = prepared_set("sljd", tmp_path)
    assert found.class_names == [f"phase{number}" for number in range(1, 11)]
    assert found.splits["val"][3] == (f"{tmp_path}/frames/phase4_F_22_1", 3, 5)
    (tmp_path / "annotations/val.txt").write_text("frames/phase4_F_22_1 5 2\n")  # two labels for a phase
    assert prepared_set("sljd", tmp_path).class_names is None
    (tmp_path / "annotations/classes.txt").write_text("".join(f"name {number}\n" for number in range(10)))
    assert prepared_set("sljd", tmp_path).class_names[2] == "name 2"


def test_dark48_names_are_those_of_the_folders(shared_lists):
    found = prepared_set("dark48", shared_lists / "Dark48")
    assert found.class_names[0] == "adult_female_singing" and "+" not in "".join(found.class_names)
    assert all(Path(record.path).parent.name == found.class_names[record.label] for record in found.splits["train"])
    frames = prepared_set("dark48", shared_lists / "Dark48", edition="split1-frames").splits["train"]
    assert frames[0].num_frames == 90 and frames[0].path.endswith("bouncing/meGuchxNyKg_106")
    assert not (shared_lists / "Dark48/train_split1.txt").read_bytes().endswith(b"\n")


def test_diving48_layout(tmp_path):
    names = ["_8Vy3dlHg2w_00000", "_8Vy3dlHg2w_00001"]
    touch(tmp_path, *(f"rgb/{name}.mp4" for name in names))
    entries = [
        {"vid_name": name, "label": label, "start_frame": 0, "end_frame": 100 + label}
        for label, name in enumerate(names)
    ]
    for split in ("train", "test"):
        (tmp_path / f"Diving48_V2_{split}.json").write_text(json.dumps(entries))
    (tmp_path / "Diving48_vocab.json").write_text(
        json.dumps([["Back", "15som", "05Twis", "FREE"], ["Back", "15som", "15Twis", "FREE"]])
    )
    found = prepared_set("diving48", tmp_path)
    assert found.splits["train"] == [
        (f"{tmp_path}/rgb/{name}.mp4", label, 100 + label) for label, name in enumerate(names)
    ]
    assert found.class_names[0] == "Back+15som+05Twis+FREE"


@pytest.mark.parametrize("pattern", ["labels/{}.json", "something-something-v2-{}.json"])
def test_ssv2_layout(tmp_path, pattern):
    touch(tmp_path, "20bn-something-something-v2/7.webm", "20bn-something-something-v2/9.webm")
    rows = {
        "labels": {"Opening something": "0", "Holding something": "1"},
        "train": [{"id": "7", "label": "holding a cup", "template": "Holding [something]"}],
        "validation": [{"id": "9", "label": "opening a box", "template": "Opening [something]"}],
        "test": [{"id": "7"}],
    }
    for name, content in rows.items():
        touch(tmp_path, pattern.format(name))
        (tmp_path / pattern.format(name)).write_text(json.dumps(content))
    found = prepared_set("ssv2", tmp_path)
    assert found.class_names == ["Opening something", "Holding something"]
    videos = f"{tmp_path}/20bn-something-something-v2"
    assert found.splits["train"] == [(f"{videos}/7.webm", 1, None)]
    assert found.splits["val"] == found.splits["test"] == [(f"{videos}/9.webm", 0, None)]
    assert found.splits["unlabelled"] == [(f"{videos}/7.webm", -1, None)]


def test_class_folders_are_split(tmp_path):
    touch(
        tmp_path,
        *(f"{name}/{number}.avi" for name in ("sit", "run") for number in range(20)),
        "run/notes.txt",
        ".cache/x.avi",
        "empty/x.txt",
    )
    touch(tmp_path, *(f"run/frames_{number}/{frame:05d}.jpg" for number in range(10) for frame in range(3)))
    found = prepared_set("folders", tmp_path, videos="")
    assert found.class_names == ["run", "sit"]
    assert {split: len(records) for split, records in found.splits.items()} == {"train": 35, "val": 5, "test": 10}
    clips = [record for records in found.splits.values() for record in records]
    assert len({record.path for record in clips}) == 50
    assert {record.num_frames for record in clips if "frames_" in record.path} == {3}


def test_every_split_needs_every_class(tmp_path):
    touch(tmp_path, "train/sit/a.avi", "train/run/a.avi", "test/sit/a.avi")
    with pytest.raises(ListError, match="/test' has no folder 'run', another split has"):
        prepared_set("folders", tmp_path)
    with pytest.raises(
        ListError, match="/test' has 1 folders with videos; expected one folder for each class, two or more"
    ):
        prepared_set("folders", tmp_path / "test")


@pytest.mark.parametrize(
    "count, sizes", [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (10, [7, 1, 2]), (50, [35, 5, 10])]
)
def test_parts(count, sizes):
    parts = seeded_parts([str(n) for n in range(count)], {"train": 0.7, "val": 0.1, "test": 0.2}, "seed")
    assert [len(names) for names in parts.values()] == sizes
    assert sorted(name for names in parts.values() for name in names) == sorted(str(n) for n in range(count))


def test_ucf101_layout(tmp_path):
    touch(tmp_path, "UCF-101/Archery/v_Archery_g01_c01.avi", "UCF-101/YoYo/v_YoYo_g01_c01.avi")
    touch(tmp_path, "ucfTrainTestlist/classInd.txt")
    lists = tmp_path / "ucfTrainTestlist"
    (lists / "classInd.txt").write_text("1 Archery\n2 YoYo\n")
    (lists / "trainlist02.txt").write_text("YoYo/v_YoYo_g01_c01.avi 2\r\n")
    (lists / "testlist02.txt").write_text("Archery/v_Archery_g01_c01.avi\n\n")
    found = prepared_set("ucf101", tmp_path, edition="split2")
    assert found.splits["train"] == [(f"{tmp_path}/UCF-101/YoYo/v_YoYo_g01_c01.avi", 1, None)]
    assert found.splits["test"] == [(f"{tmp_path}/UCF-101/Archery/v_Archery_g01_c01.avi", 0, None)]


def test_hmdb51_layout(tmp_path):
    touch(tmp_path, "videos/drink/#1_Up_drink.avi", "videos/drink/b.avi", "videos/wave/c.avi", "splits/x")
    (tmp_path / "splits/drink_test_split1.txt").write_text("#1_Up_drink.avi 1 \nb.avi 2 \n")
    (tmp_path / "splits/wave_test_split1.txt").write_text("c.avi 1\nd.avi 0\n")
    found = prepared_set("hmdb51", tmp_path)
    assert paths(tmp_path / "videos", found.splits["train"]) == ["drink/#1_Up_drink.avi", "wave/c.avi"]
    assert found.splits["test"] == [(f"{tmp_path}/videos/drink/b.avi", 0, None)] and found.class_names == [
        "drink",
        "wave",
    ]


# -------------------------------------------------------------------------------------------------------------- command
@pytest.mark.parametrize(
    "name, edition, message",
    [
        (
            "arid",
            "v1.0-split4",
            "DATA.EDITION 'v1.0-split4' of arid is not known; did you mean 'v1.0-split3'? Known: v1.0-split1, ",
        ),
        ("arid", "", "no file ARID_split1_train.txt in '{root}' or up to 3 folders below it"),
        ("infar", "", "no folder with the classes fight, handclapping, "),
        ("infar", "vis_inf", "neither train.csv and test.csv nor the folder '{root}/train/infrared' are there"),
        ("ssv2", "", "no file labels/labels.json or labels.json or something-something-v2-labels.json in '{root}'"),
        ("hmdb51", "", "no files *_test_split1.txt in '{root}'"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, name, edition, message):
    with pytest.raises(ListError, match=f"^{re.escape(message.format(root=tmp_path))}"):
        prepared_set(name, tmp_path, edition=edition)


@pytest.mark.parametrize("root", ["/nowhere", ""])
def test_a_missing_root(root):
    message = f"the folder '{root}' of arid is not there (DATA.PATH_TO_DATA_DIR, --root)"
    with pytest.raises(ListError, match=f"^{re.escape(message)}$"):
        prepared_set("arid", root)


def test_written_lists_read_back(shared_clips, tmp_path):
    found = prepared_set("folders", make_folders(shared_clips, tmp_path / "set"))
    report = write_set(found, tmp_path / "set", tmp_path / "lists")
    assert [line.split()[:2] for line in report[1:5]] == [
        ["train.csv", "24"],
        ["val.csv", "6"],
        ["test.csv", "6"],
        ["classes.txt", "6"],
    ]
    for split, records in found.splits.items():
        assert read_list(tmp_path / f"lists/{split}.csv", prefix=str(tmp_path / "set"), num_classes=6) == records
    assert not (tmp_path / "lists/train.csv").read_text().startswith("/")
    assert (tmp_path / "lists/classes.txt").read_text().split() == ["Jump", "Run", "Sit", "Stand", "Turn", "Walk"]


def make_folders(shared_clips, root) -> Path:
    """The 36 clips of arid6 as class folders."""
    for clip in (shared_clips / "arid6").glob("*.mp4"):
        (root / clip.name.split("_")[0]).mkdir(parents=True, exist_ok=True)
        (root / clip.name.split("_")[0] / clip.name).symlink_to(clip)
    return root


def test_command(shared_lists, tmp_path, capsys):
    words = [
        "arid",
        "--root",
        str(shared_lists / "ARID_v1"),
        "--out",
        str(tmp_path),
        "--edition",
        "v1.0-split1",
        "v1.0-split2",
        "--split",
        "none",
    ]
    assert prepare_data.start(words) == 0
    out = capsys.readouterr().out
    assert re.search(r"train.csv +2288 +2288 +110..276 +2288\n", out) and re.search(r"val.csv +859 +859 ", out)
    assert "note: no video of train.csv is there" in out
    assert len((tmp_path / "v1.0-split2/test.csv").read_text().splitlines()) == 859
    assert prepare_data.start(["arid", "--root", "/nowhere", "--out", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err == "error: the folder '/nowhere' of arid is not there (DATA.PATH_TO_DATA_DIR, --root)\n"
    )


def test_an_incomplete_copy_is_noted(tmp_path):
    (tmp_path / "ARID_split1_train.txt").write_text("0\t0\tDrink/Drink_1_1.avi\n")
    touch(tmp_path, "Drink/Drink_1_1.avi")
    report = write_set(prepared_set("arid", tmp_path), tmp_path, tmp_path / "out")
    assert report[-1] == "note: train.csv has 1 videos, published are 2288"


def test_names_of_the_sets():
    assert SETS.names() == [
        "arid",
        "dark48",
        "diving48",
        "ellar",
        "folders",
        "hmdb51",
        "infar",
        "sljd",
        "ssv2",
        "ucf101",
    ]
