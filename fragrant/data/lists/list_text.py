"""The text of a list file, or of another small file of a set."""

import os

from fragrant.data.lists.errors import ListError
from fragrant.files import read_plain
from fragrant.remote import RemoteError, local_path

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def list_text(path: str | os.PathLike, what: str = "list file") -> str:
    """All of it, lines ended by ``\\n``. Names are bytes: whatever is no UTF-8 passes through, as in ``os.fsdecode``.

    Raises:
        ListError: there is no such file, it may not be read or fetched, is a folder, a named pipe or a device, or is
            UTF-16.
    """
    try:
        content = read_plain(local_path(path))
    except RemoteError as error:
        raise ListError(f"{what} '{os.fspath(path)}' {error}") from error
    except OSError as error:
        raise ListError(f"{what} '{os.fspath(path)}' cannot be read: {error.strerror or error}") from error
    if content.startswith(_UTF_16):
        raise ListError(f"{what} '{os.fspath(path)}' is UTF-16 text; save it as UTF-8")
    text = content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n")
