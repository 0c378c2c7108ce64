"""The thread that reads a source: decodes frame after frame, and opens a stream again that breaks."""

import threading
import time
from collections.abc import Callable, Iterator

import av

from fragrant.data import VideoError
from fragrant.live.frame_queue import FrameQueue
from fragrant.live.messages import LiveFrame, News
from fragrant.live.source import Opened, reason_of

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two tries to open a stream again; doubled each time
STEADY = 10.0  # seconds after which a connection counts as good again: the next pause is the first one
LARGEST_JUMP = 5.0  # seconds by which time stamps may run away from the clock
MOST_PENDING = 512  # packets whose frames have not come yet


def pauses(first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> Iterator[float]:
    """Seconds to wait before each try: 1, 2, 4, ... 30, 30, ..."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)


class StreamClock:
    """Seconds since the first frame of a run, from the time stamps of a connection; where these are missing or jump,
    from the clock.

    Args:
        live: the stream's time is the clock's; else (a file) only the stamps count, and the rate where they are
            missing.
    """

    def __init__(self, *, live: bool):
        self.live = live
        self._began: float | None = None  # the clock at the first frame of the run
        self._base = 0.0  # what is added to the stamps of this connection
        self._anchored = False
        self._last = 0.0

    def connect(self) -> None:
        """The stamps that come now have another beginning."""
        self._anchored = False

    def time_of(self, stamp: float | None, now: float, fps: float | None) -> float:
        """Time of a frame with this stamp in seconds (None: it has none) that came now."""
        if self._began is None:
            self._began = now
            self._base, self._anchored, self._last = -(stamp or 0.0), stamp is not None, 0.0
            return 0.0
        elapsed, step = now - self._began, 1 / (fps or 30.0)
        usual = elapsed if self.live else self._last + step
        if stamp is None:
            time = usual
        else:
            jumps = stamp + self._base < self._last or self.live and abs(stamp + self._base - elapsed) > LARGEST_JUMP
            if not self._anchored or jumps:
                self._base, self._anchored = max(usual, self._last + 1e-3) - stamp, True
            time = stamp + self._base
        self._last = max(time, self._last + 1e-6)
        return self._last


class Reader(threading.Thread):
    """Puts the frames of a source into a queue until it ends or ``stop`` is called.

    Args:
        opened: the source, opened once already, so that a wrong name is told at once.
        reopen: opens it again.
        paced: hand out the frames of a file at the times at which they are shown.
        tries: opening it again is given up after so many in a row; 0 = never.
    """

    def __init__(
        self,
        opened: Opened,
        queue: FrameQueue,
        *,
        reopen: Callable[[], Opened],
        paced: bool = False,
        tries: int = 0,
        first_pause: float = FIRST_PAUSE,
    ):
        super().__init__(name="reader", daemon=True)
        self.queue, self.reopen, self.paced, self.tries = queue, reopen, paced, tries
        self.error: Exception | None = None
        self._opened: Opened | None = opened
        self._first_pause = first_pause
        self._clock = StreamClock(live=not opened.finite)
        self._stopped = threading.Event()
        self._number = self._connection = 0
        self._began = 0.0

    def stop(self) -> None:
        self._stopped.set()
        self.queue.close()

    def run(self) -> None:
        try:
            while self._opened is not None and not self._stopped.is_set():
                opened = self._opened
                began, reason = time.monotonic(), self._read(opened)
                if opened.finite or self._stopped.is_set():
                    self._end(reason)
                    return
                if time.monotonic() - began > STEADY or self._connection == 0:
                    self._pauses = pauses(self._first_pause)
                self._opened = self._opened_again(reason or "the stream ended")
        except Exception as error:  # told by the loop, in the main thread
            self.error = error
            self._end(reason_of(error))

    def _end(self, reason: str) -> None:
        self.queue.tell(News("end", time.time(), reason))

    def _opened_again(self, reason: str) -> Opened | None:
        """The source after its loss; None when it was given up."""
        lost, failed = time.monotonic(), 0
        for pause in self._pauses:
            self.queue.tell(News("lost", time.time(), reason, pause))
            if self._stopped.wait(pause):
                return None
            try:
                opened = self.reopen()
            except VideoError as error:
                reason, failed = str(error), failed + 1
                if self.tries and failed >= self.tries:
                    self._end(f"given up after {failed} tries: {reason}")
                    return None
                continue
            self._connection += 1
            self._clock.connect()
            self.queue.tell(News("back", time.time(), "", time.monotonic() - lost))
            return opened
        return None

    def _read(self, opened: Opened) -> str:
        """Reads until the source ends or breaks: why it did, "" at a plain end."""
        try:
            for image, stamp, arrived, clock in self._frames(opened):
                when = self._clock.time_of(stamp, arrived, opened.fps)
                if self.paced and not self._wait_for(when):
                    break
                arrived, clock = (time.perf_counter(), time.time()) if self.paced else (arrived, clock)
                frame = LiveFrame(image, when, self._number, self._connection, arrived, clock, opened.fps)
                self._number += 1
                if not self.queue.put(frame) or self._stopped.is_set():
                    break
            return ""
        except (av.FFmpegError, OSError) as error:
            return reason_of(error)
        finally:
            opened.container.close()

    def _wait_for(self, when: float) -> bool:
        """Waits until a frame of a file is to be shown; False when all ends."""
        self._began = self._began or time.monotonic()
        return not self._stopped.wait(max(0.0, self._began + when - time.monotonic()))

    def _frames(self, opened: Opened) -> Iterator[tuple[av.VideoFrame, float | None, float, float]]:
        """Frames with their stamp in seconds, and when the packet that holds them came."""
        decoder, unit = opened.stream.codec_context, opened.stream.time_base
        came: dict[int | None, tuple[float, float]] = {}
        for packet in opened.container.demux(opened.stream):
            now = time.perf_counter(), time.time()
            came[packet.pts] = now
            while len(came) > MOST_PENDING:
                del came[next(iter(came))]
            for frame in self._decoded(decoder, packet, opened.finite):
                stamp = float(frame.pts * unit) if frame.pts is not None and unit else None
                yield frame, stamp, *came.pop(frame.pts, now)
            if self._stopped.is_set():
                return

    def _decoded(self, decoder, packet, finite: bool) -> list[av.VideoFrame]:
        """The frames that a packet brings; a packet of a stream that is torn brings none."""
        try:
            return decoder.decode(packet)
        except av.InvalidDataError:
            if finite:  # as elsewhere, what comes before the damage counts
                raise
            return []
