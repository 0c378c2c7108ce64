"""What a reading process does: it makes the batches that the main process asks for, and tells what went wrong."""

import contextlib
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection, reduction
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch.utils.data import Dataset

from fragrant.data.travel import pack, unpack
from fragrant.errors import RunStopped, UserError
from fragrant.plugins import load_plugins
from fragrant.workers import PROCESS_NAME, end_with_parent, ignore_signals, keep_freed_memory, name_process

SIGN_EVERY = 1.0  # seconds: an item that took longer gives a sign of life
SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")  # what follows from these, the main process decides

STILL_READING, BATCH, WITH_MEMORY = b"s", b"b", b"m"  # what a message of a reader begins with


class ReaderError(Exception):
    """An error in a reading process, as the text that it had there: the cause of the one that is raised here."""


class Failure(NamedTuple):
    """What comes in place of a batch."""

    known: Exception | None  # the error itself, where it speaks to the user
    line: str
    text: str  # with the traceback
    done: int  # items of the batch before it
    keys: Sequence = ()  # of the item that it happened at; none = between all of them

    def be_raised(self, name: Callable[[Any], str]) -> NoReturn:
        at = "".join(f", while it read {name(key)}" for key in self.keys)
        error = self.known or RunStopped(f"an error in a reading process{at}: {self.line}; --debug shows the traceback")
        raise error from ReaderError(self.text)


def serve(number: int, link: connection.Connection, dataset: Dataset, collate: Callable) -> None:
    """Answers the main process until it closes the link, or is gone."""
    _prepare(number)
    with contextlib.suppress(EOFError, OSError):  # the main process is gone, or has closed the link
        while True:
            keys = link.recv()
            message, memory = _answer(link, dataset, collate, keys)
            link.send_bytes(message)
            if memory is not None:
                try:
                    reduction.send_handle(link, memory, None)
                finally:
                    os.close(memory)


def _prepare(number: int) -> None:
    ignore_signals(*SIGNALS)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal_numbers())
    end_with_parent()
    name_process(PROCESS_NAME)
    torch.set_num_threads(1)
    random.seed(number)  # for plug-ins: nothing here draws from these
    np.random.seed(number)
    torch.manual_seed(number)
    keep_freed_memory()


def _answer(link: connection.Connection, dataset, collate: Callable, keys: Any) -> tuple[bytes, int | None]:
    """The message for one batch, and the memory that goes with it."""
    told = time.monotonic()
    items = []
    try:
        load_plugins()  # a forked reader has them already
        for key in keys:
            items.append(dataset[key])
            if time.monotonic() - told >= SIGN_EVERY:
                link.send_bytes(STILL_READING)
                told = time.monotonic()
        pickled, memory = pack(collate(items))
    except BaseException as error:  # also sys.exit of a plug-in: else the process would end without a word
        pickled, memory = pack(_failure(error, len(items)))
    return (BATCH if memory is None else WITH_MEMORY) + pickled, memory


def _failure(error: BaseException, done: int) -> Failure:
    line, text = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", traceback.format_exc()
    known = error if isinstance(error, UserError | RunStopped) else None
    try:
        unpack(*pack(known))
    except Exception:  # of a plug-in, with arguments of its own
        known = None
    return Failure(known, line, text, done)


def signal_numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
