"""Processes that make or check many videos side by side."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def usable_cores() -> int:
    if multiprocessing.current_process().daemon:  # a daemon may have no children
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Forked workers start at once and need no main module that can be imported; they only read, draw and encode."""
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    return ProcessPoolExecutor(workers, multiprocessing.get_context(method), end_with_parent)
