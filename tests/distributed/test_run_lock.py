"""One run per folder: who is refused, who may take over, what a killed process leaves."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import threading
import time
from typing import NamedTuple

import pytest

from fragrant.distributed import run_lock
from fragrant.distributed.run_lock import NAME, Holder, RunLock, read_holder
from fragrant.errors import UserError


class Holding(NamedTuple):
    pid: int
    child: int  # that it has forked, 0 for none

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def hold(folder, ready: int, *, fork: bool) -> None:
    """In a process of its own."""
    RunLock(folder).take()
    child = os.fork() if fork else 0
    if not fork or child:
        os.write(ready, f"{child}\n".encode())
    time.sleep(120)


@pytest.fixture
def holding(tmp_path):
    """Another process that has the folder."""
    started: list[int] = []

    def start(*, fork: bool = False) -> Holding:
        said, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                hold(tmp_path, ready, fork=fork)
            finally:
                os._exit(1)
        with open(said) as lines:
            os.close(ready)
            child = int(lines.readline())
        started.extend(filter(None, (pid, child)))
        return Holding(pid, child)

    yield start
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


@pytest.fixture
def quick(monkeypatch):
    for name, seconds in {"SILENCE": 0.4, "TEARDOWN": 0.4, "LEASE": 0.4, "STEP": 0.02, "BEAT": 0.05}.items():
        monkeypatch.setattr(run_lock, name, seconds)


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def leave(folder, /, **changes) -> None:
    """The file of a run that is no more."""
    holder = Holder.this_process()._replace(**{"pid": 2**22 + 1, "started": "a:1", **changes})
    (folder / NAME).write_text(json.dumps(holder._asdict()))


def test_taken_and_released(tmp_path):
    lock = RunLock(tmp_path)
    assert lock.take() == [] and read_holder(tmp_path / NAME).pid == os.getpid()
    lock.release()
    lock.release()
    assert os.listdir(tmp_path) == []


def test_a_second_run_is_refused_at_once(tmp_path, holding):
    process, began = holding(), time.monotonic()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(UserError) as error:
        RunLock(tmp_path).take()
    text = str(error.value)
    assert (
        f"is in use by process {process.pid} on {socket.gethostname()}, since 20" in text
        and "another OUTPUT_DIR" in text
    )
    assert time.monotonic() - began < 5 and (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize("fork", [False, True])
def test_a_killed_run_blocks_nobody(tmp_path, holding, fork):
    """Nor do the reading processes that it leaves behind."""
    process = holding(fork=fork)
    process.kill()
    began, lock = time.monotonic(), RunLock(tmp_path)
    (note,) = lock.take()
    assert f"process {process.pid} on" in note and "taken over" in note and time.monotonic() - began < 5
    lock.release()
    assert os.listdir(tmp_path) == []


def test_a_process_of_the_same_number_is_another(tmp_path, holding, no_locks):
    process = holding()
    leave(tmp_path, pid=process.pid)
    assert any("taken over" in note for note in RunLock(tmp_path).take())


def test_without_locks_the_name_decides(tmp_path, holding, no_locks):
    process = holding()
    with pytest.raises(UserError, match=f"in use by process {process.pid}"):
        RunLock(tmp_path).take()
    process.kill()
    lock = RunLock(tmp_path)
    assert any("file system without locks (No locks available)" in note for note in lock.take())
    lock.release()


@pytest.mark.parametrize("locks", [True, False])
def test_another_host_that_is_silent(tmp_path, quick, locks, request):
    if not locks:
        request.getfixturevalue("no_locks")
    leave(tmp_path, host="elsewhere")
    lock = RunLock(tmp_path)
    assert any("on elsewhere" in note and "taken over" in note for note in lock.take())
    lock.release()


@pytest.mark.parametrize("locks", [True, False])
def test_another_host_that_lives(tmp_path, quick, locks, request):
    """On some file systems a lock is seen on its own host alone."""
    if not locks:
        request.getfixturevalue("no_locks")
    leave(tmp_path, host="elsewhere")
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(0.05):
            os.utime(tmp_path / NAME)

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        with pytest.raises(UserError, match="in use by process .* on elsewhere"):
            RunLock(tmp_path).take()
    finally:
        ended.set()
        thread.join()


def test_a_host_that_died_long_ago_is_not_waited_for(tmp_path):
    leave(tmp_path, host="elsewhere")
    os.utime(tmp_path / NAME, (time.time() - 100,) * 2)
    began, lock = time.monotonic(), RunLock(tmp_path)
    lock.take()
    assert time.monotonic() - began < 5
    lock.release()


def test_it_shows_that_it_lives(tmp_path, quick):
    lock = RunLock(tmp_path)
    lock.take()
    os.utime(tmp_path / NAME, (0, 0))
    deadline = time.monotonic() + 20
    while os.stat(tmp_path / NAME).st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert os.stat(tmp_path / NAME).st_mtime > 0
    lock.release()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"host": 1}', "\0" * 50, "[" * 5000])
def test_a_damaged_file_blocks_nobody(tmp_path, content):
    (tmp_path / NAME).write_text(content)
    lock = RunLock(tmp_path)
    assert lock.take() == []
    lock.release()


@pytest.mark.parametrize("locks", [True, False])
def test_a_copied_folder_is_not_that_of_the_run(tmp_path, holding, locks, request):
    """Also where no lock of the system tells them apart."""
    if not locks:
        request.getfixturevalue("no_locks")
    process = holding()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy2(tmp_path / NAME, copy)
    lock = RunLock(copy)
    notes = lock.take()
    assert any(f"a copy of the lock of process {process.pid}" in note for note in notes)
    assert read_holder(copy / NAME).pid == os.getpid()
    with pytest.raises(UserError, match=f"in use by process {process.pid}"):
        RunLock(tmp_path).take()
    lock.release()


def test_a_copy_of_another_host_is_not_waited_for(tmp_path):
    """The shared folder of both, where its run shows that it lives."""
    copy = tmp_path / "copy"
    copy.mkdir()
    leave(tmp_path, host="elsewhere", folder=os.path.realpath(tmp_path))
    shutil.copy2(tmp_path / NAME, copy)
    began, lock = time.monotonic(), RunLock(copy)
    assert "a copy of the lock" in lock.take()[0] and time.monotonic() - began < 5
    lock.release()


@pytest.mark.parametrize("way", ["link", "mount"])
def test_another_name_of_the_same_folder_is_no_copy(tmp_path, holding, no_locks, way):
    process, other = holding(), tmp_path / "other"
    if way == "link":
        other.symlink_to(tmp_path, target_is_directory=True)
    else:  # as another mount shows it: another folder, the same file
        other.mkdir()
        os.link(tmp_path / NAME, other / NAME)
    with pytest.raises(UserError, match=f"in use by process {process.pid}"):
        RunLock(other).take()


def test_parts_of_a_test_stand_side_by_side(tmp_path):
    locks = [RunLock(tmp_path, part=f"part-{number}-of-2") for number in range(2)]
    assert [lock.take() for lock in locks] == [[], []]
    for lock in locks:
        lock.release()


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="OUTPUT_DIR '.*missing' cannot be written: No such file"):
        RunLock(tmp_path / "missing").take()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    """Who opens a named pipe may wait for ever."""
    make(tmp_path / NAME)
    assert read_holder(tmp_path / NAME) is None
    with pytest.raises(UserError, match=r"cannot be written: .*\(\.run\.lock\)"):
        RunLock(tmp_path).take()
