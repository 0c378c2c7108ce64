"""New video files in a folder: each is handed out once, when nobody writes to it any more."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fragrant.data.lists.locations import VIDEO_EXTENSIONS
from fragrant.errors import UserError

SETTLE = 2.0  # seconds in which a file does not change: then it is complete
EVERY = 0.5  # seconds from look to look


class _Seen(NamedTuple):
    size: int
    changed: int  # ns
    since: float  # the clock at which it was seen like this first


class Arrivals:
    """What is new in a folder and below it. Hidden files are left out: many programs write under such a name first.

    Args:
        settle: a file counts as complete after so many seconds without a change.

    Raises:
        UserError: by ``look``: the folder is gone.
    """

    def __init__(self, folder: str | Path, *, settle: float = SETTLE):
        self.folder, self.settle = Path(folder), settle
        self._growing: dict[str, _Seen] = {}
        self._done: dict[str, tuple[int, int] | None] = {path: None for path, *_ in self._files()}
        self.known = len(self._done)  # there from the beginning

    def _files(self) -> Iterator[tuple[str, int, int]]:
        def gone(error: OSError) -> None:
            if Path(error.filename or "") == self.folder:
                raise UserError(f"folder '{self.folder}' cannot be watched: {error.strerror}") from error

        for place, folders, names in os.walk(self.folder, onerror=gone):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.startswith(".") or Path(name).suffix.lower() not in VIDEO_EXTENSIONS:
                    continue
                path = os.path.join(place, name)
                try:
                    found = os.stat(path)
                except OSError:  # gone in between
                    continue
                yield path, found.st_size, found.st_mtime_ns

    def look(self, now: float) -> list[str]:
        """The files that are complete since the last look; ``now`` in seconds of any clock."""
        ready, there = [], set()
        for path, size, changed in self._files():
            there.add(path)
            if path in self._done and self._done[path] in (None, (size, changed)):
                continue
            seen = self._growing.get(path)
            if seen is None or (seen.size, seen.changed) != (size, changed):
                self._growing[path] = _Seen(size, changed, now)
            elif size and now - seen.since >= self.settle:
                ready.append(path)
        for kept in (self._growing, self._done):  # no memory of what is gone
            for path in kept.keys() - there:
                del kept[path]
        return ready

    def done(self, path: str, *, again: bool = False) -> None:
        """It was predicted: it does not come again; or only once it has changed (``again``), where it could not be
        read."""
        seen = self._growing.pop(path, None)
        self._done[path] = (seen.size, seen.changed) if again and seen else None


def arriving(
    arrivals: Arrivals, wait: Callable[[float], bool], *, every: float = EVERY, seconds: float = 0.0
) -> Iterator[str]:
    """Yields files as they become complete, until ``wait`` (seconds) says that all ends, or the time is over (0 =
    never)."""
    end = time.monotonic() + (seconds or float("inf"))
    while time.monotonic() < end:
        for path in arrivals.look(time.monotonic()):
            yield path
            if wait(0):
                return
        if wait(every):
            return
