import errno
import os

import pytest
from support.full_disk import FullDisk

from fragrant import appended
from fragrant.appended import Appended

LINES = [b"%03d %s\n" % (number, b"x" * (number % 17)) for number in range(60)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE])
@pytest.mark.parametrize("room", [0, 1, 7, 50])
def test_what_finds_no_room_waits(tmp_path, number, room):
    told: list[str] = []
    with FullDisk(tmp_path, number=number) as disk:
        file = Appended(tmp_path / "log", tell=told.append)
        for at, line in enumerate(LINES):
            disk.full = 10 <= at < 40
            disk.room = room if at == 10 else disk.room
            file.write(line)
            whole = (tmp_path / "log").read_bytes()
            assert whole == b"".join(LINES)[: len(whole)] and (whole.endswith(b"\n") or not whole)  # never half a line
        file.close()
    assert (tmp_path / "log").read_bytes() == b"".join(LINES)
    assert len(told) == 2 and os.strerror(number) in told[0] and "written again" in told[1]


def test_half_a_line_that_stays_is_ended_later(tmp_path, monkeypatch):
    monkeypatch.setattr(appended, "_taken_back", lambda file, count: False)  # a file system that cannot shorten files
    with FullDisk(tmp_path) as disk:
        file = Appended(tmp_path / "log")
        disk.full, disk.room = True, 2
        file.write(b"one\n")
        assert (tmp_path / "log").read_bytes() == b"on"
        disk.full = False
        file.write(b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_memory_is_not_eaten(tmp_path, monkeypatch):
    monkeypatch.setattr(appended, "MOST_WAITING", 100)
    told: list[str] = []
    with FullDisk(tmp_path) as disk:
        file = Appended(tmp_path / "log", tell=told.append)
        disk.full = True
        for line in LINES:
            file.write(line)
        assert sum(map(len, file._waiting)) <= 100
        disk.full = False
        file.write(b"last\n")
    kept = (tmp_path / "log").read_bytes()
    assert (b"".join(LINES) + b"last\n").endswith(kept) and "lines before were given up" in told[-1]


def test_a_disk_that_stays_full_is_said_at_the_end(tmp_path):
    told: list[str] = []
    with FullDisk(tmp_path) as disk:
        file = Appended(tmp_path / "log", tell=told.append)
        disk.full = True
        file.write(b"one\n")
        file.write(b"two\n")
        file.close()
    assert len(told) == 2 and "2 lines could not be written: No space left" in told[1]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/full", path)])
def test_what_is_no_file_is_refused(tmp_path, make):
    make(tmp_path / "log")
    with pytest.raises(OSError):
        Appended(tmp_path / "log")
