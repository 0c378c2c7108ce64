"""A terminal for tests: a file that says it is one, and the screen that a person would see on it."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Iterator
from typing import TextIO

MOVES = re.compile(r"\x1b\[(\d*)([A-Za-z])")


class Screen:
    """The lines of a terminal, without end downwards. It knows what tqdm and ``signals.say_it_stops`` write: a new
    line, the way back to its beginning, up, and clearing to the end of the line or the screen."""

    def __init__(self, width: int):
        self.width, self.row, self.column = width, 0, 0
        self.rows: list[str] = [""]
        self.most_bars = 0  # lines that looked like a bar at one time

    def write(self, text: str) -> None:
        at = 0
        while at < len(text):
            if found := MOVES.match(text, at):
                self._move(found[2], int(found[1] or 1))
                at = found.end()
                continue
            self._put(text[at])
            at += 1

    def _move(self, letter: str, number: int) -> None:
        self.most_bars = max(self.most_bars, sum("%|" in row for row in self.rows))
        if letter == "A":
            self.row = max(0, self.row - number)
        elif letter in "JK":
            self.rows[self.row] = self.rows[self.row][: self.column]
            if letter == "J":
                del self.rows[self.row + 1 :]
        elif letter != "m":
            raise AssertionError(f"a terminal was asked for {letter!r}, which this one does not know")

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self.column = 0
            return
        if sign == "\n" or self.column == self.width:
            self.row, self.column = self.row + 1, 0
            self.rows += [""] * (self.row + 1 - len(self.rows))
        if sign != "\n":
            old = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = old[: self.column] + sign + old[self.column + 1 :]
            self.column += 1

    def lines(self) -> list[str]:
        return [row.rstrip() for row in self.rows]


@contextlib.contextmanager
def terminal(width: int = 150) -> Iterator[tuple[TextIO, Screen, list[str]]]:
    """A file that is a terminal, its screen, and the pieces of text as they came; the latter two are complete behind
    the ``with``."""
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    options = termios.tcgetattr(writing)
    options[1] &= ~termios.OPOST  # "\n" stays as it is
    termios.tcsetattr(writing, termios.TCSANOW, options)
    screen, pieces = Screen(width), list[str]()

    def read() -> None:
        with contextlib.suppress(OSError):  # at the end
            while data := os.read(reading, 65536):
                pieces.append(data.decode(errors="replace"))
                screen.write(pieces[-1])

    reader = threading.Thread(target=read)
    reader.start()
    with open(writing, "w", encoding="utf-8") as file:
        yield file, screen, pieces
    reader.join(10)
    os.close(reading)
