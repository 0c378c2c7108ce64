"""Videos that are members of shards: the same frames as of the files, and what is said where a shard is not whole."""

import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from decoders import installed
from make_video import encode, pictures
from packed import index_of_shard, pack, packed_rows
from PIL import Image

from fragrant.config import load_cfg
from fragrant.data import build_loader
from fragrant.data.lists.errors import ListError
from fragrant.data.shards import HEAD, Member, ShardIndex, split_member
from fragrant.data.video.cache import CachedFrames
from fragrant.data.video.frames import Limits, VideoError, open_frames
from fragrant.data.video.other_decoders import DECODERS


@pytest.mark.parametrize(
    "path, expected",
    [
        ("a/000.tar::run/x.mp4", ("a/000.tar", "run/x.mp4")),
        ("000.tar::x::y.tar::z", ("000.tar", "x::y.tar::z")),
        ("a/000.tar", ("a/000.tar", None)),
        ("a/000.tar::", ("a/000.tar::", None)),
        ("a::b.mp4", ("a::b.mp4", None)),
        ("a/000.tar:x.mp4", ("a/000.tar:x.mp4", None)),
    ],
)
def test_what_names_a_member(path, expected):
    assert split_member(path) == expected


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Path:
    """One video of every kind, with a list."""
    folder = tmp_path_factory.mktemp("kinds")
    encode(folder / "a.mp4", 30, options={"g": "8"})
    encode(folder / "a.avi", 12, codec="mpeg4")  # the same name, another video
    for name in ("b c.mkv", "raw.h264", "d.ts", "é.mov"):
        encode(folder / name, 14)
    encode(folder / "m.webm", 9, codec="libvpx-vp9")
    frames = pictures(7)
    np.save(folder / "t.npy", frames)
    np.save(folder / "f.npy", np.asfortranarray(frames.transpose(0, 3, 1, 2)))
    torch.save({"frames": torch.from_numpy(frames), "fps": 12}, folder / "t.pt")
    torch.save(torch.from_numpy(frames), folder / "u.pth")
    (folder / "run" / "x.1").mkdir(parents=True)
    for number, picture in enumerate(frames, start=1):
        Image.fromarray(picture).save(folder / "run" / "x.1" / f"{number:05d}.png")
    names = [path.name for path in folder.iterdir() if path.is_file()] + ["run/x.1"]
    (folder / "train.csv").write_text("".join(f"{name} 0\n" for name in sorted(names)))
    return folder


def seen(path: str):
    with open_frames(path, template="{:05d}.png") as frames:
        return len(frames), frames.fps, frames.read(range(len(frames))), frames.read([len(frames) - 1, 0])


@pytest.mark.parametrize("megabytes", [0.05, 100])
def test_every_kind_reads_as_from_its_file(kinds, tmp_path, megabytes):
    assert pack(kinds, tmp_path, "--shard-mb", str(megabytes)) == 0
    sources = [line.rsplit(" ", 1)[0] for line in (kinds / "train.csv").read_text().splitlines()]
    members = packed_rows(tmp_path)
    assert len(members) == len(set(members)) == len(sources)
    assert len({split_member(path)[0] for path in members}) == (
        1 if megabytes == 100 else len(os.listdir(tmp_path / "shards")) // 2
    )
    for source, member in zip(sources, members, strict=True):
        for a, b in zip(seen(str(kinds / source)), seen(member), strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, source


def test_what_webdataset_finds(kinds, tmp_path):
    pack(kinds, tmp_path / "a")
    pack(kinds, tmp_path / "b")
    shards = [tmp_path / name / "shards" / "000.tar" for name in "ab"]
    assert shards[0].read_bytes() == shards[1].read_bytes()  # nothing of this run in it
    with tarfile.open(shards[0]) as tar:
        members = {info.name: info for info in tar.getmembers()}
        names = list(members)
        for name in names[::2][:4]:  # key.mp4, key.json, one after the other; no dot in a key
            key, extension = name.split(".", 1)
            assert names[names.index(name) + 1] == f"{key}.json" and "." not in extension
        assert {"a.avi", "a_2.mp4", "b_c.mkv", "run/x/00001.png", "run/x.json"} <= set(names)
        about = json.load(tar.extractfile("a_2.json"))
        assert about == {"path": str(kinds / "a.mp4"), "label": 0}
        index = index_of_shard(tmp_path / "a")
        for name, info in members.items():
            found = index.find(name)
            assert (found is None) == name.endswith(".json")
            if found is not None:
                assert (found.start, found.size) == (info.offset_data, info.size)


def test_the_index_finds_what_it_was_given():
    members = {f"{'x' * (number % 5)}/{number}": Member(512 * number, number, 7) for number in range(1, 40)}
    members["odd \udce9"] = Member(1, 2, 3)
    index = ShardIndex(members, num_bytes=10**6)
    assert all(index.find(name) == member for name, member in members.items())
    assert index.find("") is index.find("x/") is index.find("zzz") is index.find("x") is None
    assert index.folder("x") == {name[2:]: member for name, member in members.items() if name.startswith("x/")}
    assert index.folder("x/") == index.folder("x") and index.folder("y") == {}


def test_the_cache_keeps_members_too(kinds, tmp_path):
    pack(kinds, tmp_path)
    opened = []

    def opener(path):
        opened.append(path)
        return open_frames(path)

    cached, member = CachedFrames(opener, tmp_path / "cache"), packed_rows(tmp_path)[0]
    first, again = (cached(member).read([3, 1]) for _ in range(2))
    assert torch.equal(first, again) and opened == [member]
    os.utime(tmp_path / "shards" / "000.tar", ns=(1, 1))
    assert torch.equal(cached(member).read([3, 1]), first) and opened == [member] * 2


# ------------------------------------------------------------------------------------------------------ hostile members
def test_a_member_sees_nothing_of_its_neighbours(tmp_path):
    """A tensor that promises more than it has, a video without its end, a playlist: unreadable each."""
    whole = np.full((4, 16, 16, 3), 9, np.uint8)
    for name in ("a", "z"):
        np.save(tmp_path / f"{name}.npy", whole)
    torn = (tmp_path / "a.npy").read_bytes()[:-1]
    (tmp_path / "b.npy").write_bytes(torn)
    torch.save(torch.from_numpy(whole), tmp_path / "c.pt")
    (tmp_path / "d.pt").write_bytes((tmp_path / "c.pt").read_bytes()[:-30])
    video = encode(tmp_path / "e.mp4", 9).read_bytes()
    (tmp_path / "f.mp4").write_bytes(video[:200])
    (tmp_path / "g.mp4").write_text(f"#EXTM3U\n#EXTINF:5,\n{tmp_path}/e.mp4\n#EXT-X-ENDLIST\n")
    np.save(tmp_path / "h.npy", np.array([object()]), allow_pickle=True)
    names = [
        f"{name}.{kind}" for name, kind in zip("abcdefghz", "npy npy pt pt mp4 mp4 mp4 npy npy".split(), strict=True)
    ]
    pack(tmp_path, tmp_path / "out", rows="".join(f"{name} 0\n" for name in names))
    for name, member in zip(names, packed_rows(tmp_path / "out"), strict=True):
        if name[0] in "acez":
            with open_frames(member) as frames:
                assert len(frames.read(range(len(frames)))) > 3
            continue
        with pytest.raises(VideoError, match=f"^video '{re.escape(member)}' cannot be read: [^\n]+$"):
            with open_frames(member) as frames:
                frames.read(range(len(frames)))
    with pytest.raises(VideoError, match="DATA.MAX_DECODED_GB allows 1e-07"):
        open_frames(packed_rows(tmp_path / "out")[2], limits=Limits(gigabytes=1e-7))


# -------------------------------------------------------------------------------------------------------- not as it was
@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Twelve videos of two classes in four shards."""
    folder = tmp_path_factory.mktemp("whole")
    rows = ""
    for number in range(12):
        encode(folder / f"{number}.mp4", 12, seed=number)
        rows += f"{number}.mp4 {number % 2}\n"
    size = sum((folder / f"{number}.mp4").stat().st_size + 1024 for number in range(12))
    assert pack(folder, folder / "out", "--shard-mb", str(size / 2.5e6), rows=rows) == 0
    assert len(list((folder / "out" / "shards").glob("*.tar"))) == 4
    return folder / "out"


@pytest.fixture
def packed(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


def loader_of(folder, *pairs, split="train"):
    base = {
        "DATA.PATH_TO_DATA_DIR": folder,
        "MODEL.NUM_CLASSES": 2,
        "DATA.NUM_FRAMES": 4,
        "DATA.SAMPLING_RATE": 2,
        "DATA.TRAIN_CROP_SIZE": 32,
        "DATA.TRAIN_JITTER_SCALES": "[36,48]",
        "TRAIN.BATCH_SIZE": 2,
        "DATA_LOADER.NUM_WORKERS": 0,
        "DATA.MAX_BAD_FRACTION": 0.9,
        "NUM_GPUS": 0,
    }
    return build_loader(
        load_cfg(None, [str(text) for pair in base.items() for text in pair] + list(map(str, pairs))), split
    )


def why_refused(folder, *pairs) -> str:
    with pytest.raises(ListError) as caught:
        loader_of(folder, *pairs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_with_a_name_that_says_something_to_ffmpeg(whole, tmp_path, monkeypatch):
    for name in ("a,,b:c d", "subfile,,start,0,end,9,,:x", "100%:", "-i", "é'\""):
        shutil.copytree(whole / "shards", tmp_path / name / "shards")
        with open_frames(f"{whole}/shards/000.tar::0.mp4") as frames:
            expected = frames.read([0, 7])
        monkeypatch.chdir(tmp_path)
        for folder in (name, tmp_path / name):
            with open_frames(f"{folder}/shards/000.tar::0.mp4") as frames:
                assert torch.equal(frames.read([0, 7]), expected)


def test_an_index_that_would_be_waited_for(packed):
    index = packed / "shards" / "000.index.json"
    index.unlink()
    os.mkfifo(index)
    assert f"the index '{index}' is not a file" in why_refused(packed)


def test_a_shard_without_index(packed):
    (packed / "shards" / "001.index.json").unlink()
    assert f"shard '{packed}/shards/001.tar' has no index '001.index.json' beside it; tools/" in why_refused(packed)


def test_a_member_that_is_missing(packed):
    rows = (packed / "train.csv").read_text()
    (packed / "train.csv").write_text(rows + "shards/002.tar::gone.mp4 0\n")
    assert re.search(
        r"train.csv: '.*/shards/002.tar::gone.mp4': the shard has no member 'gone.mp4'", why_refused(packed)
    )


INDEX_DAMAGE = {
    "no json": lambda text: "[",
    "a list": lambda text: "[]",
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "an offset": lambda text: re.sub(r"\[(\d+),", r"[-\1,", text, count=1),
    "a size": lambda text: re.sub(r", (\d+), (\d+)\]", r", 1\1, \2]", text, count=1),
    "a checksum": lambda text: re.sub(r", (\d+)\]", r", 1]", text, count=1),
    "a text for a number": lambda text: re.sub(r"\[(\d+),", r'["\1",', text, count=1),
    "a name": lambda text: text.replace(".mp4", ".mp5", 1),
    "an offset behind the end": lambda text: re.sub(r"\[(\d+),", r"[9\g<1>00000000,", text, count=1),
    "members that are none": lambda text: text[: text.index('"members"')] + '"members": [1]}',
    "no more than a brace": lambda text: "{}",
}


@pytest.mark.parametrize("what", INDEX_DAMAGE)
def test_a_damaged_index(packed, what):
    index = packed / "shards" / "000.index.json"
    index.write_text(INDEX_DAMAGE[what](index.read_text()))
    assert "000.index.json" in why_refused(packed)


@pytest.mark.parametrize("how", ["swapped", "longer", "other bytes of the same size"])
def test_an_index_that_belongs_to_another_tar(packed, how):
    tar = packed / "shards" / "000.tar"
    if how == "swapped":
        tar.write_bytes((packed / "shards" / "001.tar").read_bytes())
    elif how == "longer":
        tar.write_bytes(tar.read_bytes() + bytes(512))
    else:
        tar.write_bytes(bytes(tar.stat().st_size))
    text = why_refused(packed)
    assert f"the index '{packed}/shards/000.index.json' does not belong to '{tar}'" in text


def damage(packed: Path, how: str) -> set[str]:
    """Damages the first shard; the members that then cannot be read."""
    tar, index = packed / "shards" / "000.tar", index_of_shard(packed)
    names = sorted(
        (split_member(path)[1] for path in packed_rows(packed) if "000.tar" in path), key=lambda n: index.find(n).start
    )
    data = bytearray(tar.read_bytes())
    if how == "truncated":
        del data[index.find(names[2]).start + 100 :]
        bad = names[2:]
    elif how == "head":
        data[:HEAD] = bytes(HEAD)
        bad = []
    elif how == "header of a member":
        at = index.find(names[1]).start
        data[at - 512 : at] = bytes(512)
        bad = names[1:2]
    else:
        found = index.find(names[1])
        data[found.start : found.start + found.size] = bytes(found.size)
        bad = names[1:2]
    tar.write_bytes(data)
    return {f"{tar}::{name}" for name in bad}


@pytest.mark.parametrize("how", ["truncated", "head", "header of a member", "content of a member"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_shard_names_its_bad_members_and_the_rest_trains(packed, how, workers):
    bad = damage(packed, how)
    loader = loader_of(packed, "DATA_LOADER.NUM_WORKERS", workers)
    shown = [id for batch in loader for id in batch.ids.tolist()]
    assert len(shown) == 12
    assert {loader.dataset.records[id].path for id in loader.skipped} == bad
    assert not {loader.dataset.records[id].path for id in shown} & bad
    assert all(
        why.startswith(f"video '{loader.dataset.records[id].path}' cannot be read: ")
        for id, why in loader.skipped.items()
    )


def test_a_shard_that_is_not_there_is_that_of_unreadable_videos(packed):
    (packed / "shards" / "000.tar").unlink()
    loader = loader_of(packed)
    list(loader)
    assert all("there is no shard '" in why for why in loader.skipped.values()) and loader.skipped


def test_paths_that_climb_out_of_the_prefix(packed):
    (packed / "train.csv").write_text("../out/shards/000.tar::0.mp4 0\n")
    assert "leads out of DATA.PATH_PREFIX" in why_refused(packed, "DATA.PATH_PREFIX", packed)
    (packed / "train.csv").write_text("shards/../shards/000.tar::0.mp4 0\n")
    assert loader_of(packed, "DATA.PATH_PREFIX", packed).dataset.records[0].path == f"{packed}/shards/000.tar::0.mp4"


@pytest.mark.slow
def test_all_real_clips_read_as_from_their_files(shared_clips, tmp_path):
    """Every file that anything here is tested with."""
    files = [
        p
        for p in sorted(shared_clips.rglob("*"))
        if p.suffix in (".mp4", ".avi", ".mov", ".webm", ".mkv", ".h264", ".ts", ".h265", ".mpg", ".npy", ".pt")
    ]
    (tmp_path / "train.csv").write_text("".join(f'"{path.relative_to(shared_clips)}" 0\n' for path in files))
    words = ["--root", str(shared_clips)]
    assert pack(tmp_path, tmp_path / "out", *words) in (0, 1)

    def content(path):
        try:
            with open_frames(path) as frames:
                return len(frames), frames.fps, frames.read(range(0, len(frames), 7))
        except VideoError:  # FFmpeg may give another reason: it also looks at the extension of a file
            return ("unreadable",)

    with tarfile.open(tmp_path / "out" / "shards" / "000.tar") as tar:
        sources = {}
        for info in tar.getmembers():
            if info.name.endswith(".json"):
                sources[info.name.removesuffix(".json")] = json.load(tar.extractfile(info))["path"]
    members = packed_rows(tmp_path / "out")
    assert len(members) == len(sources) > 20
    for member in members:
        source = sources[os.path.splitext(split_member(member)[1])[0]]
        for a, b in zip(content(source), content(member), strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, source


@pytest.mark.parametrize("backend", DECODERS)
def test_other_decoders_read_members_too(kinds, tmp_path, backend):
    installed(backend)
    pack(kinds, tmp_path, rows='a.mp4 0\n"b c.mkv" 0\n', split="test")
    for member in packed_rows(tmp_path, "test"):
        with open_frames(member, backend=backend) as frames, open_frames(member) as same:
            assert isinstance(frames._reader, DECODERS[backend])
            assert torch.equal(frames.read([9, 2]), same.read([9, 2]))
            assert isinstance(frames._reader, DECODERS[backend])
