"""Times a function on a device: warmed up, between two events, the median of rounds."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch


class Timed(NamedTuple):
    """Seconds of one call: the median, the fastest, the slowest, and the number of rounds."""

    median: float
    low: float
    high: float
    rounds: int


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(
    function: Callable[[], object],
    device: torch.device,
    *,
    rounds: int = 20,
    seconds: float = 2.0,
    warmup: int = 3,
    span: float = 0.0,
) -> Timed:
    """Times ``function`` until ``rounds`` are counted or ``seconds`` are spent, at least three rounds.

    Args:
        warmup: number of calls before the counted ones: compilation, search for algorithms.
        span: least seconds of a round, filled by several calls: for functions that are short against the distance of
            two events.
    """
    for _ in range(warmup):
        function()
    synchronize(device)
    calls = 1 if span == 0 else max(1, min(100, round(span / max(_round(function, device, 1), 1e-6))))
    found: list[float] = []
    begin = time.perf_counter()
    while len(found) < rounds and (len(found) < 3 or time.perf_counter() - begin < seconds):
        found.append(_round(function, device, calls))
    return Timed(statistics.median(found), min(found), max(found), len(found))


def _round(function: Callable[[], object], device: torch.device, calls: int) -> float:
    """Times one round and returns the seconds of one call."""
    if device.type != "cuda":
        begin = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - begin) / calls
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    first.record()
    for _ in range(calls):
        function()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / 1e3 / calls
