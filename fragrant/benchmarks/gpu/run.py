"""Runs the rows within the time there is, in a process of their own: a row that crashes, breaks the device or hangs
loses only itself, and the next process goes on behind it."""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import multiprocessing

from fragrant.benchmarks.gpu.kernels import one_line
from fragrant.benchmarks.gpu.record import Record
from fragrant.benchmarks.gpu.rows import Bench, Row, all_rows
from fragrant.benchmarks.gpu.sizes import FULL, Sizes
from fragrant.errors import UserError

DEVICE_BROKEN = 3  # exit code of a process that cannot use its device any more


def wanted(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """Selects the rows whose name holds one of ``only``, and the first row, which the others need; all rows without
    ``only``.

    Raises:
        UserError: one of ``only`` is in no name.
    """
    unknown = [word for word in only if not any(word in row.name for row in rows)]
    if unknown:
        raise UserError(f"--only '{unknown[0]}' is in no row; rows: {', '.join(row.name for row in rows)}")
    return [row for row in rows if row is rows[0] or not only or any(word in row.name for word in only)]


def run_rows(bench: Bench, rows: Sequence[Row], deadline: float, *, say: Callable[[str], None] = print) -> None:
    """Runs every row that is not in the record yet, until ``deadline`` (time.time()).

    Raises:
        SystemExit: the device does not answer any more.
    """
    settled = bench.record.names()
    for row in rows:
        if row.name in settled:
            continue
        left = deadline - time.time()
        if left < row.seconds:
            bench.record.end(row.name, "left out", 0.0, {"error": f"{left:.0f} s left, {row.seconds:.0f} s expected"})
            continue
        bench.record.begin(row.name)
        begin = time.time()
        content: dict[str, object]
        try:
            status, content = "done", {"result": row.run(bench)}
        except Exception as error:  # whatever it is: the other rows go on
            status, content = "failed", {"error": one_line(error)}
        seconds = time.time() - begin
        bench.record.end(row.name, status, seconds, content)
        say(f"{row.name}: {status}, {seconds:.1f} s {content.get('error', '')}")
        _clean_up(bench.device)


def _clean_up(device: torch.device) -> None:
    """Frees the device's memory; ends the process where the device is broken for it."""
    torch._dynamo.reset()
    gc.collect()
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
            torch.cuda.empty_cache()
        except RuntimeError:
            sys.exit(DEVICE_BROKEN)


def _child(
    folder: str, device: str, sizes: Sizes, clips: tuple[str, ...], only: tuple[str, ...], workers: int, deadline: float
) -> None:
    bench = Bench(torch.device(device), sizes, Record(Path(folder)), clips, only, workers)
    run_rows(bench, wanted(all_rows(), only), deadline, say=lambda text: print(text, flush=True))


def run_in_processes(
    folder: Path,
    *,
    device: str,
    minutes: float,
    sizes: Sizes = FULL,
    clips: Sequence[str] = (),
    only: Sequence[str] = (),
    workers: int = 14,
    target: Callable = _child,
) -> Record:
    """Runs all rows in processes of their own; a row that ends its process, or takes longer than its ``longest``, is
    recorded as failed."""
    deadline, longest = time.time() + 60 * minutes, {row.name: row.longest for row in all_rows()}
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(folder)
    record.data |= {"command": "python " + " ".join(sys.argv), "rows": [], "facts": {}, "ceilings": {}, "running": None}
    record.write()
    arguments = (str(folder), device, sizes, tuple(clips), tuple(only), workers, deadline)
    for _ in range(2 * len(longest)):  # a process ends badly once for each row at most
        process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
        process.start()
        cause = _wait(process, record.path, longest, deadline)
        record = Record(folder)
        if process.exitcode == 0:
            break
        if running := record.data["running"]:
            record.end(running["name"], "failed", time.time() - running["since"], {"error": cause})
        elif process.exitcode != DEVICE_BROKEN or time.time() > deadline:
            break  # it did not get as far as a row
    return record


def _wait(process, path: Path, longest: dict[str, float], deadline: float) -> str:
    """Waits until the process has ended, by itself or by force, and returns the reason."""
    while process.is_alive():
        process.join(0.5)
        running = Record(path.parent).data["running"]
        taken = time.time() - running["since"] if running else 0.0
        limit = longest.get(running["name"], 90.0) if running else 90.0
        if process.is_alive() and (taken > limit or time.time() > deadline + 5):
            process.kill()
            process.join()
            return f"ended by force after {taken:.0f} s"
    return f"its process ended with exit code {process.exitcode}"
