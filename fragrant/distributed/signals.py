"""Signals that ask a run to end: heard at once, heeded by all ranks alike between two steps."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence

from fragrant.distributed import any_rank, gather_objects

# SLURM sends USR1 before the time is up
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class Interrupted(Exception):
    """The run was asked to end, and what it has done is saved."""


class StopRequest:
    """A request to end the run: within ``with StopRequest() as stop`` the signals no longer kill the process, they are
    noted."""

    def __init__(self):
        self.heard = ""  # the name of a signal that came to this process

    def __enter__(self) -> "StopRequest":
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(self, *exc_info) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame) -> None:
        self.heard = signal.Signals(number).name

    def agreed(self) -> str:
        """A signal that came to any rank, "" if none did: all ranks ask at the same point and get the same answer."""
        if not any_rank(bool(self.heard)):
            return ""
        return next(filter(None, gather_objects(self.heard)))

    def watch(self, batches: Iterator) -> Iterator:
        """The batches of an evaluation, which ends early and on all ranks when a signal comes.

        Raises:
            Interrupted: after the last batch that was still handed out.
        """
        for batch in batches:
            yield batch
            if self.heard:
                break
        if heard := self.agreed():
            raise Interrupted(f"stopped by {heard} while evaluating")


@contextlib.contextmanager
def forwarded(pids: Sequence[int]) -> Iterator[None]:
    """Hands the signals on to the processes that do the work."""

    def hand_on(number: int, frame) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    before = {number: signal.signal(number, hand_on) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def requeue(environ: Mapping[str, str]) -> str:
    """Puts this SLURM job back into the queue; says what happened. A job that someone has cancelled stays cancelled."""
    job = environ.get("SLURM_JOB_ID")
    if not job:
        return "TRAIN.REQUEUE: this is no SLURM job, start the same command again"
    try:
        state = _told(["squeue", "--noheader", "--jobs", job, "--states", "all", "--format", "%T"]).split()
        if state and state[0] not in ("RUNNING", "PREEMPTED"):
            return f"TRAIN.REQUEUE: job {job} is {state[0]}, it is not put back into the queue"
        _told(["scontrol", "requeue", job])
    except (OSError, subprocess.SubprocessError) as error:
        return f"TRAIN.REQUEUE: job {job} could not be requeued: {(getattr(error, 'stderr', '') or str(error)).strip()}"
    return f"TRAIN.REQUEUE: job {job} is back in the queue"


def _told(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
