"""Decoded frames on disk: the same frames, within a bound, from several processes."""

import multiprocessing
import os
import re

import pytest
import torch
from make_video import decode_all, encode

from fragrant.data.video.cache import CachedFrames
from fragrant.data.video.frames import VideoError, VideoFile, open_frames
from fragrant.data.video.tensor_file import TensorFile
from fragrant.errors import UserError

SIZE = 20 * 48 * 64 * 3  # of a video below, bytes


@pytest.fixture
def videos(tmp_path):
    for number in range(4):
        encode(tmp_path / f"{number}.mp4", 20, seed=number)
    return [str(tmp_path / f"{number}.mp4") for number in range(4)]


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*.pt"))


def test_the_second_time_nothing_is_decoded_and_the_frames_are_the_same(tmp_path, videos):
    cache = CachedFrames(open_frames, tmp_path / "cache")
    expected = torch.from_numpy(decode_all(videos[0]))
    for kind in (VideoFile, TensorFile, TensorFile):
        with cache(videos[0]) as frames:
            assert isinstance(frames, kind) and len(frames) == 20 and frames.fps == 30
            assert torch.equal(frames.read([19, 3, 3]), expected[[19, 3, 3]])


def test_a_changed_file_and_other_settings_are_other_entries(tmp_path, videos):
    cache = CachedFrames(open_frames, tmp_path / "cache")
    cache(videos[0]).close()
    os.utime(videos[0], ns=(1, 1))
    assert isinstance(cache(videos[0]), VideoFile) and isinstance(cache(videos[0]), TensorFile)
    assert isinstance(CachedFrames(open_frames, tmp_path / "cache", settings="reduced")(videos[0]), VideoFile)


def test_what_is_kept_is_reduced_if_the_frames_are(tmp_path, videos):
    cache = CachedFrames(lambda path: open_frames(path, short_side=24), tmp_path / "cache")
    first, again = cache(videos[0]).read([4]), cache(videos[0]).read([4])
    assert first.shape == (1, 24, 32, 3) and torch.equal(first, again)


def test_a_full_cache_keeps_what_it_has(tmp_path, videos, monkeypatch):
    folder = tmp_path / "cache"
    cache = CachedFrames(open_frames, folder, max_bytes=12 * SIZE)
    (folder / "size").write_text(str(9 * SIZE))
    kinds = [[type(cache(path)) for path in videos] for _ in range(2)]
    assert kinds == [[VideoFile] * 4, [TensorFile, TensorFile, VideoFile, VideoFile]]
    assert size_of(folder) <= 3 * SIZE


def test_a_video_too_large_for_the_cache_is_left_out(tmp_path, videos):
    cache = CachedFrames(open_frames, tmp_path / "cache", max_bytes=9 * SIZE)
    assert isinstance(cache(videos[0]), VideoFile) and isinstance(cache(videos[0]), VideoFile)


def test_a_torn_entry_is_made_anew(tmp_path, videos):
    cache = CachedFrames(open_frames, tmp_path / "cache")
    cache(videos[0]).close()
    (entry,) = (tmp_path / "cache").rglob("*.pt")
    entry.write_bytes(entry.read_bytes()[:1000])
    assert isinstance(cache(videos[0]), VideoFile)
    assert torch.equal(cache(videos[0]).read(range(20)), torch.from_numpy(decode_all(videos[0])))


def test_unreadable_videos_say_the_same_as_without_a_cache(tmp_path):
    (tmp_path / "bad.mp4").write_text("<html>")
    cache = CachedFrames(open_frames, tmp_path / "cache")
    for name, reason in (("gone.mp4", "no such file"), ("bad.mp4", "Invalid data found when processing input")):
        with pytest.raises(VideoError, match=f"^video '{re.escape(str(tmp_path / name))}' cannot be read: {reason}$"):
            cache(str(tmp_path / name))


def test_a_folder_that_cannot_be_written_is_named(tmp_path, videos):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(UserError, match=f"^DATA.CACHE_DIR '{tmp_path}/cache' cannot be written: File exists$"):
        CachedFrames(open_frames, tmp_path / "cache")


def test_a_full_disk_stops_nothing(tmp_path, videos, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    cache = CachedFrames(open_frames, tmp_path / "cache")
    assert torch.equal(cache(videos[0]).read(range(20)), torch.from_numpy(decode_all(videos[0])))
    assert not list((tmp_path / "cache").rglob("*.*t*"))


def _read_all(folder, videos, times, max_bytes):
    cache = CachedFrames(open_frames, folder, max_bytes=max_bytes)
    for _ in range(times):
        for path in videos:
            with cache(path) as frames:
                assert torch.equal(frames.read([0, 19]), torch.from_numpy(decode_all(path))[[0, 19]])


def test_processes_that_share_a_cache(tmp_path, videos):
    folder = tmp_path / "cache"
    context = multiprocessing.get_context("spawn")  # forking a process with threads may hang
    workers = [
        context.Process(target=_read_all, args=(folder, videos[i:] + videos[:i], 2, 40 * SIZE)) for i in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(list(folder.rglob("*.pt"))) == 4 and not list(folder.rglob("*.tmp"))
    assert int((folder / "size").read_text()) == size_of(folder)


@pytest.mark.parametrize("content", [b"", b"x", b"-5", b"1e9", b"\xff\xfe", b"9" * 5000, None, "folder", "pipe"])
def test_a_damaged_count_is_made_anew(tmp_path, videos, content):
    folder = tmp_path / "cache"
    CachedFrames(open_frames, folder)(videos[0]).close()
    (folder / "size").unlink()
    if content == "folder":
        (folder / "size").mkdir()
    elif content == "pipe":
        os.mkfifo(folder / "size")
    elif content is not None:
        (folder / "size").write_bytes(content)
    cache = CachedFrames(open_frames, folder)
    assert cache._used() == size_of(folder)
    cache(videos[1]).close()
    if content != "folder":  # nothing can be counted there, so nothing more is kept
        assert int((folder / "size").read_text()) == size_of(folder) and len(list(folder.rglob("*.pt"))) == 2
