"""Videos unpacked into folders of pictures: the same frames, resumable, one line for each that cannot be read."""

import os

import pytest
import torch
from conftest import load_tool
from make_video import encode

from fragrant.data.datasets import KnownSet, listed_set
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import RecordList, VideoRecord, read_list
from fragrant.data.prepare import unpack_set
from fragrant.data.prepare.unpack import unpack
from fragrant.data.video.frames import open_frames

prepare_data = load_tool("prepare_data")


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "videos"
    (root / "run").mkdir(parents=True)
    for seed, name in enumerate(("run/a.mp4", "run/b.mp4", "c.avi")):
        encode(root / name, 10 + seed, seed=seed)
    (root / "torn.mp4").write_bytes(b"nothing")
    (tmp_path / "x.txt").write_text("run/a.mp4 1\nrun/b.avi 0\ntorn.mp4 1\nc.avi 0\n")  # b lies there as an mp4
    (tmp_path / "classes.txt").write_text("sit\nrun\n")
    return root


def run(folder, *words) -> int:
    places = ["--root", str(folder / "videos"), "--out", str(folder / "lists"), "--frames", str(folder / "frames")]
    return prepare_data.start(["video_list", *places, *words])


def test_png_pictures_are_the_frames(videos, tmp_path, monkeypatch):
    monkeypatch.setattr("fragrant.data.prepare.unpack.AT_ONCE", 4)
    assert unpack(str(videos / "run/a.mp4"), tmp_path / "a", "img_{:05d}.png") == 10
    assert sorted(os.listdir(tmp_path / "a"))[::9] == ["img_00001.png", "img_00010.png"]
    with open_frames(videos / "run/a.mp4") as video, open_frames(tmp_path / "a", template="img_{:05d}.png") as folder:
        assert torch.equal(video.read(range(10)), folder.read(range(10)))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_command(videos, tmp_path, capsys, workers):
    """Lists name the folders; what cannot be read is told in a line and left out; a second run goes on where the first
    stopped."""
    words = [
        "--list",
        f"train={tmp_path}/x.txt",
        "--list",
        f"test={tmp_path}/x.txt",
        "--template",
        "%06d.jpg",
        "--workers",
        workers,
    ]
    (tmp_path / "frames/c.part").mkdir(parents=True)  # of a run that was killed
    (tmp_path / "frames/c.part/000099.jpg").touch()
    for _ in range(2):
        assert run(tmp_path, *words) == 1
        out, err = capsys.readouterr()
        assert err.splitlines()[-1] == "stopped: 1 video(s) cannot be unpacked, see above; the lists are without them"
        bad = [line for line in out.splitlines() if "torn" in line]
        assert len(bad) == 1 and bad[0].startswith(f"video '{videos}/torn.mp4' cannot be read: Invalid data")
        assert f'DATA.PATH_PREFIX {tmp_path}/frames DATA.IMAGE_TEMPLATE "%06d.jpg" MODEL.NUM_CLASSES 2' in out
        for split in ("train", "val", "test"):
            assert (tmp_path / f"lists/{split}.csv").read_text() == "run/a 10 1\nrun/b 11 0\nc 12 0\n"
        assert sorted(os.listdir(tmp_path / "frames")) == ["c", "run"] and len(os.listdir(tmp_path / "frames/c")) == 12
        (tmp_path / "frames/run/a/000001.jpg").write_bytes((tmp_path / "frames/run/a/000002.jpg").read_bytes())
    # not made twice
    assert (tmp_path / "frames/run/a/000001.jpg").read_bytes() == (tmp_path / "frames/run/a/000002.jpg").read_bytes()
    record = read_list(tmp_path / "lists/train.csv", prefix=str(tmp_path / "frames"))[0]
    with open_frames(record.path, template="%06d.jpg") as frames:
        assert len(frames) == record.num_frames == 10


def test_wrong_input(videos, tmp_path, capsys):
    listed = ["--list", f"train={tmp_path}/x.txt", "--workers", "1"]
    for words, message in [
        ([], "the set video_list needs a list: --list train=FILE"),
        (["--list", "x.txt"], "--list 'x.txt' is not of the form train=FILE, val=FILE or test=FILE"),
        (
            [*listed, "--template", "img.jpg"],
            "the template of frames 'img.jpg' must hold one number, as 'img_{:05d}.jpg' does",
        ),
        ([*listed, "--template", "{:05d}.gif"], "the template of frames '{:05d}.gif' must end in .jpg, .jpeg or .png"),
    ]:
        assert run(tmp_path, *words) == 2
        assert capsys.readouterr().err == f"error: {message}\n"


def test_two_videos_do_not_share_a_folder(videos, tmp_path):
    encode(videos / "c.mp4", 3)
    records = RecordList([VideoRecord(str(videos / name), 0) for name in ("c.avi", "c.mp4")])
    with pytest.raises(ListError, match=r"c.avi' and '.*c.mp4' would share the folder of frames '.*/frames/c'"):
        unpack_set(KnownSet({"train": records}), videos, tmp_path / "frames", template="{:05d}.jpg", workers=1)


def test_a_folder_of_other_pictures_is_not_taken_for_the_frames(videos, tmp_path):
    unpack(str(videos / "c.avi"), tmp_path / "frames/c", "{:05d}.jpg")
    records = RecordList([VideoRecord(str(videos / "c.avi"), 0)])
    found, lines = unpack_set(
        KnownSet({"train": records}), videos, tmp_path / "frames", template="img_{:05d}.jpg", workers=1
    )
    assert (
        len(found.splits["train"]) == 0
        and "no file in this folder fits DATA.IMAGE_TEMPLATE 'img_{:05d}.jpg'" in lines[0]
    )


def test_a_list_may_lie_below_the_root(tmp_path, monkeypatch):
    """As every path in it does; one in the current folder comes first."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.txt").write_text("a.mp4 0\nb.mp4 1\n")
    monkeypatch.chdir(tmp_path)
    lists = ["train=train.txt", "test=train.txt"]
    found = listed_set(lists, "set").splits["train"]
    assert [record.path for record in found] == ["set/a.mp4", "set/b.mp4"] and found.source == "set/train.txt"
    (tmp_path / "train.txt").write_text("c.mp4 0\n")
    assert [record.path for record in listed_set(lists, "set").splits["train"]] == ["set/c.mp4"]
    with pytest.raises(ListError, match="nowhere.txt"):
        listed_set(["train=nowhere.txt"], "set")
