"""Packing: what goes in, what is left out, what a killed run leaves behind, and what the check then says."""

import json
import os
import tarfile

import numpy as np
import pytest
import torch
from conftest import load_tool
from filelock import FileLock
from make_video import encode
from packed import index_of_shard, pack, packed_rows

from fragrant.data.prepare import shard_file
from fragrant.data.prepare.pack import free_key
from fragrant.data.shards import ShardIndex, index_path
from fragrant.data.video.frames import open_frames


@pytest.mark.parametrize(
    "path, root, expected",
    [
        ("/data/run/x.mp4", "/data", "run/x"),
        ("/data/run 1/a.b c.mp4", "/data", "run_1/a_b_c"),
        ("/data/é/x.mp4", "/data", "_/x"),
        ("/else/x.mp4", "/data", "else/x"),
        ("rel/x.mp4", ".", "rel/x"),
        ("/data/shards/000.tar::run/x.mp4", "/data", "run/x"),
        ("http://h/set/run/x.mp4", "http://h/set", "run/x"),
        ("/data/.mp4", "/data", "_mp4"),
    ],
)
def test_keys(path, root, expected):
    taken: set[str] = set()
    assert free_key(path, root, taken) == expected
    assert [free_key(path, root, taken) for _ in range(2)] == [f"{expected}_2", f"{expected}_3"]


def test_a_key_that_looks_like_a_numbered_one_is_free_too():
    taken: set[str] = set()
    assert [free_key(name, ".", taken) for name in ("a_2.mp4", "a.mp4", "a.avi", "a.mkv")] == ["a_2", "a", "a_3", "a_4"]


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(6):
        encode(folder / f"{number}.mp4", 8, seed=number)
    (folder / "train.csv").write_text("".join(f"{number}.mp4 {number % 2}\n" for number in range(6)))
    (folder / "classes.txt").write_text("sit\nstand\n")
    return folder


SMALL = ("--shard-mb", "0.000001")  # a shard for every video


def state(out):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted((out / "shards").iterdir())}


def test_a_video_of_several_lists_is_packed_once(videos, tmp_path):
    (videos / "test.csv").write_text("5.mp4 1\n0.mp4 0\n")
    assert pack(videos, tmp_path / "out", "--list", f"test={videos / 'test.csv'}") == 0
    rows = [packed_rows(tmp_path / "out", split) for split in ("train", "test", "val")]
    assert rows[1] == [rows[0][5], rows[0][0]] == rows[2]
    with tarfile.open(tmp_path / "out" / "shards" / "000.tar") as tar:
        assert len(tar.getnames()) == 12
        assert json.load(tar.extractfile("5.json")) == {"path": f"{videos}/5.mp4", "label": 1, "class": ["stand"]}
    assert (tmp_path / "out" / "classes.txt").read_text() == "sit\nstand\n"


def test_packed_again_from_shards(videos, tmp_path):
    assert pack(videos, tmp_path / "one") == 0
    assert pack(tmp_path / "one", tmp_path / "two", *SMALL) == 0
    for number, (a, b) in enumerate(zip(packed_rows(tmp_path / "one"), packed_rows(tmp_path / "two"), strict=True)):
        assert b.endswith(f"shards/00{number}.tar::{number}.mp4")
        with open_frames(a) as first, open_frames(b) as second:
            assert torch.equal(first.read(range(8)), second.read(range(8)))


@pytest.mark.parametrize("where", ["in the tar", "before the index", "in the index"])
def test_a_killed_pack_leaves_no_half_shard_and_goes_on(videos, tmp_path, monkeypatch, where):
    out, calls = tmp_path / "out", []

    class Killed(BaseException):
        pass

    def killed_at_third(*arguments, plain):
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return plain(*arguments)

    with monkeypatch.context() as patch:
        owner, name = {
            "in the tar": (shard_file, "_add"),
            "before the index": (shard_file, "_fill_comment_in"),
            "in the index": (ShardIndex, "to_json"),
        }[where]
        plain = getattr(owner, name)
        patch.setattr(owner, name, lambda *arguments: killed_at_third(*arguments, plain=plain))
        with pytest.raises(Killed):
            pack(videos, out, *SMALL)
    indexed = sorted((out / "shards").glob("*.index.json"))
    assert [path.name for path in indexed] == ["000.index.json", "001.index.json"]
    assert not (out / "train.csv").exists()
    before = state(out)
    assert pack(videos, out, *SMALL) == 0
    after = state(out)
    kept = [name for name, facts in before.items() if after[name] == facts]
    assert kept[:4] == ["000.index.json", "000.tar", "001.index.json", "001.tar"] and len(after) == 12
    for member in packed_rows(out):
        with open_frames(member) as frames:
            assert len(frames.read(range(8))) == 8
    assert pack(videos, out, *SMALL) == 0 and state(out) == after  # nothing is written twice


def test_shards_of_an_earlier_packing_are_told(videos, tmp_path, capsys):
    pack(videos, tmp_path / "out", *SMALL)
    assert "earlier packing" not in capsys.readouterr().out
    pack(videos, tmp_path / "out")
    assert (
        f"note: 5 other shard(s), '{tmp_path}/out/shards/001.tar' first, are of an earlier packing\n"
        in capsys.readouterr().out
    )


def test_what_has_changed_is_packed_anew(videos, tmp_path):
    out = tmp_path / "out"
    pack(videos, out, *SMALL)
    before = state(out)
    encode(videos / "2.mp4", 9, seed=77)
    with open(out / "shards" / "004.tar", "r+b") as tar:  # a shard that is not whole any more
        tar.truncate(3000)
    assert pack(videos, out, *SMALL) == 0
    after = state(out)
    assert {name[:3] for name in after if after[name] != before[name]} == {"002", "004"}
    with open_frames(packed_rows(out)[2]) as frames:
        assert len(frames) == 9


def test_what_cannot_be_read_is_named_and_left_out(videos, tmp_path, capsys, monkeypatch):
    (videos / "1.mp4").unlink()
    (videos / "2.mp4").write_bytes(b"")
    (videos / "4").mkdir()
    plain = shard_file._add

    def shrinks(tar, part):
        if part.name == "3.mp4":
            os.truncate(part.place.file, 100)
        return plain(tar, part)

    monkeypatch.setattr(shard_file, "_add", shrinks)
    rows = "".join(f"{name} 0\n" for name in ("0.mp4", "1.mp4", "2.mp4", "3.mp4", "4", "5.mp4"))
    assert pack(videos, tmp_path / "out", rows=rows) == 1
    out, err = capsys.readouterr()
    assert err == "stopped: 4 video(s) cannot be packed, see above; the lists are without them\n"
    reasons = {
        "1.mp4": "no such file",
        "2.mp4": "it is empty",
        "4": "the folder is empty",
        "3.mp4": "it has changed while it was packed",
    }
    for name, why in reasons.items():
        assert f"video '{videos}/{name}' cannot be read: {why}\n" in out
    assert [row.split("::")[1] for row in packed_rows(tmp_path / "out")] == ["0.mp4", "5.mp4"]
    with tarfile.open(tmp_path / "out" / "shards" / "000.tar") as tar:
        assert tar.getnames() == ["0.mp4", "0.json", "5.mp4", "5.json"]
    encode(videos / "3.mp4", 8)
    monkeypatch.setattr(shard_file, "_add", plain)
    assert pack(videos, tmp_path / "out", rows=rows) == 1  # what was left out is tried again
    assert len(packed_rows(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--shard-mb", "0"], "error: --shard-mb must be above 0, got 0"),
        (["--shard-mb", "nan"], "error: --shard-mb must be above 0, got nan"),
    ],
)
def test_arguments_that_make_no_sense(videos, tmp_path, capsys, arguments, expected):
    assert pack(videos, tmp_path / "out", *arguments) == 2
    assert capsys.readouterr().err == f"{expected}\n"


def test_nothing_to_pack(videos, tmp_path, capsys):
    assert pack(videos, tmp_path / "out", rows="gone.mp4 0\n") == 2
    assert (
        capsys.readouterr().err == f"error: nothing to pack: video '{videos}/gone.mp4' cannot be read: no such file\n"
    )


def test_a_folder_that_cannot_be_made(videos, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert pack(videos, tmp_path / "out") == 1
    assert capsys.readouterr().err.startswith(f"stopped: '{tmp_path}/out/shards' cannot be made: ")


def test_two_that_pack_into_one_folder(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fragrant.data.prepare.pack.WAIT", 0.1)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".pack.lock"):
        assert pack(videos, tmp_path / "out") == 2
        assert capsys.readouterr().err == f"error: another process packs into '{tmp_path}/out'\n"
    assert pack(videos, tmp_path / "out") == 0


def test_a_full_disk(videos, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard_file, "_fill_comment_in", full)
    assert pack(videos, tmp_path / "out") == 1
    assert capsys.readouterr().err == (
        f"stopped: shard '{tmp_path}/out/shards/000.tar' cannot be written: No space left on device; the same command goes on with it\n"
    )
    assert list((tmp_path / "out" / "shards").iterdir()) == []


# ------------------------------------------------------------------------------------------------------------- the check
def check(out, *pairs) -> int:
    words = [
        "--list",
        out / "train.csv",
        "--out",
        out / "check",
        "--workers",
        1,
        "--min-frames",
        1,
        "MODEL.NUM_CLASSES",
        2,
    ]
    return load_tool("check_data").start([*map(str, [*words, *pairs])])


def test_the_check_reads_members(videos, tmp_path, capsys):
    np.save(videos / "t.npy", np.full((3, 16, 16, 3), 9, np.uint8))
    pack(videos, tmp_path / "out", rows="0.mp4 0\nt.npy 1\n1.mp4 1\n")
    assert check(tmp_path / "out") == 0
    assert "3 videos, 3 without a problem" in capsys.readouterr().out


def test_the_check_finds_flipped_bits_and_missing_members(videos, tmp_path, capsys):
    np.save(videos / "t.npy", np.full((3, 16, 16, 3), 9, np.uint8))
    pack(videos, tmp_path / "out", rows="0.mp4 0\nt.npy 1\n1.mp4 1\n")
    index, tar = index_of_shard(tmp_path / "out"), tmp_path / "out" / "shards" / "000.tar"
    data = bytearray(tar.read_bytes())
    for name, at in (("t.npy", 400), ("0.mp4", index.find("0.mp4").size - 40)):
        data[index.find(name).start + at] ^= 1
    tar.write_bytes(data)
    with open(tmp_path / "out" / "train.csv", "a") as rows:
        rows.write("shards/000.tar::gone.mp4 0\n")
    assert check(tmp_path / "out") == 1
    out = capsys.readouterr().out
    assert "damaged: " in out and "t.npy': it has other bytes than those that were packed" in out
    assert "train.csv:4: unreadable: video " in out and "the shard has no such member" in out
    assert "train.csv:1: " in out and "train.csv:3: " not in out
    os.unlink(index_path(str(tar)))
    assert check(tmp_path / "out") == 1
    assert "has no index '000.index.json' beside it" in capsys.readouterr().out
