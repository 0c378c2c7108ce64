"""Files: named as people name them, read where they are plain ones, written whole or not at all."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fragrant.errors import UserError

# What a file system says that cannot wait for its disk (VirtualBox shares, older CIFS, some FUSE): nothing is lost.
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_KINDS = (
    (stat.S_ISFIFO, "it is a named pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")


# ---------------------------------------------------------------------------------------------------------------- names
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_address(path: str | os.PathLike) -> bool:
    """Whether it is ``<scheme>://...`` rather than a path of this machine."""
    return bool(_ADDRESS.match(os.fspath(path)))


def whole_path(path: str) -> str:
    """The path from the root of this machine; an address as it is."""
    return path if is_address(path) else os.path.abspath(path)


def expanded(path: str) -> str:
    """``~``, ``~name``, ``$VAR`` and ``${VAR}`` opened, as a shell does where it sees them; what nobody knows stays as
    it is."""
    return os.path.expanduser(os.path.expandvars(path))


def left_over(path: str) -> str:
    """What ``expanded`` could not open in a path, ``"$SCRATCH"`` or ``"~bob"``; "" where nothing is left, or a file of
    that very name is there, or where it is an address, in which $ and ~ may be anything."""
    if is_address(path):
        return ""
    variable = _VARIABLE.search(path)
    user = path.split("/")[0] if path.startswith("~") else ""
    return "" if os.path.lexists(path) else (variable[0] if variable else user)


# -------------------------------------------------------------------------------------------------------------- reading
def _refuse_odd(mode: int, path: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    for is_it, words in _KINDS:
        if is_it(mode):
            raise OSError(errno.EINVAL, f"{words}, not a file", path)


def refuse_odd(path: str | os.PathLike) -> None:
    """Checks that a path is a plain file.

    Raises:
        OSError: nothing is there, or a folder, a named pipe, a socket or a device: opening those may wait for ever.
    """
    try:
        _refuse_odd(os.stat(path).st_mode, os.fspath(path))
    except ValueError as error:  # a NUL byte
        raise OSError(errno.EINVAL, "its name holds a NUL byte", os.fspath(path).replace("\0", "\\0")) from error


def open_plain(path: str | os.PathLike) -> IO[bytes]:
    """A file opened for reading, in bytes.

    Raises:
        OSError: as ``refuse_odd``, or it may not be read.
    """
    refuse_odd(path)
    # Should it have been replaced in the meantime, nothing waits either.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    try:
        _refuse_odd(os.fstat(file.fileno()).st_mode, os.fspath(path))
    except OSError:
        file.close()
        raise
    return file


def read_plain(path: str | os.PathLike) -> bytes:
    """All bytes of a file; errors as ``open_plain``."""
    with open_plain(path) as file:
        return file.read()


# -------------------------------------------------------------------------------------------------------------- writing
def sync(descriptor: int) -> None:
    """Waits until the disk has it, where the file system can do so."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


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
    with _moved(temporary, path), open(temporary, "wb") as file:
        yield file
        file.flush()
        if durable:  # the bytes before the name: else a power cut can leave a whole name with half a file
            sync(file.fileno())
    if durable:
        _sync_folder(path.parent)


@contextlib.contextmanager
def made_whole(path: str | Path, *, own_name: str = "unfinished") -> Iterator[Path]:
    """Yields a name to write to, for what writes by name (FFmpeg, torch.save): with the ending of ``path``, which it
    becomes at the end as with ``written_whole``. Does not wait for the disk.

    Args:
        own_name: part of the temporary name where several processes may write the same file at once.
    """
    path = Path(path)
    temporary = path.with_name(f".{own_name}.{path.name}")
    with _moved(temporary, path):
        yield temporary


@contextlib.contextmanager
def _moved(temporary: Path, path: Path) -> Iterator[None]:
    """Renames a file when all has gone well, else removes it."""
    try:
        yield
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write into a folder that one may not list
        return
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: str | Path, content: str | bytes, *, own_name: str = "") -> None:
    """Writes content at hand as ``written_whole`` does, in a folder that is made where it is missing. Text becomes
    UTF-8; bytes of a name that are none stay as they are.

    Raises:
        OSError: as ``written_whole``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, own_name=own_name) as file:
        file.write(content.encode(errors="surrogateescape") if isinstance(content, str) else content)


def save_file(path: str | Path, content: str | bytes, error: type[UserError] = UserError) -> None:
    """Writes a file that the user asked for, see ``write_whole``.

    Raises:
        UserError, or the class given: it cannot be written, and why.
    """
    with said_once(path, error):
        write_whole(path, content)


@contextlib.contextmanager
def said_once(path: str | Path, error: type[UserError] = UserError) -> Iterator[None]:
    """Turns what the system says about writing ``path`` into one line."""
    try:
        yield
    except OSError as reason:
        raise error(f"'{path}' cannot be written: {reason.strerror or reason}") from reason


def refuse_as_output(path: str | Path) -> None:
    """A place that something will be written to at the end of hours: looked at before.

    Raises:
        UserError: a folder, a named pipe or a device has this name, or its folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and path.exists():
            refuse_odd(path)
        probe = path.with_name(f".{path.name}.{os.getpid()}.try")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {error.strerror or error}") from error
