"""Lists that a set lacks are drawn from its training list, by group; what looks alike across lists is found."""

import re

import pytest
import torch
from conftest import load_tool
from make_video import encode

from fragrant.data.datasets.known_set import KnownSet, with_validation
from fragrant.data.lists.records import ListError, RecordList, VideoRecord, read_list
from fragrant.data.prepare.across import near_copies
from fragrant.data.prepare.picture_hash import picture_hash
from fragrant.data.prepare.split import with_drawn, with_few, with_leaks_named

prepare_data = load_tool("prepare_data")
check_data = load_tool("check_data")


def arid(scenes: int = 6) -> KnownSet:
    names = [(f"Run_{s}_{n}.mp4", 0) for s in range(scenes) for n in range(3)]
    names += [(f"Sit_{s}_{n}.mp4", 1) for s in range(scenes) for n in range(2)]
    lists = {"train": RecordList([VideoRecord(name, label) for name, label in names], source="train.txt")}
    lists["test"] = RecordList([VideoRecord("1.mp4", 0)], source="test.txt")
    return with_validation(KnownSet(lists, ["Run", "Sit"], {"train": 30, "test": 1}))


def scenes(records) -> set[str]:
    return {record.path.split("_")[1] for record in records}


def test_a_set_without_a_validation_list_gets_one_by_group():
    found = with_drawn(arid(), "arid", [])
    train, val = found.splits["train"], found.splits["val"]
    assert len(train) + len(val) == 30 == len(found.splits["trainval"]) and len(val) in (5, 10)
    assert not scenes(train) & scenes(val) and set(val.labels.tolist()) == {0, 1}
    assert found.published == {"trainval": 30, "test": 1}
    assert found.notes == ("val.csv (20 %) drawn from the training list by scene; trainval.csv is that list as it was",)
    assert with_drawn(arid(), "arid", []).splits["val"] == val  # the same for everybody


def test_what_is_there_stays():
    own = arid()
    own = own._replace(splits={**own.splits, "val": own.splits["train"].pick([0])})
    assert with_drawn(own, "arid", []) is own
    repeated = arid()
    assert with_drawn(repeated, "arid", ["none"]) is repeated  # val repeats test


def test_shares_that_are_asked_for():
    found = with_drawn(arid(10), "arid", ["val=0.2", "test=0.3"])
    parts = [found.splits[split] for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [25, 10, 15]
    assert sum(len(scenes(part)) for part in parts) == 10


def test_class_folders_are_drawn_from_all_their_videos(tmp_path, capsys):
    """Not from the part that the usual draw leaves to train on: no video gets lost."""
    for person in "abcdefghij":
        for action in ("bend", "walk"):
            (tmp_path / "all" / action).mkdir(parents=True, exist_ok=True)
            (tmp_path / "all" / action / f"{person}_{action}.avi").touch()
    words = ["folders", "--root", str(tmp_path / "all"), "--out", str(tmp_path / "out"), "--group-by", "weizmann"]
    for more, counts in ([], (14, 2, 4)), (["--split", "val=0.2"], (12, 4, 4)):
        assert prepare_data.start([*words, *more]) == 0
        lists = [read_list(tmp_path / f"out/{split}.csv") for split in ("train", "val", "test")]
        people = [{record.path[-10] for record in records} for records in lists]
        assert tuple(map(len, lists)) == counts and sum(map(len, people)) == 10 == len(set.union(*people))
        assert "drawn from all 20 videos by person" in capsys.readouterr().out
    assert prepare_data.start([*words, "--split", "val=0.9"]) == 2
    assert "--split val=0.9 test=0.2: the shares are 1 or more together" in capsys.readouterr().err


def test_a_few_of_each_class():
    found = with_few(with_drawn(arid(), "arid", []), "arid", 3, seed=1)
    train, val = found.splits["train"], found.splits["val"]
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1] and not scenes(train) & scenes(val)
    assert len(scenes(train.pick([0, 1, 2]))) == 3 == len(scenes(train.pick([3, 4, 5])))
    assert len(found.splits["trainval"]) == 30 and found.published["trainval"] == 30
    assert found.notes[-1].startswith("train.csv has 3 videos of each class (seed 1, by scene); trainval.csv is")
    other = with_few(with_drawn(arid(), "arid", []), "arid", 3, seed=2).splits["train"]
    assert [record.path for record in other] != [record.path for record in train]
    with pytest.raises(ListError, match="--few-shot 13 of .*: 13 shots, but class 1 has 12 training videos"):
        with_few(arid(), "arid", 13)
    with pytest.raises(ListError, match="--few-shot -1: allowed: 1 or more"):
        with_few(arid(), "arid", -1)


def test_a_list_that_shares_groups_is_named():
    leaking = RecordList([VideoRecord("Run_0_9.mp4", 0), VideoRecord("Run_7_1.mp4", 0)], source="test.txt")
    found = arid()
    found = with_validation(found._replace(splits={"train": found.splits["train"], "test": leaking}))
    *before, note = with_leaks_named(found, "arid").notes
    assert tuple(before) == found.notes and note.startswith(
        "test.csv shares 1 of 2 groups, with 1 of 2 videos (group 'Run_0' for one) with train.csv"
    )
    assert with_leaks_named(arid(), "arid").notes == arid().notes  # its test list has other names


def test_without_groups_the_note_says_so():
    found = with_drawn(arid(), "video_list", [])
    assert "drawn from the training list video by video (nothing is known of its groups)" in found.notes[-1]
    (note,) = with_drawn(arid(1), "arid", []).notes
    assert "video by video (1 groups cannot be drawn into 2 parts" in note


@pytest.mark.parametrize(
    "words, group_by, told",
    [
        (["val"], "", "--split 'val' is not of the form val=0.2 or test=0.2"),
        (["train=0.5"], "", "--split 'train=0.5' is not of the form"),
        (["val=1.5"], "", "--split 'val=1.5' is not of the form"),
        (["val=0.5", "test=0.5"], "", "the shares are 1 or more together, nothing is left to train on"),
        (["val=0.2"], r"(\d+)\.avi", "finds a group in none of 30 paths"),
        (["val=0.2"], r"^([A-Z])", "class 1 would lose all its training videos"),
    ],
)
def test_splits_that_cannot_be(words, group_by, told):
    with pytest.raises(ListError, match=re.escape(told)):
        with_drawn(arid(), "arid", words, group_by=group_by)


def test_the_command_writes_them(tmp_path):
    rows = [f"{person}_{action}.avi {label}" for person in "abcde" for label, action in enumerate(("bend", "walk"))]
    (tmp_path / "all.txt").write_text("\n".join(rows))
    words = ["--root", str(tmp_path), "--list", f"train={tmp_path / 'all.txt'}", "--out", str(tmp_path / "out")]
    assert prepare_data.start(["video_list", *words, "--split", "test=0.4", "--group-by", "weizmann"]) == 0
    people = {split: {r.path[-10] for r in read_list(tmp_path / f"out/{split}.csv")} for split in ("train", "test")}
    assert len(people["train"]) == 3 and len(people["test"]) == 2 and not people["train"] & people["test"]
    assert prepare_data.start(["video_list", *words, "--split", "test=2"]) == 2


def test_near_copies_are_found_whatever_the_exposure():
    torch.manual_seed(0)
    scene, other = torch.rand(3, 60, 80) * 200, torch.rand(3, 60, 80) * 200
    areas = [
        torch.nn.functional.interpolate(x[:, None, ::8, ::8], (60, 80), mode="bilinear")[:, 0] for x in (scene, other)
    ]
    dark = areas[0] * 0.2 + torch.randn(3, 60, 80) * 0.5
    hashes = [picture_hash(x) for x in (*areas, dark, torch.zeros(3, 60, 80))]
    assert hashes[3] == "" and len(hashes[0]) == 48
    assert near_copies(hashes[:2], [hashes[3], hashes[2]])[0][:2] == (1, 0)
    assert near_copies(hashes[:1], [hashes[1], ""]) == [] == near_copies([], hashes)


def test_check_data_reports_what_two_lists_share(tmp_path, capsys):
    for split, number in (("train", 1), ("test", 2)):
        encode(tmp_path / f"Run_7_{number}.mp4", 8)
        (tmp_path / f"{split}.csv").write_text(f"{tmp_path}/Run_7_{number}.mp4 0\n")
    lists = [word for split in ("train", "test") for word in ("--list", str(tmp_path / f"{split}.csv"))]
    words = ["--out", str(tmp_path / "check"), "--workers", "1", "--min-frames", "1", "DATA.GROUP_BY", r"_(\d+)_"]
    assert check_data.start([*lists, *words]) == 0  # notes, no problems: whether it matters the user decides
    told = capsys.readouterr().out
    assert "note: test shares 1 of 1 groups, with 1 of 1 videos (group '7' for one) with train" in told
    assert "note: 1 of 1 videos of test look like one of train, near copies" in told
