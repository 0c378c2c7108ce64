"""The packets of a video stream, listed without decoding: which one holds frame number i, and from which key frame it
can be reached."""

from collections.abc import Callable
from typing import NamedTuple

import av
import numpy as np

STAMPED = {"mov", "matroska"}  # containers whose time stamps are those of the frames: MP4, MOV, MKV, WebM
VOP = b"\x00\x00\x01\xb6"  # begins an MPEG-4 part 2 frame


class Doubtful(Exception):
    """The packets do not say which frame is which: only decoding from the start and counting does."""


def has_table(head: bytes) -> bool:
    """Whether a file that begins with these 12 bytes is a container whose header lists its streams: MP4, MOV, MKV,
    WebM, AVI."""
    is_mov = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
    return is_mov or head[:4] == b"\x1aE\xdf\xa3" or head[:4] + head[8:12] == b"RIFFAVI "


class PacketTable(NamedTuple):
    """Table of a stream's packets, in the order of the file, which is the order of decoding.

    Attributes:
        pts: when its frame is shown; no two are alike.
        seek_to: a time from which a seek finds this packet or an earlier one.
        is_key: decoding can start here.
        shown: frame number -> the packet of that frame.
        is_closed: nothing behind a key packet refers to, or is shown, before it.
        starts_fresh: so it is with the first one: all frames of the file can be decoded.
    """

    pts: np.ndarray
    seek_to: np.ndarray
    is_key: np.ndarray
    shown: np.ndarray
    is_closed: bool = True
    starts_fresh: bool = True

    def key_for(self, packet: int) -> int:
        """The last key packet from which decoding gives the frame of ``packet`` exactly.

        The frames that an open GOP shows before its key frame, but holds after it, need the key frame before.
        """
        before = np.flatnonzero(self.is_key[: packet + 1] & (self.pts[: packet + 1] <= self.pts[packet]))
        return int(before[-1]) if len(before) else 0

    def at(self, pts: int | None) -> int:
        """The packet with this time.

        Raises:
            Doubtful: there is none.
        """
        found = np.flatnonzero(self.pts == pts if pts is not None else [])
        if not len(found):
            raise Doubtful(f"a packet at {pts} that was not there before")
        return int(found[0])


# -------------------------------------------------------------- does a packet hold exactly one frame? (bytes -> answer)
def fills_with_slices(data: memoryview, *, length_bytes: int, is_slice: Callable[[int], bool]) -> bool:
    """H.264, HEVC: units, each behind its length, fill the packet to the last byte, and one of them is a part of a
    picture.

    Overwritten or torn files fail here, before anything is decoded.
    """
    at, found = 0, False
    while at + length_bytes < len(data):
        found = found or is_slice(data[at + length_bytes])
        at += length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
    return found and at == len(data)


def h264_start(data: memoryview, *, length_bytes: int) -> tuple[bool, bool]:
    """H.264: can decoding start at this packet, since all its slices are intra coded; does the decoder forget all
    pictures before it (IDR).

    Where a picture is refreshed piece by piece, containers mark packets that are neither: what is decoded from there on
    is only nearly that of the whole file.
    """
    at, intra, fresh = 0, True, False
    while at + length_bytes < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        kind = data[at + length_bytes] & 31
        if kind in (1, 2, 5):
            bits = "".join(f"{byte:08b}" for byte in data[at + length_bytes + 1 :][: min(size, 16)])
            _, bits = _exp_golomb(bits)  # the slice's first macroblock
            slice_type, _ = _exp_golomb(bits)
            intra, fresh = intra and slice_type in (2, 4, 7, 9), kind == 5
        at += length_bytes + size
    return intra, intra and fresh


def _exp_golomb(bits: str) -> tuple[int, str]:
    """The number (H.264, 9.1) that a row of bits begins with, and the rest; -1 where it breaks off."""
    zeros = len(bits) - len(bits.lstrip("0"))
    if len(bits) < 2 * zeros + 1:
        return -1, ""
    return int(bits[zeros : 2 * zeros + 1], 2) - 1, bits[2 * zeros + 1 :]


def is_one_forward_frame(data: memoryview) -> bool:
    """MPEG-4 part 2: one I- or P-frame. B-frames and what packs them (DivX) make the time stamps of an AVI useless, and
    a frame of a few bytes is a placeholder that decodes to nothing."""
    content = bytes(data)
    start = content.find(VOP)
    one = start >= 0 and content.find(VOP, start + 4) < 0
    return one and len(content) > start + 12 and content[start + 4] >> 6 in (0, 1)


def is_something(data: memoryview) -> bool:
    return len(data) > 0


def frame_check(codec: str, container: str, extradata: bytes) -> Callable[[memoryview], bool]:
    """Builds the check that a packet's time stamp is that of its frame.

    Raises:
        Doubtful: nothing makes it so in this container.
    """
    stamped = container in STAMPED
    if codec == "h264" and stamped and len(extradata) > 4 and extradata[0] == 1:
        size = (extradata[4] & 3) + 1
        return lambda data: fills_with_slices(data, length_bytes=size, is_slice=lambda head: head & 31 in (1, 2, 5))
    if codec == "hevc" and stamped and len(extradata) > 21 and extradata[0] == 1:
        size = (extradata[21] & 3) + 1
        return lambda data: fills_with_slices(data, length_bytes=size, is_slice=lambda head: (head >> 1) & 63 < 32)
    if codec == "mpeg4" and (stamped or container == "avi"):
        return is_one_forward_frame
    if codec == "mjpeg" and (stamped or container == "avi") or codec in ("vp9", "av1") and stamped:
        return is_something
    raise Doubtful(f"{codec} in {container}")


def droppable(codec: str, extradata: bytes) -> bool:
    """Whether the decoder may drop frames that no other frame refers to without changing the others."""
    if codec == "hevc":  # with temporal layers, "not referred to" holds within a layer only
        return len(extradata) > 21 and extradata[21] >> 3 & 7 == 1
    return codec == "h264"


def list_packets(container: av.container.InputContainer, stream: av.VideoStream) -> PacketTable:
    """Reads the stream to its end, decoding nothing.

    Raises:
        Doubtful: frame numbers do not follow from the packets.
    """
    codec = stream.codec_context
    fits = frame_check(stream.codec.canonical_name, container.format.name.split(",")[0], codec.extradata or b"")
    h264_bytes = (codec.extradata[4] & 3) + 1 if stream.codec.canonical_name == "h264" and codec.extradata else 0
    rows: list[tuple] = []
    for packet in container.demux(stream):
        if not packet.size and packet.pts is None:  # the mark of the end
            break
        if packet.pts is None or packet.is_corrupt or not fits(memoryview(packet)):
            raise Doubtful(f"packet {len(rows)}")
        seek_to = packet.pts if packet.dts is None else min(packet.pts, packet.dts)
        starts = fresh = packet.is_keyframe
        if starts and h264_bytes:
            starts, fresh = h264_start(memoryview(packet), length_bytes=h264_bytes)
        rows.append((packet.pts, seek_to, starts, packet.is_discard, starts and not fresh))
    pts, seek_to, is_key, hidden, is_open = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    if not len(pts) or not is_key[0] or len(np.unique(pts)) < len(pts):
        raise Doubtful("no key frame at the start, or one time twice")
    order = np.argsort(pts)
    last_key = np.maximum.accumulate(np.where(is_key, np.arange(len(pts)), 0))
    is_open[last_key[pts < pts[last_key]]] = True  # the key packets before which frames are shown that come later
    shown = order[hidden[order] == 0]
    return PacketTable(pts, seek_to, is_key.astype(bool), shown, not is_open.any(), not is_open[0])
