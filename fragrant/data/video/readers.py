"""Two ways to the frames of a video file: by their time stamps, and by counting from the start. Both give the same
frames, bit for bit."""

import contextlib
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence

import av
import numpy as np

from fragrant.data.video.containers import ANY_TAGS as ANY_TAGS
from fragrant.data.video.containers import open_container
from fragrant.data.video.packets import Doubtful, PacketTable, droppable, has_table, list_packets
from fragrant.data.video.places import Place
from fragrant.data.video.row_of_frames import LIMITS, CannotRead, Limits
from fragrant.data.video.timing import Timing, timing_of

# FFmpeg then decodes nothing to guess what time stamps tell anyway
QUICK = {
    "probesize": "4096",
    "analyzeduration": "0",
}
INTRA_CODECS = ("mjpeg", "ffv1", "huffyuv", "ffvhuff", "utvideo", "rawvideo", "dvvideo", "png")
KEPT_BYTES = 64 * 2**20  # decoded frames of one file that are kept rather than decoded twice


class Source:
    """An opened file, or part of one, and its first video stream (a cover picture does not count).

    Args:
        quick: open for ``Seeker``, which does not need what FFmpeg finds out by decoding the first frames; only for
            containers
            whose header says which streams they have (others crash PyAV 17).
        multi_thread: let the decoder use threads.
        limits: larger frames are not decoded, whatever the header says of them.

    Raises:
        CannotRead, av.FFmpegError
    """

    def __init__(self, place: Place, *, quick: bool, multi_thread: bool = False, limits: Limits = LIMITS):
        if quick and not has_table(place.read(12)):
            raise CannotRead("its header does not list its streams")
        self.place, self.limits = place, limits
        self.container = open_container(place, limits=limits, options=QUICK if quick else {})
        streams = [
            stream
            for stream in self.container.streams.video
            if not stream.disposition & stream.disposition.attached_pic
        ]
        if not streams:
            self.close()
            raise CannotRead("it has no video stream")
        self.stream = streams[0]
        self.decoder = self.stream.codec_context
        try:
            self._check()
        except CannotRead:
            self.close()
            raise
        self.decoder.options = {"max_pixels": str(limits.pixels)}
        self.decoder.thread_type = "AUTO" if multi_thread else "NONE"
        self.decoder.thread_count = 0 if multi_thread else 1
        # With threads the decoder is packets ahead of its output, and which frames it drops cannot be said packet by
        # packet.
        self.may_drop = not multi_thread and droppable(self.stream.codec.canonical_name, self.decoder.extradata or b"")
        self.size = (self.decoder.height, self.decoder.width)  # as the header says, 0 where it says nothing
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.fps = float(rate) if rate else None
        # an AVI has a constant rate: with B-frames its time stamps are those of decoding
        is_avi = self.container.format.name == "avi"
        self.has_times = not is_avi or self.stream.codec.canonical_name in INTRA_CODECS

    def close(self) -> None:
        self.container.close()

    def explained(self, error: av.FFmpegError) -> Exception:
        """Why not one frame decodes; where not even the header says their size, FFmpeg mostly found them too large to
        look at."""
        if any(self.size):
            return error
        hint = f"they may be larger than DATA.MAX_FRAME_MEGAPIXELS {self.limits.megapixels:g} allows"
        return CannotRead(f"{error.strerror or type(error).__name__}; it does not say how large its frames are, {hint}")

    def _check(self) -> None:
        if self.decoder is None:
            raise CannotRead("FFmpeg has no decoder for its codec")
        self.limits.check(1, self.decoder.height, self.decoder.width)


OpenSource = Callable[..., Source]  # open_source(quick=True)


def _timing(source: Source, stamps: Sequence[int | None] | np.ndarray) -> Timing:
    unit = source.stream.time_base
    return timing_of(stamps, float(unit), source.fps) if unit and source.has_times else Timing(source.fps)


class Seeker:
    """Frames by their time stamps: decodes from the last key frame before a wanted frame to that frame, and on the way
    leaves out the frames that neither are wanted nor needed by another.

    What comes out of the decoder is compared with what was expected.

    Raises:
        Doubtful: by any method, when the file is not what its packets promised.
    """

    def __init__(self, open_source: OpenSource):
        try:
            self._source = open_source(quick=True)
        except (CannotRead, av.FFmpegError) as error:
            raise Doubtful("its header is not enough to open it") from error
        try:
            self._table: PacketTable = list_packets(self._source.container, self._source.stream)
            listed = len(self)
            self._table = self._without_lost_frames(self._table)
            self.is_cut = len(self) < listed
        except (Doubtful, av.FFmpegError) as error:
            self.close()
            raise Doubtful(str(error)) from error
        self.size = self._source.size
        self.timing = _timing(self._source, self._table.pts[self._table.shown])

    def _without_lost_frames(self, table: PacketTable) -> PacketTable:
        """The table without the frames at the beginning that need others which are not in the file.

        A file that was cut out of a longer one at the key frame of an open GOP, or where the picture is refreshed
        piece by piece, begins with such frames. Some decode, some do not: only decoding says which.
        """
        if table.starts_fresh:
            return table
        come: set[int | None] = set()
        for frame in self._decode(0, range(len(table.pts))):
            come.add(frame.pts)
            if frame.pts is None or frame.pts >= table.pts[0]:
                break
        else:
            raise Doubtful("no frame comes")
        if frame.pts is None:
            raise Doubtful("frames without times")
        pts = table.pts[table.shown]
        kept = [time >= frame.pts or time in come for time in pts.tolist()]
        return table._replace(shown=table.shown[kept])

    def __len__(self) -> int:
        return len(self._table.shown)

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame | np.ndarray]]:
        """The frames with these numbers (ascending, each once), in any order."""
        runs: dict[int, dict[int, int]] = {}  # key packet -> {packet: frame number}
        for number in numbers:
            packet = int(self._table.shown[number])
            runs.setdefault(self._table.key_for(packet), {})[packet] = number
        try:
            for key, wanted in sorted(runs.items()):
                yield from self._run(key, wanted)
        except av.FFmpegError as error:
            raise Doubtful(str(error)) from error

    def close(self) -> None:
        self._source.close()

    def _run(self, key: int, wanted: dict[int, int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decodes from a key packet to the last wanted one."""
        number_at = {int(self._table.pts[packet]): number for packet, number in wanted.items()}
        key_pts, last_pts = self._table.pts[key], None
        for frame in self._decode(key, wanted):
            if frame.pts is None or last_pts is not None and frame.pts <= last_pts:
                raise Doubtful("frames out of order")
            last_pts = frame.pts
            # two packets may hold one interlaced frame
            if frame.pts >= key_pts and (frame.is_corrupt or frame.interlaced_frame):
                raise Doubtful("a damaged or interlaced frame")
            if frame.pts in number_at:
                yield number_at.pop(frame.pts), frame
        if number_at:
            raise Doubtful("a frame did not come")

    def _decode(self, key: int, wanted: Collection[int]) -> Iterator[av.VideoFrame]:
        decoder, last = self._source.decoder, max(wanted)
        for at, packet in self._packets_from(key):
            if self._source.may_drop:
                decoder.skip_frame = "DEFAULT" if at in wanted else "NONREF"
            yield from decoder.decode(packet)
            if at == last:
                break
        yield from decoder.decode(None)  # what the decoder holds back

    def _packets_from(self, key: int) -> Iterator[tuple[int, av.Packet]]:
        """The packets from ``key`` on, each with its place in the table."""
        pts = self._table.pts
        at, packets = self._seek(key)
        for packet in packets:
            if at >= len(pts) or packet.pts != pts[at]:
                raise Doubtful("other packets than before")
            if at >= key:
                yield at, packet
            at += 1

    def _seek(self, key: int) -> tuple[int, Iterator[av.Packet]]:
        """Lands at a packet not behind ``key``: its place, and the packets from there on.

        A container may land behind the packet that was meant (MP4 seeks by decoding time): then an earlier key packet
        is tried.
        """
        for target in np.flatnonzero(self._table.is_key[: key + 1])[::-1]:
            # empties the decoder, too
            self._source.container.seek(int(self._table.seek_to[target]), stream=self._source.stream)
            packets = self._source.container.demux(self._source.stream)
            first = next(packets)
            at = self._table.at(first.pts)
            if at <= key:
                return at, itertools.chain([first], packets)
        raise Doubtful("seeking lands behind the key frame")


class Counter:
    """Frames by decoding from the start and counting, up to the first error; the only right way for many an AVI.

    Raises:
        CannotRead, av.FFmpegError: the file cannot be opened, or nothing of it decodes.
    """

    def __init__(self, open_source: OpenSource):
        self._open_source = open_source
        self._kept: list[av.VideoFrame] | None = []
        self._running: Iterator[av.VideoFrame] = iter(())
        self._next, size = 0, 0  # the number of the frame that comes next out of what is running
        stamps: list[int | None] = []
        for frame in self._decode():
            stamps.append(frame.pts)
            size += sum(plane.buffer_size for plane in frame.planes)
            if size > KEPT_BYTES:
                self._kept = None
            elif self._kept is not None:
                self._kept.append(frame)
        if not stamps:
            raise CannotRead("no frame of it decodes")
        self._count = len(stamps)
        self.is_cut = False  # unknown
        self.size = self._source.size
        self.timing = _timing(self._source, stamps)

    def __len__(self) -> int:
        return self._count

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """The frames with these numbers (ascending, each once); who asks for later ones each time needs one pass."""
        if self._kept is not None:
            yield from ((number, self._kept[number]) for number in numbers)
            return
        if numbers[0] < self._next or not self._next:
            self.close()
            self._running, self._next = self._decode(), 0
        wanted = set(numbers)
        for frame in self._running:
            self._next += 1
            if self._next - 1 in wanted:
                yield self._next - 1, frame
            if self._next > numbers[-1]:
                return

    def close(self) -> None:
        """Gives back the file; what is kept stays."""
        self._running, self._next = iter(()), 0  # what has been running ends with it

    def _decode(self) -> Iterator[av.VideoFrame]:
        self._source = source = self._open_source(quick=False)
        any_frame = False
        try:
            for frame in source.container.decode(source.stream):
                any_frame = True
                yield frame
        except av.FFmpegError as error:
            if not any_frame:
                raise source.explained(error) from error
            # Recordings behind one another may change the codec: what the decoder holds back of the first is whole.
            if source.container.format.name == "mpegts":
                with contextlib.suppress(av.FFmpegError):
                    yield from source.decoder.decode(None)
        finally:
            source.close()
