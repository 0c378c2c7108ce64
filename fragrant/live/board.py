"""What the page shows of a live run: the last answers and events, the state of the source; a bounded memory."""

import threading
import time
from collections import deque

from fragrant.live.lines import clock_text, news_text
from fragrant.live.messages import ActionEvent, Listener, LiveFrame, LiveWindow, News

WINDOWS_KEPT, EVENTS_KEPT, ARRIVALS_KEPT = 2400, 200, 60
CLASSES_KEPT = 8  # of a window, the most probable ones, besides those that go on


class Board(Listener):
    """Hears a run in its loop; ``snapshot`` may be called by any thread.

    Args:
        source: as it is shown.
        names: of the classes.
    """

    def __init__(self, source: str, names: list[str]):
        self.source, self.names = source, names
        self._lock = threading.Lock()
        self._number = 0  # of the newest entry
        self._windows: deque[dict] = deque(maxlen=WINDOWS_KEPT)
        self._events: deque[dict] = deque(maxlen=EVENTS_KEPT)
        self._active: dict[int, float] = {}
        self._arrivals: deque[float] = deque(maxlen=ARRIVALS_KEPT)
        self._status = {"kind": "starting", "text": "waiting for the first frames"}
        self._facts: dict[str, float] = {}
        self._size = ""

    def frame(self, frame: LiveFrame) -> None:
        with self._lock:
            self._arrivals.append(frame.arrived)
            self._size = f"{frame.image.width} × {frame.image.height}"

    def window(self, window: LiveWindow) -> None:
        with self._lock:
            numbers = {*window.smooth.topk(min(CLASSES_KEPT, len(window.smooth))).indices.tolist(), *self._active}
            probs = [[number, round(float(window.smooth[number]), 3)] for number in sorted(numbers)]
            self._windows.append(self._entry(t=window.end, clock=window.clock, p=probs, luma=round(window.luma, 4)))
            self._facts = {"latency_ms": round(1e3 * window.latency), "dropped": window.dropped, "time": window.end}
            self._facts["skipped"] = window.skipped
            self._status = {"kind": "live", "text": "live"}

    def event(self, event: ActionEvent) -> None:
        with self._lock:
            entry = self._entry(kind=event.kind, t=event.time, clock=clock_text(event.clock), number=event.number)
            self._events.append(entry | {"since": event.since, "prob": round(event.prob, 3)})
            if event.kind == "enter":
                self._active[event.number] = event.time
            else:
                self._active.pop(event.number, None)

    def news(self, news: News) -> None:
        with self._lock:
            self._status = {"kind": "ended" if news.kind == "end" else news.kind, "text": news_text(news)}
            self._arrivals.clear()

    def over(self) -> None:
        """The run has ended, for whatever reason."""
        with self._lock:
            if self._status["kind"] != "ended":
                self._status = {"kind": "ended", "text": "the run has ended"}

    def snapshot(self, since: int = 0) -> dict:
        """What is newer than the entry ``since``, and the state."""
        with self._lock:
            windows = [entry for entry in self._windows if entry["n"] > since]
            events = [entry for entry in self._events if entry["n"] > since]
            used = {number for entry in windows for number, _ in entry["p"]} | {entry["number"] for entry in events}
            first, last = (self._arrivals[0], self._arrivals[-1]) if len(self._arrivals) > 1 else (0.0, 0.0)
            fps = (len(self._arrivals) - 1) / (last - first) if last > first else 0.0
            return {
                "source": self.source,
                "size": self._size,
                "status": dict(self._status),
                "number": self._number,
                "windows": windows,
                "events": events,
                "names": {str(number): self.names[number] for number in sorted(used | self._active.keys())},
                "active": [{"number": number, "since": since} for number, since in self._active.items()],
                "fps": round(fps, 1),
                "now": time.time(),
                **self._facts,
            }

    def _entry(self, **fields) -> dict:
        self._number += 1
        return {"n": self._number, **fields}
