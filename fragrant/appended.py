"""Files that grow line by line while a run works: what finds no room waits until there is some."""

import contextlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from fragrant.files import refuse_odd

MOST_WAITING = 4 << 20  # bytes that wait in memory; beyond, the oldest are given up


class Appended:
    """A file that is appended to, each piece whole or not at all; its troubles never stop the caller.

    Args:
        path: of the file, made in a folder that is there.
        tell: is given one line when writing fails, and one when it works again.

    Raises:
        OSError: it cannot be opened, or is no file.
    """

    def __init__(self, path: str | Path, *, tell: Callable[[str], object] = lambda line: None):
        self.path, self.tell = Path(path), tell
        self._waiting: deque[bytes] = deque()
        self._bytes = self._given_up = 0
        self._begun = False  # the first piece that waits is the rest of one
        self._failing = self._telling = False
        self._file: IO[bytes] | None = self._opened()

    def _opened(self) -> IO[bytes]:
        if os.path.lexists(self.path) and self.path.exists():
            refuse_odd(self.path)
        return open(self.path, "ab", buffering=0)

    def write(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._bytes += len(piece)
        while self._bytes > MOST_WAITING and len(self._waiting) > 1 + self._begun:
            self._bytes -= len(self._waiting[self._begun])
            del self._waiting[self._begun]
            self._given_up += 1
        try:
            self._flush()
        except OSError as error:
            self._fail(error)
            return
        if self._failing:
            self._failing = False
            lost = f"; {self._given_up} lines before were given up" if self._given_up else ""
            self._given_up = 0
            self._say(f"'{self.path}' is written again{lost}")

    def _flush(self) -> None:
        if self._file is None:  # some errors stay with an open file: after one it is opened anew
            self._file = self._opened()
        while self._waiting:
            piece, done = self._waiting[0], 0
            try:
                while done < len(piece):
                    done += self._file.write(piece[done:]) or 0
            except OSError:
                if done and not _taken_back(self._file, done):
                    self._waiting[0], self._begun = piece[done:], True
                    self._bytes -= done
                raise
            self._waiting.popleft()
            self._bytes -= len(piece)
            self._begun = False

    def _fail(self, error: OSError) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
        if not self._failing:
            self._failing = True
            reason = error.strerror or error
            self._say(f"'{self.path}' cannot be written: {reason}; the run goes on, and writes it when it can")

    def _say(self, line: str) -> None:
        """Not while it is being said already: the line may come back here to be written."""
        if not self._telling:
            self._telling = True
            try:
                self.tell(line)
            finally:
                self._telling = False

    def close(self) -> None:
        """Tries once more to write what waits, and says so where it cannot."""
        try:
            if self._waiting or self._file is not None:
                self._flush()
            if self._file is not None:
                self._file.close()
        except OSError as error:
            lines = len(self._waiting) + self._given_up
            self._say(f"'{self.path}': {lines} lines could not be written: {error.strerror or error}")
        self._file = None


def _taken_back(file: IO[bytes], count: int) -> bool:
    """Whether the last bytes of the file could be cut off again: a full disk allows that, some file systems do not."""
    try:
        os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size - count)
    except OSError:
        return False
    return True
