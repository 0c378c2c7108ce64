"""One run per folder: a lock that says who has it, and that a killed run does not leave closed."""

import contextlib
import errno
import json
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

from fragrant.errors import UserError
from fragrant.files import open_plain, refuse_odd

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".run.lock"
BEAT = 5.0  # seconds between two signs of life
SILENCE = 20.0  # without a sign of life for so long, a run on another host is dead
OLD = 60.0  # its last sign of life is so old that nobody needs to watch for the next
TEARDOWN = 30.0  # a killed process may keep its files open for so long, on a GPU above all
LEASE = 120.0  # a file server keeps the locks of a client that has crashed for so long (NFSv4: 90 s)
STEP = 0.25  # between two looks

_log = logging.getLogger(__name__)
_open_locks: set[int] = set()  # file descriptors of this process


def _close_in_child() -> None:
    """A forked reading process would keep the lock of a run that was killed."""
    for descriptor in _open_locks:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _open_locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


class Holder(NamedTuple):
    """Who has a lock, as its file says it."""

    host: str
    pid: int
    started: str  # tells processes of one number apart; "" = not known
    time: str
    folder: str = ""  # where the file was written: a copy of the folder holds it, too

    @classmethod
    def this_process(cls, folder: str | Path = "") -> "Holder":
        now, where = time.strftime("%Y-%m-%d %H:%M:%S %z"), os.path.realpath(folder) if folder else ""
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()), now, where)

    @property
    def here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Does it run? To be asked on its own host."""
        if not self.started:
            return _exists(self.pid)
        return _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.time}"


def _started(pid: int) -> str:
    """When the process was started, in a form that no other process of this machine ever has; "" where there is none,
    or only its exit code is left of it, or the system does not tell."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else f"{boot}:{fields[18]}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of somebody else
        return True
    return True


def read_holder(path: str | Path) -> Holder | None:
    """Who is named in a lock file; None where nobody is, or nothing that can be understood."""
    try:
        with open_plain(path) as file:  # opened anew: a file server then tells the latest
            found = json.loads(file.read(4096).decode(errors="replace"))
        holder = Holder(str(found["host"]), int(found["pid"]), str(found["started"]), str(found["time"]))
        return holder._replace(folder=str(found.get("folder", "")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


class RunLock:
    """``lock.take()`` ... ``lock.release()``: the one run that writes into a folder.

    The file is locked as long as the process lives (``flock``, which file servers know, too). Where that says nothing
    (no locks there, or locks that other hosts do not see), the name in the file decides: a process of this host lives
    or not, one of another host touches the file every few seconds as long as it lives.

    Args:
        folder: is there.
        part: of a test in parts, which may write side by side, or of what is done beside the runs of a folder.
    """

    def __init__(self, folder: str | Path, *, part: str = ""):
        self.folder = Path(folder)
        self.path = self.folder / (f".run.{part}.lock" if part else NAME)
        self._descriptor = -1
        self._ended = threading.Event()

    def take(self) -> list[str]:
        """What the user should know about it: an ended run's lock was taken over, there are no locks here.

        Raises:
            UserError: another run has the folder, or it cannot be written.
        """
        began, notes = time.monotonic(), []
        while True:
            descriptor, taken, problem = self._try()
            holder = read_holder(self.path)
            if taken and not self._is_current(descriptor):  # its last owner has just deleted it
                os.close(descriptor)
                continue
            copied = holder is not None and self._is_copied(holder)
            lives = not copied and self._lives(holder, descriptor, has_lock=taken and not problem)
            if taken and not lives:
                break
            os.close(descriptor)
            if lives or time.monotonic() - began > (TEARDOWN if holder is None or holder.here else LEASE):
                raise self._in_use(holder)
            time.sleep(STEP)
        if copied:
            notes.append(f"{self.folder} holds a copy of the lock of {holder}, which is at work elsewhere: taken over")
        elif holder is not None:
            notes.append(f"{self.folder} was that of {holder}, which has ended without a word: taken over")
        if problem:
            notes.append(
                f"{self.folder} is on a file system without locks ({problem}): two runs at once may get past each "
                "other, see that this is the only one"
            )
        self._keep(descriptor)
        return notes

    def _try(self) -> tuple[int, bool, str]:
        """The open file, whether it is ours, and why it cannot be locked where nothing can."""
        try:
            with contextlib.suppress(FileNotFoundError):  # opening a named pipe or a device might wait for ever
                refuse_odd(self.path)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            reason = f"{error.strerror or error} ({self.path.name})"
            raise UserError(f"OUTPUT_DIR '{self.folder}' cannot be written: {reason}") from error
        if fcntl is None:
            return descriptor, True, "this system has none"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES):
                return descriptor, False, ""
            return descriptor, True, error.strerror or str(error)
        return descriptor, True, ""

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except OSError:
            return False

    def _is_copied(self, holder: Holder) -> bool:
        """Is the file a copy, whose original still stands where the run that it names has written it?"""
        original = Path(holder.folder, self.path.name)
        try:
            return bool(holder.folder) and not os.path.samefile(original, self.path) and read_holder(original) == holder
        except (OSError, ValueError):  # nothing is there, or no path at all
            return False

    def _lives(self, holder: Holder | None, descriptor: int, *, has_lock: bool) -> bool:
        """Is the run that the file names at work? Of another host: watches for a sign of life."""
        if holder is None or holder[:3] == Holder.this_process()[:3]:
            return False
        if holder.here:  # all processes of one host see its locks
            return not has_lock and holder.alive
        try:
            last = os.fstat(descriptor).st_mtime
            if has_lock:
                os.utime(self.path)  # the server's clock, not that of this host
                now = os.stat(self.path).st_mtime
                if now - last > OLD:
                    return False
                last = now
        except OSError:
            return False
        _log.warning("%s: waiting up to %g s for a sign of life of %s", self.folder, SILENCE, holder)
        end = time.monotonic() + SILENCE
        while time.monotonic() < end:
            time.sleep(STEP)
            try:
                with open(self.path, "rb") as file:
                    if os.fstat(file.fileno()).st_mtime != last:
                        return True
            except OSError:  # it has just ended
                return False
        return False

    def _in_use(self, holder: Holder | None) -> UserError:
        return UserError(
            f"OUTPUT_DIR '{self.folder}' is in use by {holder or 'another run'} ({self.path.name}); wait until it "
            "has ended, or take another OUTPUT_DIR"
        )

    def _keep(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _open_locks.add(descriptor)
        text = json.dumps(Holder.this_process(self.folder)._asdict()).encode()
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text, 0)
            os.fsync(descriptor)
        self._ended.clear()
        threading.Thread(target=self._beat, args=(self._ended,), name="run lock", daemon=True).start()

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def release(self) -> None:
        """Deletes the file, if this process has it."""
        if self._descriptor not in _open_locks:  # never taken, or in a forked process
            return
        self._ended.set()
        if self._is_current(self._descriptor):
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        _open_locks.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1


def holder_at_work(folder: str | Path) -> Holder | None:
    """The run that has a folder now, for whoever only looks: nothing is locked, waited for or changed.

    One on another host is at work as long as its last sign of life is not old by the clock of this one.
    """
    for path in sorted(Path(folder).glob(".run*.lock")):
        holder = read_holder(path)
        if holder is None or holder.folder and holder.folder != os.path.realpath(folder):  # a copy
            continue
        with contextlib.suppress(OSError):
            if holder.alive if holder.here else time.time() - path.stat().st_mtime < OLD:
                return holder
    return None
