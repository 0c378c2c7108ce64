"""What a packet table promises, and when it refuses to promise."""

import av
import numpy as np
import pytest
from make_video import encode, remux

from fragrant.data.video import packets
from fragrant.data.video.packets import Doubtful, PacketTable


def slices(head):
    return head & 31 in (1, 2, 5)


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"\0\0\0\3\x65ab", True),
        (b"\0\0\0\2\x06s\0\0\0\3\x41ab", True),
        (b"\0\0\0\2\x06s", False),  # no picture
        (b"\0\0\0\4\x65ab", False),  # torn
        (b"\0\0\0\2\x65ab", False),  # something behind
        (b"\x65\x88\x84\0\3\3", False),  # overwritten
        (b"", False),
    ],
)
def test_slices_fill_a_packet(data, expected):
    assert packets.fills_with_slices(memoryview(data), length_bytes=4, is_slice=slices) is expected


@pytest.mark.parametrize(
    "data, expected",
    [
        (packets.VOP + b"\x10" + bytes(20), True),  # I
        (b"\0\0\1\xb0head" + packets.VOP + b"\x50" + bytes(20), True),  # P behind a header
        (packets.VOP + b"\x90" + bytes(20), False),  # B
        (packets.VOP + b"\x50" + bytes(20) + packets.VOP + b"\x90" + bytes(20), False),  # packed B-frames
        (packets.VOP + b"\x50\x60\x80", False),  # placeholder
        (b"\x7f", False),
    ],
)
def test_forward_frames_of_mpeg4(data, expected):
    assert packets.is_one_forward_frame(memoryview(data)) is expected


@pytest.mark.parametrize(
    "units, intra, fresh",
    [
        ([b"\x65\x88\x84"], True, True),  # IDR, slice type 7: I
        ([b"\x67abc", b"\x68ab", b"\x65\x88"], True, True),  # behind parameter sets
        ([b"\x06s", b"\x41\x88"], True, False),  # I of an open GOP
        ([b"\x06s", b"\x41\x9a"], False, False),  # P: slice type 5, where the picture is refreshed piece by piece
        ([b"\x41\x88", b"\x41\x9a"], False, False),  # one slice of each
        ([b"\x41"], False, False),  # torn
    ],
)
def test_where_decoding_can_start(units, intra, fresh):
    data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert packets.h264_start(memoryview(data), length_bytes=4) == (intra, fresh)


def hvcc(temporal_layers):
    return bytes([1]) + bytes(20) + bytes([temporal_layers << 3 | 3])


@pytest.mark.parametrize(
    "codec, extradata, expected",
    [("h264", b"", True), ("hevc", hvcc(1), True), ("hevc", hvcc(3), False), ("hevc", b"", False), ("vp9", b"", False)],
)
def test_when_frames_may_be_dropped(codec, extradata, expected):
    assert packets.droppable(codec, extradata) is expected


@pytest.mark.parametrize(
    "name, expected",
    [("a.mp4", True), ("a.mov", True), ("a.mkv", True), ("a.avi", True), ("a.ts", False), ("a.h264", False)],
)
def test_containers_with_a_header(tmp_path, name, expected):
    head = encode(tmp_path / name, 2, codec="mpeg4" if name == "a.avi" else "libx264").read_bytes()[:12]
    assert packets.has_table(head) is expected
    assert not packets.has_table(head[:3])


@pytest.mark.parametrize(
    "codec, container",
    [
        ("h264", "avi"),
        ("h264", "mpegts"),
        ("vp8", "matroska"),
        ("vp9", "avi"),
        ("mpeg2video", "mov"),
        ("mpeg4", "mpeg"),
        ("wmv2", "asf"),
    ],
)
def test_no_promise_for(codec, container):
    with pytest.raises(Doubtful, match=f"{codec} in {container}"):
        packets.frame_check(codec, container, b"\x01\x64\x00\x1f\xff" + bytes(30))


def test_key_frame_for_a_frame_in_an_open_gop():
    # shown: I0 b1 b2 I3 b4 b5 P6; in the file I0 I3 b1 b2 P6 b4 b5
    pts = np.array([0, 3, 1, 2, 6, 4, 5])
    table = PacketTable(pts, pts, pts % 3 == 0, np.argsort(pts))
    table = table._replace(is_key=np.array([True, True, False, False, False, False, False]))
    assert [table.key_for(packet) for packet in range(7)] == [0, 1, 0, 0, 1, 1, 1]


def list_of(path):
    with av.open(str(path)) as container:
        return packets.list_packets(container, container.streams.video[0])


def test_table_of_a_file(tmp_path):
    table = list_of(encode(tmp_path / "a.mp4", 40, options={"g": "10", "bf": "2"}))
    assert len(table.shown) == 40
    assert (np.diff(table.pts[table.shown]) > 0).all()
    assert (np.diff(table.pts) < 0).any()  # B-frames: the file is not in display order
    assert table.is_key.sum() >= 4 and table.is_key[0]


def test_frames_that_an_edit_list_hides_have_no_number(tmp_path):
    source = encode(tmp_path / "a.mp4", 40, options={"g": "10"})
    table = list_of(remux(source, tmp_path / "cut.mp4", cut_frames=13))
    assert len(table.shown) == 27 < len(table.pts)


@pytest.mark.parametrize(
    "name, codec, options",
    [("a.mkv", "mpeg4", {"bf": "2", "g": "12"}), ("a.avi", "mpeg4", {"bf": "2"}), ("a.ts", "libx264", {})],
)
def test_doubtful_files(tmp_path, name, codec, options):
    with pytest.raises(Doubtful):
        list_of(encode(tmp_path / name, 20, codec=codec, options=options))


def test_a_file_that_starts_in_the_middle_is_doubtful(tmp_path):
    source = encode(tmp_path / "a.mp4", 40, options={"g": "20"})
    with pytest.raises(Doubtful, match="no key frame at the start"):
        list_of(remux(source, tmp_path / "rest.mp4", drop_packets=5))
