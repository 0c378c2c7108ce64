"""A tracker behind a thread of its own: the run never waits for a service, and never ends because of one."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from fragrant.trackers.tracker import Tracker

MOST_WAITING = 10_000  # entries; what comes beyond is lost, and counted
PATIENCE = 30.0  # seconds that the end of a run waits for what is still to be sent
PAUSE = 60.0  # seconds between two tries to begin


class Quiet:
    """The methods of a ``Tracker``, which return at once and raise nothing.

    The first failure is one warning; the calls after it are tried all the same, and the end says how many were lost.

    Args:
        name: of the service.
        begin: opens its run; called in the thread, again after a pause where it failed.
        opened: told the tracker that has begun, in the thread.
        say, warn: lines for people.
        patience: seconds that ``close`` waits at most.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[], Tracker],
        *,
        opened: Callable[[Tracker], object],
        say: Callable[[str], object],
        warn: Callable[[str], object],
        patience: float = PATIENCE,
        pause: float = PAUSE,
    ):
        self.name, self._begin, self._opened, self._say, self._warn = name, begin, opened, say, warn
        self._patience, self._pause = patience, pause
        self._waiting: queue.Queue[tuple[str, tuple, dict] | None] = queue.Queue(MOST_WAITING)
        self._lost, self._warned = 0, False
        self._tracker: Tracker | None = None
        self._next_try = 0.0
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._put("scalars", dict(values), step)

    def result(self, values: Mapping[str, object]) -> None:
        self._put("result", dict(values))

    def close(self, *, failed: bool = False) -> None:
        """Waits until all is sent, but not for ever."""
        self._put("close", failed=failed)
        try:
            self._waiting.put(None, timeout=self._patience)
            self._thread.join(self._patience)
        except queue.Full:
            pass
        unsent = self._lost + (self._waiting.qsize() if self._thread.is_alive() else 0)
        if unsent:
            self._say(f"{self.name}: {unsent} entries of this run did not get through; its own files have them all")

    def _put(self, method: str, *values: Any, **named: Any) -> None:
        try:
            self._waiting.put_nowait((method, values, named))
        except queue.Full:
            self._lost += 1

    # ------------------------------------------------------------------------------------------------- in the thread
    def _work(self) -> None:
        self._start()
        while (entry := self._waiting.get()) is not None:
            method, values, named = entry
            if self._tracker is None and time.monotonic() >= self._next_try:
                self._start()
            if self._tracker is None:
                self._lost += method != "close"
                continue
            try:
                getattr(self._tracker, method)(*values, **named)
            except Exception as error:  # whatever a foreign package raises
                self._lost += 1
                self._fail(error)

    def _start(self) -> None:
        try:
            self._tracker = self._begin()
            self._opened(self._tracker)
        except Exception as error:
            self._next_try = time.monotonic() + self._pause
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            words = " ".join(str(error).split())[:300]
            self._warn(f"{self.name}: {type(error).__name__}: {words}; the run goes on without it where it has to")
