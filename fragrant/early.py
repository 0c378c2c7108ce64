"""Signals in the first seconds of a command: imported before everything that takes long, it ends the process in one
line."""

import os
import signal
from types import FrameType
from typing import NoReturn

from fragrant import torchrun

# SLURM sends USR1 before the time is up, a terminal HUP when it is closed, INT for Ctrl-C
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT") if hasattr(signal, name)]
INTERRUPTED = 130  # exit code after Ctrl-C, as a shell counts it; 1 after the others


def last_line(number: int) -> str:
    """What a command says when this signal ends it."""
    by = "interrupted from the keyboard" if number == signal.SIGINT else f"by {signal.Signals(number).name}"
    return f"stopped: {by}; the last checkpoint stays"


def end_process(number: int, frame: FrameType | None = None) -> NoReturn:
    """A handler that ends the process where it is: while a package is imported an exception might end nowhere, since
    what calls it there (a callback, a finaliser, compiled code) may only note it."""
    try:
        os.write(2, f"{last_line(number)}\n".encode())
        torchrun.tell(last_line(number))
    finally:
        os._exit(INTERRUPTED if number == signal.SIGINT else 1)


def importing(frame: FrameType | None) -> bool:
    """Whether the code that a handler has interrupted is part of an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def listen() -> None:
    """From here on these signals end the process in one line; what it was told to ignore (nohup) stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_process)
