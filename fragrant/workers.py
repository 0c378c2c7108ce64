"""Processes that make or check many videos side by side."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from fragrant.plugins import load_plugins

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # of Linux' prctl.h
PROCESS_NAME = "pt_data_worker"  # of reading processes, as ps and top show it: that of PyTorch's own


def usable_cores() -> int:
    if multiprocessing.current_process().daemon:  # a daemon may have no children
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Keeps freed memory with this process, up to 256 MB: the next clip needs it again, and new pages from the system
    cost more than most of what is done with them. For glibc; elsewhere it does nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, size in ((M_MMAP_THRESHOLD, 2**25), (M_TRIM_THRESHOLD, 2**28)):
            mallopt(option, size)


def name_process(name: str) -> None:
    """For ps and top; up to 15 letters, on Linux."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
    if prctl:
        prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def end_with_parent(before: Callable[[], object] = lambda: None) -> None:
    """Watches, in a thread of this process, over the process that has started it: when that is gone, however it ended,
    ``before`` is called and this one ends with exit code 1, whatever it is doing."""
    started_by = os.getppid()
    parent = multiprocessing.parent_process()  # another one, where a server forks the processes

    def watch() -> None:
        while os.getppid() == started_by and (parent is None or parent.is_alive()):
            time.sleep(0.5)
        try:
            before()
        finally:
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()


def told_of_a_killed_parent() -> Callable[[], object] | None:
    """For ``preexec_fn`` of a command: the system sends it SIGTERM when the process that started it is gone, however it
    ended, so that nobody's work goes on unseen. On Linux; elsewhere None."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
    return (lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)) if prctl else None


def ignore_signals(*names: str) -> None:
    """A cluster and a terminal send their signals to every process of a run; the main one decides what follows."""
    for name in names:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def start_worker() -> None:
    """Sets up a worker process: one thread, as more would stand in the way of the other processes; ends it when its
    parent is killed, or it would wait for work for ever."""
    import torch  # imported late: commands take core counts from here before they know whether they need it

    ignore_signals("SIGINT", "SIGUSR1", "SIGHUP")
    # With it a pool ends its workers; a cluster sends it to all of a run, and the main process is to say so first.
    signal.signal(signal.SIGTERM, lambda number, frame: threading.Timer(2.0, os._exit, [1]).start())
    torch.set_num_threads(1)
    load_plugins()  # a forked worker has them already
    end_with_parent()


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Builds a pool of forked workers, which start at once and need no main module that can be imported; they only
    read, draw and encode.

    When the block ends by an error or a signal, they end at once."""
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), start_worker)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def results_of(function: Callable, items: Sequence, *, workers: int, title: str) -> Iterator[tuple]:
    """Yields (item, ``function(item)``) as they get ready, with a progress bar; None in place of a result whose process
    died on the way.

    A process that dies takes no other item with it."""
    with tqdm(total=len(items), desc=title, unit="video", disable=not sys.stderr.isatty()) as bar:
        for item, result in _results(function, list(items), workers):
            bar.update()
            yield item, result


def _results(function: Callable, items: list, workers: int) -> Iterator[tuple]:
    if workers <= 1:
        yield from ((item, function(item)) for item in items)
        return
    while items:
        unfinished = []
        for item, result in _in_pool(function, items, min(workers, len(items))):
            if result is None:
                unfinished.append(item)
            else:
                yield item, result
        # One of those in work ended its process, and with it the pool: each of them gets a process of its own.
        for item in unfinished[: 2 * workers + 1]:
            yield from _in_pool(function, [item], 1)
        items = unfinished[2 * workers + 1 :]


def _in_pool(function: Callable, items: list, workers: int) -> Iterator[tuple]:
    """Runs the items in a pool of processes; yields (item, result), and None as the result, in the order given, of
    those not finished when a process died."""
    with worker_pool(workers) as pool:
        futures: dict[Future, object] = {pool.submit(function, item): item for item in items}
        broken = False
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                broken = True
        if broken:
            yield from (
                (item, None) for future, item in futures.items() if isinstance(future.exception(), BrokenProcessPool)
            )
