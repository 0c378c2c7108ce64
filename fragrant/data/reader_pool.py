"""Processes that read the items of a dataset ahead, and hand them over in order, batch by batch.

Each reader has one socket of its own to the main process and shares nothing with the others, no lock and no queue: one
that is killed or stopped can hold up nobody else. What the main process waits for is always limited in time.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import connection, reduction, util
from typing import Any

from torch.utils.data import Dataset

from fragrant.data.reading_process import STILL_READING, WITH_MEMORY, Failure, serve, signal_numbers
from fragrant.data.travel import unpack
from fragrant.distributed.signals import heard
from fragrant.errors import RunStopped

AHEAD = 2  # batches that each reader makes before they are asked for
SLICE = 1.0  # seconds of waiting after which the main process looks around
PATIENCE_AFTER_SIGNAL = 15.0  # seconds that a run which was asked to end still waits for a batch
DEFAULT_TIMEOUT = 300.0  # seconds

_links: "weakref.WeakSet[connection.Connection]" = weakref.WeakSet()  # this process's ends
_pools: "weakref.WeakSet[ReaderPool]" = weakref.WeakSet()


def _forget_others() -> None:
    """In a forked process: with a copy of this end open, a reader would not see that the main process has closed it."""
    for link in list(_links):
        with contextlib.suppress(OSError):
            link.close()
    for pool in list(_pools):
        pool.disown()
    _links.clear()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_others)


class _Reader:
    """A reading process as the main process sees it."""

    def __init__(self, number: int, dataset: Dataset, collate: Callable):
        context = multiprocessing.get_context()
        self.link, there = context.Pipe(duplex=True)
        _links.add(self.link)
        self.asked: deque[tuple[int, Sequence]] = deque()  # (serial, keys) of the batches that it owes
        self.announced: bytes | None = None  # pickle of a batch whose memory is yet to arrive
        self.process = context.Process(target=serve, args=(number, there, dataset, collate), daemon=True)
        with _signals_blocked():  # until the reader ignores them
            self.process.start()
        there.close()

    def ask(self, serial: int, keys: Sequence) -> None:
        self.asked.append((serial, keys))
        with contextlib.suppress(OSError):  # dead: found when its answer is waited for
            self.link.send(keys)

    def receive(self) -> tuple[int, Any] | None:
        """What is there to be read: (serial, batch), or None when that was not yet a batch.

        Raises:
            EOFError, OSError: the process is gone.
        """
        if self.announced is not None:
            pickled, self.announced = self.announced, None
            return self._owed(unpack(pickled, reduction.recv_handle(self.link)))
        message = self.link.recv_bytes()
        kind, rest = message[:1], message[1:]
        if kind == STILL_READING:
            return None
        if kind == WITH_MEMORY:
            self.announced = rest
            return None
        return self._owed(unpack(rest, None))

    def _owed(self, batch: Any) -> tuple[int, Any]:
        serial, keys = self.asked.popleft()
        return serial, batch._replace(keys=keys[batch.done : batch.done + 1]) if isinstance(batch, Failure) else batch


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal_numbers())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ReaderPool:
    """Reads in ``num_workers`` processes, which start with the first batch and live until ``close``.

    Args:
        collate: items of a batch -> the batch; its CPU tensors travel without a copy.
        timeout: seconds without a sign of a reader whose batch is waited for, after which the run ends. A sign is every
            item that took longer than a second.
        name: key of an item -> what to call it in messages.
    """

    def __init__(
        self,
        dataset: Dataset,
        collate: Callable[[list], Any],
        *,
        num_workers: int,
        timeout: float = DEFAULT_TIMEOUT,
        name: Callable[[Any], str] = str,
    ):
        self.dataset, self.collate, self.num_workers = dataset, collate, num_workers
        self.timeout, self.name = timeout, name
        self._readers: list[_Reader] = []
        self._serial = 0
        _pools.add(self)
        self._finalizer = weakref.finalize(self, _end, self._readers)

    def close(self) -> None:
        """Ends the processes; the next iteration starts new ones."""
        _end(self._readers)

    def disown(self) -> None:
        """The processes are those of another process, which has forked this one."""
        self._finalizer.detach()
        self._readers.clear()

    def batches(
        self, keys_of_batches: Iterable[Sequence], abandoned: Callable[[], bool] = lambda: False
    ) -> Iterator[Any]:
        """The batches in order. Iterating anew before the end forgets what was read ahead.

        Args:
            abandoned: asked while waiting; True = nobody wants them any more.

        Raises:
            RunStopped: a reader was killed, is stopped or hangs, or cannot be started; what it raised itself, where
                that is a RunStopped, else with its text.
            UserError: a reader raised it.
        """
        self.start()
        to_come = iter(keys_of_batches)
        order: deque[int] = deque()
        ready: dict[int, Any] = {}
        self._ask(to_come, order)
        while order:
            _look_after_all()
            waited = _Wait()
            while order[0] not in ready:
                if abandoned():
                    return
                self._receive(ready, order, waited)
            batch = ready.pop(order.popleft())
            if isinstance(batch, Failure):
                batch.be_raised(self.name)
            self._ask(to_come, order)
            yield batch

    def start(self) -> None:
        """The processes; does nothing where they run.

        Raises:
            RunStopped: the system does not let them start.
        """
        if self._readers:
            return
        try:
            for number in range(self.num_workers):
                self._readers.append(_Reader(number, self.dataset, self.collate))
        except OSError as error:
            self.close()
            raise RunStopped(
                f"{self.num_workers} reading processes cannot be started: {error.strerror or error}; fewer "
                "DATA_LOADER.NUM_WORKERS (0: none), or more processes, memory and open files for this user (ulimit)"
            ) from error

    def _ask(self, to_come: Iterator[Sequence], order: deque[int]) -> None:
        """Asks for as many batches as are made ahead."""
        while len(order) < AHEAD * self.num_workers and (keys := next(to_come, None)) is not None:
            self._serial += 1
            order.append(self._serial)
            min(self._readers, key=lambda reader: len(reader.asked)).ask(self._serial, keys)

    def _receive(self, ready: dict[int, Any], order: deque[int], waited: "_Wait") -> None:
        """Takes what has come; raises when the reader of the next batch gives no sign for too long."""
        links = {reader.link: reader for reader in self._readers if reader.asked}
        owes = next(reader for reader in self._readers if any(serial == order[0] for serial, _ in reader.asked))
        for link in connection.wait(list(links), SLICE):
            reader = links[link]  # type: ignore[index]
            if reader is owes:
                waited.begin()
            try:
                received = reader.receive()
            except (EOFError, OSError) as error:
                raise self._fallen(reader) from error
            if received and received[0] in order:  # else it is of an iteration that was left early
                ready[received[0]] = received[1]
        patience = min(self.timeout, PATIENCE_AFTER_SIGNAL) if heard() else self.timeout
        if order[0] not in ready and waited.seconds() > patience:
            raise self._silent(owes, patience)

    def look_after(self) -> None:
        """Checks that every reading process is alive.

        Raises:
            RunStopped: one of the processes is gone, though it may have had nothing to do.
        """
        for reader in self._readers:
            if not reader.process.is_alive():
                raise self._fallen(reader)

    def _fallen(self, reader: _Reader) -> RunStopped:
        reader.process.join(5)
        code = reader.process.exitcode
        how = "has closed its connection" if code is None else f"ended by itself with exit code {code}"
        if code is not None and code < 0:
            how = f"was ended by {_signal_name(-code)}"
        helps = "its memory may have run out"
        if code == -getattr(signal, "SIGKILL", 9):
            helps = "the system does that where memory runs out: fewer DATA_LOADER.NUM_WORKERS or more memory"
        elif code is not None and -code in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
            helps = "a library crashed, perhaps over that video: look at it, or take it out of the list"
        return RunStopped(f"a reading process (pid {reader.process.pid}) {how}{self._at(reader)}; {helps}")

    def _silent(self, reader: _Reader, patience: float) -> RunStopped:
        pid = reader.process.pid
        what = "is stopped (SIGSTOP)" if _is_stopped(pid) else "hangs, perhaps over a file that does not answer"
        why = f"after {heard()} had asked the run to end" if heard() else "DATA_LOADER.TIMEOUT"
        return RunStopped(
            f"a reading process (pid {pid}) {what}: no sign of it for {patience:g} s ({why}){self._at(reader)}"
        )

    def _at(self, reader: _Reader) -> str:
        """What it had been asked to read."""
        if not reader.asked:
            return ""
        names = [self.name(key) for key in reader.asked[0][1]]
        return f", while it read {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


class _Wait:
    """How long one waits: time in which this process was itself stopped (Ctrl-Z, a sleeping machine) does not
    count."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.total, self.last = 0.0, time.monotonic()

    def seconds(self) -> float:
        now = time.monotonic()
        self.total += min(now - self.last, 2 * SLICE)
        self.last = now
        return self.total


def _look_after_all() -> None:
    for pool in list(_pools):
        pool.look_after()


def _end(readers: list[_Reader], grace: float = 2.0) -> None:
    """Closes the links, which ends the processes; kills those that do not notice."""
    for reader in readers:
        with contextlib.suppress(OSError):
            reader.link.close()
    deadline = time.monotonic() + grace
    for reader in readers:
        if not reader.asked:  # it waits for work, and ends at once
            reader.process.join(max(0.0, deadline - time.monotonic()))
        if reader.process.is_alive():
            reader.process.kill()
        reader.process.join(5)
    readers.clear()


def end_all_readers() -> None:
    for pool in list(_pools):
        pool.close()


util.Finalize(None, end_all_readers, exitpriority=100)  # before multiprocessing waits for them


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _is_stopped(pid: int | None) -> bool:
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] in ("T", "t")
    return False


def read_in_order(
    dataset: Dataset, keys: Sequence, *, num_workers: int, name: Callable[[Any], str] = str
) -> Iterator[Any]:
    """``dataset[key]`` of every key, one by one, read ahead by processes that live as long as the iteration."""
    num_workers = min(num_workers, len(keys))
    if not num_workers:
        yield from (dataset[key] for key in keys)
        return
    pool = ReaderPool(dataset, _only, num_workers=num_workers, name=name)
    try:
        yield from pool.batches([[key] for key in keys])
    finally:
        pool.close()


def _only(items: list) -> Any:
    return items[0]
