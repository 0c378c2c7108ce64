"""Tables of MP4 files that promise more than the file can hold are told at once; honest ones change nothing."""

import struct

import pytest
from make_video import encode

from fragrant.data.video.frames import VideoError, open_frames
from fragrant.data.video.mp4_tables import boxes, check_tables
from fragrant.data.video.row_of_frames import CannotRead

SAMPLES = ("moov", "trak", "mdia", "minf", "stbl", "stsz")
EDITS = ("moov", "trak", "edts", "elst")
MANY = 2**31


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("video") / "a.mp4", 12)


def box(kind: str, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind.encode()) + content


def nested(path, content: bytes) -> bytes:
    for kind in reversed(path):
        content = box(kind, content)
    return content


def edits(count):
    return struct.pack(">II", 0, count) + struct.pack(">IiHH", 2000, 0, 1, 0) * count


BOMBS = {
    "constant size": (nested(SAMPLES, struct.pack(">III", 0, 1, MANY)), "promise 2147483648 frames"),
    "no size": (nested(SAMPLES, struct.pack(">III", 0, 0, MANY)), "promise 2147483648 frames"),
    "many streams": (nested(SAMPLES, struct.pack(">III", 0, 1, 10**6)) * 5, "promise 5000000 frames"),
    "fragment": (nested(("moof", "traf", "trun"), struct.pack(">II", 0, MANY)), "promise 2147483648 frames"),
    "compressed": (nested(("moov", "cmov"), b"\0" * 8), "compressed"),
    "edits": (
        box("moov", box("trak", nested(EDITS[2:], edits(3000)) + nested(SAMPLES[2:], struct.pack(">III", 0, 1, 1000)))),
        "edit list shows parts of its 1000 frames 3000 times",
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_promises(tmp_path, video, kind):
    content, words = BOMBS[kind]
    path = tmp_path / "a.mp4"
    path.write_bytes(video.read_bytes()[:32] + content)
    with pytest.raises(VideoError, match=words):
        open_frames(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"\xff" * 64, b"\0\0\0\1mdat", b"\0\0\0\5moov" * 9])
def test_other_files(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    check_tables(str(tmp_path / "a"))


def test_honest_files(tmp_path, video):
    with open(video, "rb") as file:
        found = [each.kind for each in boxes(file, 0, len(video.read_bytes()))]
    assert {b"moov", b"trak", b"stsz"} <= set(found)
    nest = box("free", b"")
    for _ in range(3000):  # deeper than Python's stack
        nest = box("moov", nest)
    (tmp_path / "deep").write_bytes(nest)
    check_tables(str(tmp_path / "deep"))


def test_too_many_boxes(tmp_path, monkeypatch):
    monkeypatch.setattr("fragrant.data.video.mp4_tables.MOST_BOXES", 9)
    (tmp_path / "a").write_bytes(box("free", b"") * 12)
    with pytest.raises(CannotRead, match="more than 9 boxes"):
        check_tables(str(tmp_path / "a"))
