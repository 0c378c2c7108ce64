"""Files that appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def written_whole(path: str | Path, *, own_name: str = "", durable: bool = True) -> Iterator[IO[bytes]]:
    """Opens a file to write that becomes ``path`` at the end in one move; after an error, ``path`` is as before.

    Args:
        path: the file; its folder must exist.
        own_name: part of the temporary name where several processes may write the same file at once. Without, the name
            is the same every time: what a kill leaves behind is overwritten by the next write.
        durable: wait until the data is on the disk. A cache, which can be made again, need not.

    Raises:
        OSError: disk full, folder not writable.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{own_name}.tmp" if own_name else f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            if durable:  # the bytes before the name: else a power cut can leave a whole name with half a file
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if not durable:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
