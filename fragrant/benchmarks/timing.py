"""Measures time and memory of functions side by side: variants take turns, so that a drifting machine does not favour
one."""

import ctypes
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Measured(NamedTuple):
    """A measurement: seconds of each counted round; peak bytes above those held before."""

    seconds: list[float]
    peak_bytes: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def machine(device: torch.device) -> str:
    """Describes the machine that was measured on: GPU or threads, and torch."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return f"{name}; torch {torch.__version__}"


def measure(
    variants: Mapping[str, Callable[[], object]], *, device: torch.device, rounds: int = 5, warmup: int = 1
) -> dict[str, Measured]:
    """Measures all variants, each once per round, in turn; warm-up rounds count only for the peak of memory."""
    peaks: dict[str, int] = {}
    for _ in range(max(warmup, 1)):
        for name, function in variants.items():
            with peak_memory(device) as peak:
                _timed(function, device)
            peaks[name] = max(peaks.get(name, 0), peak())
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, function in variants.items():
            seconds[name].append(_timed(function, device))
    return {name: Measured(seconds[name], peaks[name]) for name in variants}


def _timed(function: Callable[[], object], device: torch.device) -> float:
    _wait_for(device)
    begin = time.perf_counter()
    function()
    _wait_for(device)
    return time.perf_counter() - begin


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yields a function that tells, afterwards, the most bytes that were held on top of those held at the start.

    CUDA: what the allocator handed out. CPU: resident memory of this process, looked at every half millisecond.
    """
    if device.type == "cuda":
        _wait_for(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
        return
    _return_free_memory()
    before = highest = _resident_bytes()
    done = threading.Event()

    def look() -> None:
        nonlocal highest
        while not done.wait(0.0005):
            highest = max(highest, _resident_bytes())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield lambda: max(highest, _resident_bytes()) - before
    finally:
        done.set()
        watcher.join()


def _return_free_memory() -> None:
    """Returns freed blocks to the system, so that the next function's are counted (glibc only)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return pages * 4096
