"""The loop of a live run: takes frames, asks the network about the newest window, tells all listeners."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from fragrant.errors import RunStopped, UserError
from fragrant.inference.predictor import Predictor
from fragrant.live.frame_queue import FrameQueue
from fragrant.live.hysteresis import Hysteresis
from fragrant.live.messages import ActionEvent, Listener, LiveFrame, LiveWindow, News
from fragrant.live.ring import Ring
from fragrant.live.smoothing import Smoother
from fragrant.metrics import not_finite
from fragrant.scores.ensemble import probabilities

LATENCIES_KEPT = 100_000
TIME_OVER = "the time is over"
WAIT = 0.2  # seconds after which a loop without frames looks whether it is to end


class Settings(NamedTuple):
    """
    Attributes:
        window: seconds that a window covers; None = a clip.
        step: seconds from window to window.
        smooth: memory of the mean over windows in seconds.
        enter, leave: see ``Hysteresis``.
        top: classes in an answer.
        most_seconds: the run ends after so many; 0 = never.
    """

    window: float | None = None
    step: float = 0.25
    smooth: float = 0.5
    enter: float = 0.6
    leave: float = 0.4
    top: int = 5
    most_seconds: float = 0.0


class Summary(NamedTuple):
    """What a run did; latencies in seconds, of the last ``LATENCIES_KEPT`` windows."""

    frames: int
    windows: int
    dropped: int
    skipped: int
    seconds: float
    latencies: list[float]
    reason: str

    def latency(self, share: float) -> float:
        """The latency that this share of the windows keeps; NaN without windows."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


class LiveLoop:
    """Looks at the frames of a queue until the source ends.

    Of a queue that drops frames only the newest window is looked at, whatever has come meanwhile; of a lossless one
    every window, the last of which ends with the last frame.

    Raises:
        UserError: settings that are none.
    """

    def __init__(self, predictor: Predictor, queue: FrameQueue, settings: Settings, listeners: Sequence[Listener]):
        for name, value in (("--sliding", settings.window), ("--step", settings.step)):
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{name} must be a number of seconds above 0, got {value:g}")
        if not 0 <= settings.smooth < float("inf"):
            raise UserError(f"--smooth must be a number of seconds from 0 on, got {settings.smooth:g}")
        self.predictor, self.queue, self.settings, self.listeners = predictor, queue, settings, listeners
        self.smoother = Smoother(settings.smooth)
        self.hysteresis = Hysteresis(predictor.class_names, enter=settings.enter, leave=settings.leave)
        self.ring = Ring(predictor.source, short_side=predictor.source.short_side, limits=predictor.source.limits)
        self.frames = self.windows = self.skipped = self.length = 0
        self.latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self.ended: News | None = None
        self._connection, self._waiting, self._step = -1, 0, 1
        self._last: LiveWindow | None = None

    def run(self, stopped: Callable[[], bool] = lambda: False) -> Summary:
        """Until the source ends, ``stopped()`` says so, or the time of the settings is over.

        Raises:
            RunStopped: the scores are NaN or infinite.
        """
        began = time.monotonic()
        most = self.settings.most_seconds or float("inf")
        while self.ended is None and not stopped() and time.monotonic() - began < most:
            for item in self.queue.take(min(WAIT, most)):
                if stopped():
                    break
                if isinstance(item, News):
                    self._hear(item)
                else:
                    self._see(item)
            if not self.queue.lossless:
                self._look_if_due(late=True)
        if self.queue.lossless and self._waiting and self.ring.full and not stopped():
            self._look()  # ends with the file
        self._leave_all()
        end = self.ended or News("end", time.time(), "stopped" if stopped() else TIME_OVER)
        for listener in self.listeners:
            listener.news(end)
        spent = time.monotonic() - began
        return Summary(
            self.frames, self.windows, self.queue.dropped, self.skipped, spent, list(self.latencies), end.reason
        )

    # ------------------------------------------------------------------------------------------------------ what comes
    def _hear(self, news: News) -> None:
        if news.kind == "end":  # told last
            self.ended = news
            return
        if news.kind == "lost":
            self._leave_all()
            self.ring.start(self.length, self.ring.fps)
        for listener in self.listeners:
            listener.news(news)

    def _see(self, frame: LiveFrame) -> None:
        if frame.connection != self._connection:
            self._connection = frame.connection
            self._begin(frame)
        self.frames += 1
        if self.queue.lossless:  # how long it waited in the queue of a file says nothing
            frame = frame._replace(arrived=time.perf_counter())
        gap = len(self.ring) > 0 and frame.number != self.ring.last.number + 1
        if gap:  # frames were dropped between: no window spans them
            self.ring.start(self.length, frame.fps)
        idle = not len(self.queue)
        if not self.ring.push(frame, prepare=idle):
            self._leave_all()
        self._waiting += 1
        for listener in self.listeners:
            listener.frame(frame)
        if self.queue.lossless:
            self._look_if_due(late=False)

    def _begin(self, frame: LiveFrame) -> None:
        """The first frame of a connection."""
        self._leave_all()
        rate = frame.fps or 30.0
        seconds = self.settings.window
        self.length = max(1, round(seconds * rate) if seconds else self.predictor.source.window_frames(frame.fps))
        self.queue.capacity = max(self.queue.capacity, self.length + 1)
        self._step = max(1, round(self.settings.step * rate))
        self._waiting = 0
        self.ring.start(self.length, frame.fps)

    # ----------------------------------------------------------------------------------------------------- what is told
    def _look_if_due(self, *, late: bool) -> None:
        """Asks about the newest window where it is time."""
        if not self.ring.full:
            return
        first = self._last is None
        if self._waiting < self._step and not first:
            return
        if late and not first:
            self.skipped += self._waiting // self._step - 1
        self._look()

    def _look(self) -> None:
        self._waiting = 0
        item = self.ring.clip()
        scored = self.predictor.score_clips(item)
        if bool(not_finite(scored.logits).any()):
            raise RunStopped("the model's scores are NaN or infinite, so nothing can be said")
        probs = probabilities(scored.logits, self.predictor.rule, multi_label=self.predictor.multi_label)[0]
        choices = {name: float(taken[0, 0]) for name, taken in scored.choices.items()}
        self._tell(scored.logits[0, 0], probs, item.luma, choices)

    def _tell(self, logits: Tensor, probs: Tensor, luma: float, choices: dict[str, float]) -> None:
        first, last = self.ring.first, self.ring.last
        smooth = self.smoother.update(last.time, probs)
        latency = time.perf_counter() - last.arrived
        end = last.time + 1 / (self.ring.fps or 30.0)
        window = LiveWindow(
            *(first.time, end, last.clock, first.number, last.number, logits, probs, smooth),
            self.predictor.ranked(smooth, self.settings.top),
            *(luma, latency, self.queue.dropped, self.skipped, choices),
        )
        self.windows, self._last = self.windows + 1, window
        self.latencies.append(latency)
        for listener in self.listeners:
            listener.window(window)
        self._tell_events(self.hysteresis.update(window.end, smooth.tolist(), clock=window.clock))

    def _leave_all(self) -> None:
        """What is in ends, and nothing of it counts for what comes next."""
        last, self._last = self._last, None
        self.smoother.reset()
        if last is not None:
            self._tell_events(self.hysteresis.close(last.end, last.smooth.tolist(), clock=last.clock))

    def _tell_events(self, events: Sequence[ActionEvent]) -> None:
        for event in events:
            for listener in self.listeners:
                listener.event(event)
