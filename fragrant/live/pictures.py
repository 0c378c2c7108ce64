"""The thread that makes pictures of a live run: the annotated recording, and JPEGs for those who look at the page."""

import contextlib
import io
import threading
import time
from collections import deque
from pathlib import Path

from PIL import Image

from fragrant.data.video.pixels import ToRGB
from fragrant.data.video.row_of_frames import CannotRead
from fragrant.live.annotate import Annotator, Caption
from fragrant.live.messages import ActionEvent, Listener, LiveFrame, LiveWindow, News
from fragrant.live.recorder import Recorder

WAITING = 32  # frames that wait for the encoder, at most
SHOWN_RATE = 15.0  # pictures per second on the page
SHOWN_SIDE = 360  # short side of these, at most
QUALITY = 80


class LatestPicture:
    """The newest JPEG, and how many want to see it."""

    def __init__(self):
        self._changed = threading.Condition()
        self._data, self._number, self._viewers, self._over = b"", 0, 0, False

    @property
    def wanted(self) -> bool:
        return self._viewers > 0

    @contextlib.contextmanager
    def viewer(self):
        with self._changed:
            self._viewers += 1
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1

    def put(self, data: bytes) -> None:
        with self._changed:
            self._data, self._number = data, self._number + 1
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def after(self, number: int, timeout: float) -> tuple[int, bytes] | None:
        """The newest picture and its number, once it is another than ``number`` or the time is over; None at the
        end."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._number != number, timeout)
            return None if self._over else (self._number, self._data)


class Pictures(Listener):
    """Hears frames and answers, and draws in a thread of its own, so that the loop never waits for it (but for files,
    of which every frame is recorded).

    Args:
        record: the MP4 to write, "" for none.
        shown: where JPEGs go, None = nowhere.
        lossless: the recording has every frame; else frames are left out where the encoder is too slow.
        source: as it is shown.
    """

    def __init__(self, *, record: str | Path = "", shown: LatestPicture | None = None, lossless: bool, source: str):
        self.record, self.shown, self.lossless, self.source = record, shown, lossless, source
        self.left_out = 0
        self.error: Exception | None = None
        self._caption = Caption(text=source)
        self._active: set[int] = set()
        self._waiting: deque[tuple[LiveFrame, Caption]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._recorder: Recorder | None = None
        self._annotator: Annotator | None = None
        self._full, self._small = ToRGB(0), ToRGB(SHOWN_SIDE)
        self._next_shown = 0.0
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    # ----------------------------------------------------------------------------------------------- called by the loop
    def frame(self, frame: LiveFrame) -> None:
        with self._changed:
            if self._closed or self.error is not None and not self.shown:
                return
            while self.lossless and self.record and len(self._waiting) >= WAITING and self.error is None:
                self._changed.wait(1.0)
            if len(self._waiting) >= WAITING:
                self._waiting.popleft()
                self.left_out += 1
            self._waiting.append((frame, self._caption))
            self._changed.notify_all()

    def window(self, window: LiveWindow) -> None:
        self._caption = self._caption._replace(top=window.top, text=f"{window.end:.2f} s · {self.source}")

    def event(self, event: ActionEvent) -> None:
        (self._active.add if event.kind == "enter" else self._active.discard)(event.number)
        self._caption = self._caption._replace(active=frozenset(self._active))

    def news(self, news: News) -> None:
        if news.kind == "lost":
            self._caption = Caption(text=f"lost · {self.source}")

    def close(self) -> None:
        """Finishes the recording; waits for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if self.shown:
            self.shown.end()

    # ------------------------------------------------------------------------------------------------------- the thread
    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._closed)
                    if not self._waiting:
                        return
                    frame, caption = self._waiting.popleft()
                    self._changed.notify_all()
                self._draw(frame, caption)
        finally:
            self._finish()

    def _draw(self, frame: LiveFrame, caption: Caption) -> None:
        if self.record and self.error is None:
            try:
                self._add(frame, caption)
            except (OSError, CannotRead) as error:  # a full disk; told at the end
                self.error = error
        if self.shown and self.shown.wanted and time.monotonic() >= self._next_shown:
            self._next_shown = time.monotonic() + 1 / SHOWN_RATE
            with contextlib.suppress(CannotRead):
                self.shown.put(jpeg(self._small(frame.image)))

    def _add(self, frame: LiveFrame, caption: Caption) -> None:
        picture = self._full(frame.image)
        if self._recorder is None or self._annotator is None:
            self._annotator = Annotator(*picture.shape[:2])
            size = {"height": self._annotator.height + self._annotator.band, "width": self._annotator.width}
            self._recorder = Recorder(self.record, **size, fps=frame.fps or 30.0)
        self._recorder.add(self._annotator(picture, caption), frame.time)

    def _finish(self) -> None:
        if self._recorder is None:
            return
        try:
            self._recorder.close()
        except OSError as error:
            self.error = self.error or error


def jpeg(picture) -> bytes:
    """An array (H, W, 3) uint8 as a JPEG."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
