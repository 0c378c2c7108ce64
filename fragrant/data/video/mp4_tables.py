"""What the tables of an MP4 or MOV file promise, looked at before FFmpeg makes an index of it: a file of some kilobytes
can ask for gigabytes there."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fragrant.data.video.row_of_frames import CannotRead

# boxes that hold others (ISO/IEC 14496-12); FFmpeg takes each of them at any place
CONTAINERS = b"moov trak edts mdia minf stbl moof traf udta mvex clip matt".split()
MOST_BOXES = 2_000_000  # an hour in fragments of one frame has a million
DEEPEST = 12
USUAL_EDITS = 8
SLACK = 4_000_000  # frames more than bytes: sound whose end was cut off, which takes 100 MB
MOST_EDITED = 2_000_000  # samples of all edits together


class Box(NamedTuple):
    """
    Attributes:
        kind: its four letters.
        start, end: bytes of the file between which its content is.
    """

    kind: bytes
    start: int
    end: int


def boxes(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    """All boxes between two places of a file, those in others behind what holds them."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:  # a size of 64 bits follows
            size, header = int.from_bytes(head[8:16], "big"), 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + header:
            return
        yield Box(kind, start + header, stop)
        if kind in CONTAINERS and depth < DEEPEST:
            yield from boxes(file, start + header, stop, depth + 1)
        start = stop


def check_tables(path: str, *, start: int = 0, size: int | None = None) -> None:
    """Looks at the tables of frames; does nothing for files of other kinds.

    Args:
        start, size: bytes of ``path`` that are the file, where it is a part of a shard.

    Raises:
        CannotRead: they promise more frames than the file has bytes, or an edit list shows its frames over and over.
        OSError
    """
    size = os.path.getsize(path) if size is None else size
    edits = samples = promised = 0  # edits and samples of a stream, frames of all of them
    with open(path, "rb") as file:
        for number, box in enumerate(boxes(file, start, start + size)):
            if number >= MOST_BOXES:
                raise CannotRead(f"it has more than {MOST_BOXES} boxes")
            if box.kind == b"cmov":  # of QuickTime before 2000; a table in it is hidden, and may grow a thousandfold
                raise CannotRead("its header is compressed; write it again with `ffmpeg -i FILE -c copy NEW.mov`")
            if box.kind == b"trak":
                edits = samples = 0
            elif box.kind in (b"stsz", b"stz2"):
                samples += _number_at(file, box, 8)
                promised += _number_at(file, box, 8)
            elif box.kind == b"trun":
                promised += _number_at(file, box, 4)
            elif box.kind == b"elst":
                edits += min(_number_at(file, box, 4), (box.end - box.start) // 12)
            if promised > size + SLACK:
                raise CannotRead(f"its tables promise {promised} frames in {size} bytes")
            if edits > USUAL_EDITS and edits * samples > MOST_EDITED:
                raise CannotRead(f"its edit list shows parts of its {samples} frames {edits} times")


def _number_at(file: BinaryIO, box: Box, offset: int) -> int:
    """The 32 bits that stand ``offset`` bytes behind a box's start, 0 where it ends before."""
    if box.end < box.start + offset + 4:
        return 0
    file.seek(box.start + offset)
    content = file.read(4)
    return struct.unpack(">I", content)[0] if len(content) == 4 else 0
