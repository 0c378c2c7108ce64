"""The folder of a drawn set: one process at a time makes it, and it holds nothing else."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two starts at once then write the same bytes twice
    fcntl = None  # type: ignore[assignment]  # a module elsewhere


def read_marker(path: Path) -> dict | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def foreign_files(folder: Path, ours: set[str], signs: set[str]) -> list[str]:
    """What is in a folder that a set did not write; hidden files do not count.

    Args:
        ours: names that a set writes.
        signs: those of them that show that a set is there.
    """
    found = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    return sorted(found - ours if found & signs else found)


def some_of(names: list[str]) -> str:
    return ", ".join(names[:3] + ["..."] * (len(names) > 3))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """A context that one process at a time can be in; the lock is released when the process ends, however it ends."""
    with open(path, "a") as lock:
        if fcntl is not None:
            fcntl.lockf(lock, fcntl.LOCK_EX)  # unlike flock, not passed on to the workers
        yield
