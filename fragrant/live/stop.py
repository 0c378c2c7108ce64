"""Ctrl-C and the signals that end a process, heeded between two windows: everything that is written is whole."""

import signal
import threading

from fragrant import early
from fragrant.distributed.signals import SIGNALS, EndedBySignal, end_at_once, handled


class Stop:
    """Within ``with Stop() as stop`` the first signal is noted; the second ends the process where it is."""

    def __init__(self):
        self.asked = threading.Event()
        self._number: int | None = None

    def __enter__(self) -> "Stop":
        self._handled = handled(self._hear, [*SIGNALS, signal.SIGINT])
        self._handled.__enter__()
        return self

    def __exit__(self, *exc_info) -> None:
        self._handled.__exit__(None, None, None)

    def _hear(self, number: int, frame) -> None:
        if self._number is not None:
            end_at_once(number, frame)
        if early.importing(frame):  # nothing has begun
            early.end_process(number, frame)
        self._number = number
        self.asked.set()

    def raise_if_heard(self) -> None:
        """Ends as the signal asked for, once everything is written.

        Raises:
            KeyboardInterrupt, EndedBySignal
        """
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._number is not None:
            raise EndedBySignal(self._number)
