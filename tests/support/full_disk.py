"""A disk that is full whenever a test says so: every write of bytes to its files fails, or takes a part only."""

import builtins
import contextlib
import errno
import io
import os
from pathlib import Path
from unittest import mock


class FullDisk:
    """``with FullDisk(folder) as disk``: ``disk.full = True`` fills it, ``room`` bytes are still taken."""

    def __init__(self, folder: Path, *, number: int = errno.ENOSPC):
        self.folder, self.number = os.path.abspath(folder), number
        self.full, self.room, self.refused = False, 0, 0
        self._open = builtins.open

    def _holds(self, file) -> bool:
        return not isinstance(file, int) and os.path.abspath(os.fspath(file)).startswith(self.folder)

    def _opened(self, file, mode="r", *more, **options):
        opened = self._open(file, mode, *more, **options)
        if not self._holds(file) or set(mode).isdisjoint("wax+"):
            return opened
        opened.close()
        raw = _Raw(self, file, mode.replace("b", "").replace("t", ""))
        if "b" in mode:
            return raw if options.get("buffering", *more[:1]) == 0 else io.BufferedWriter(raw)
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding=options.get("encoding"))

    def __enter__(self) -> "FullDisk":
        self._patches = contextlib.ExitStack()
        for module in (builtins, io):
            self._patches.enter_context(mock.patch.object(module, "open", self._opened))
        return self

    def __exit__(self, *exc_info) -> None:
        self._patches.close()


class _Raw(io.FileIO):
    def __init__(self, disk: FullDisk, file, mode: str):
        super().__init__(file, mode.replace("w", "a") if "w" in mode else mode)  # "w" has emptied it already
        self.disk = disk

    def write(self, piece) -> int:
        if not self.disk.full:
            return super().write(piece)
        if self.disk.room:
            taken = min(self.disk.room, len(piece))
            self.disk.room -= taken
            return super().write(memoryview(piece)[:taken])
        self.disk.refused += 1
        raise OSError(self.disk.number, os.strerror(self.disk.number), self.name)
