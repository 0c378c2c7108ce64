"""Signals that ask a run to end: heard at once, heeded by all ranks alike between two steps."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, NoReturn

from fragrant import early

KEYBOARD = "Ctrl-C"  # what SIGINT is called in messages
SAME_PRESS = 0.5  # seconds: torchrun sends its processes a second SIGINT after that of the terminal
SIGNALS = [number for number in early.SIGNALS if number != signal.SIGINT]  # that one is Python's KeyboardInterrupt

_listening: list["StopRequest"] = []  # those within their ``with``


class Interrupted(Exception):
    """The run was asked to end, and what it has trained is saved.

    Attributes:
        by: the name of the signal, KEYBOARD for Ctrl-C.
        saved: a checkpoint was written for it.
    """

    def __init__(self, text: str, by: str = "", *, saved: bool = False):
        super().__init__(text)
        self.by, self.saved = by, saved


class EndedBySignal(BaseException):
    """A signal came where there is nothing to save: like KeyboardInterrupt, no error that anything handles."""

    def __init__(self, number: int):
        super().__init__(f"by {signal.Signals(number).name}")
        self.number = number


@contextlib.contextmanager
def handled(handler: Callable, numbers: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Within it these signals call the handler, in the main thread; what the process was told to ignore (nohup) stays
    ignored."""
    before: dict = {}
    if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
        for number in numbers:
            decided = number == signal.SIGINT and follows_parent()
            if signal.getsignal(number) is not signal.SIG_IGN and not decided:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_at_once(number: int, frame) -> NoReturn:
    """A handler. A second signal ends the process whatever it is doing then, and so does the first within an import.

    Raises:
        EndedBySignal
        KeyboardInterrupt: for SIGINT.
    """
    if early.importing(frame):
        early.end_process(number)
    if number == signal.SIGINT:
        signal.signal(number, signal.default_int_handler)
        raise KeyboardInterrupt
    for other in SIGNALS:
        if signal.getsignal(other) is not signal.SIG_IGN:
            signal.signal(other, signal.SIG_DFL)
    raise EndedBySignal(number)


def heard() -> str:
    """The name of a signal that a StopRequest has noted and that is yet to be heeded, else ""."""
    return next((request.heard for request in _listening if request.heard), "")


class StopRequest:
    """A request to end the run: within ``with StopRequest() as stop`` the signals no longer kill the process, they are
    noted."""

    def __init__(self):
        self.heard = ""  # the name of a signal that came to this process
        self._at_once = False
        self._pressed = float("-inf")  # when Ctrl-C was heard first, s
        self.waits_for_keyboard = False

    def __enter__(self) -> "StopRequest":
        self._handled = handled(self._hear)
        self._handled.__enter__()
        _listening.append(self)
        return self

    def __exit__(self, *exc_info) -> None:
        _listening.remove(self)
        self._handled.__exit__(None, None, None)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it a signal ends this process at once: where there is no step to finish and nothing to save.

        Raises:
            EndedBySignal
        """
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _hear(self, number: int, frame) -> None:
        if self._at_once:
            end_at_once(number, frame)
        self.heard = signal.Signals(number).name

    @contextlib.contextmanager
    def from_keyboard(self) -> Iterator[None]:
        """Within it Ctrl-C is noted, too: a step is at work whose end can be saved. A second one ends this process at
        once.

        Raises:
            KeyboardInterrupt
        """
        self.waits_for_keyboard = True
        try:
            with handled(self._hear_keyboard, [signal.SIGINT]):
                yield
        finally:
            self.waits_for_keyboard = False

    def note_keyboard(self, *, speak: bool) -> None:
        if not self.heard and speak:
            say_it_stops()
        self.heard = self.heard or KEYBOARD

    def _hear_keyboard(self, number: int, frame) -> None:
        now = time.monotonic()
        if self.heard and now - self._pressed > SAME_PRESS:
            end_at_once(number, frame)
        if not self.heard:
            self._pressed = now
        self.note_keyboard(speak=True)

    def agreed(self) -> str:
        """A signal that came to any rank, "" if none did: all ranks ask at the same point and get the same answer."""
        from fragrant.distributed.communication import any_rank, gather_objects  # imported late: they need torch

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
            raise Interrupted(f"stopped by {heard} while evaluating", heard)


def say_it_stops() -> None:
    """Answers the keyboard at once; written past Python's buffers, which the handler may have interrupted.

    On a terminal it takes the place of the progress bars, which are then drawn below it."""
    line = "Ctrl-C: finishing this step and saving; once more ends at once, without saving\n"
    with contextlib.suppress(OSError):
        os.write(2, f"\r\x1b[J{line}".encode() if sys.stderr.isatty() else line.encode())


# ------------------------------------------------------------------------------------------------ processes of a parent
class _Following(NamedTuple):
    """Of a process that follows its parent."""

    parent: int
    speaks: bool


_following: list[_Following] = []  # none in a process that nobody has started for a part of a run


def follow_parent(*, speak: bool) -> None:
    """For a process that another one has started for a part of the run. The terminal sends Ctrl-C to both: the parent
    answers, hands it on, and sees to the end; this one finishes its step where it trains, and ends without a word where
    it does not."""
    _following[:] = [_Following(os.getppid(), speak)]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # else the parent was told to ignore it, too
        signal.signal(signal.SIGINT, _heard_beside_parent)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def follows_parent() -> bool:
    return bool(_following)


def _heard_beside_parent(number: int, frame) -> None:
    if os.getppid() != _following[0].parent:  # torch asks for SIGINT at its death, which ``end_with_parent`` tells
        return
    requests = [request for request in _listening if request.waits_for_keyboard]
    for request in requests:
        request.note_keyboard(speak=_following[0].speaks)
    if not requests:
        os._exit(early.INTERRUPTED)


@contextlib.contextmanager
def forwarded() -> Iterator[Callable[[Sequence[int]], None]]:
    """Hands the signals on to the processes that do the work. Yields what is to be told their ids: signals that come
    before, while they are started, wait for it. A second Ctrl-C is not handed on.

    Raises:
        KeyboardInterrupt: after that, and at the end after the first.
    """
    known: list[int] = []
    waiting: list[int] = []
    pressed: list[float] = []

    def hear_keyboard(number: int, frame) -> None:
        if pressed and time.monotonic() - pressed[0] > SAME_PRESS:
            end_at_once(number, frame)
        if not pressed:
            pressed.append(time.monotonic())
            hand_on(number, frame)

    def hand_on(number: int, frame) -> None:
        if not known:
            waiting.append(number)
        for pid in known:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def are_started(pids: Sequence[int]) -> None:
        known.extend(pids)
        for number in waiting:
            hand_on(number, None)

    with handled(hand_on), handled(hear_keyboard, [signal.SIGINT]):
        yield are_started
    if pressed:
        raise KeyboardInterrupt


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
