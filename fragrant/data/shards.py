"""Shards: many videos in one tar, and beside it an index that says which bytes are which; ``shards/000.tar::a.mp4``
names one.

A tar is what webdataset reads (``key.mp4``, then ``key.json``) and names its content in a comment at its head; the
index repeats that, so that the index of another tar is found out."""

import hashlib
import json
import os
import re
import tarfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from fragrant.errors import UserError
from fragrant.remote import fetched

MARK = ".tar::"
COMMENT = "fragrant shard "
HEAD = 1024  # bytes: the comment's header and text
_IDENTITY = re.compile(rb"\d+ comment=" + COMMENT.encode() + rb"([0-9a-f]{64})\n")
_FORMAT = 1


class ShardError(UserError):
    """A shard that cannot be used; the message names it."""


class Member(NamedTuple):
    """Where a member's bytes lie in its tar, and their CRC-32."""

    start: int
    size: int
    crc: int


def split_member(path: str) -> tuple[str, str | None]:
    """``"a/000.tar::run/x.mp4"`` -> ``("a/000.tar", "run/x.mp4")``; of another path it and None."""
    shard, mark, member = path.partition(MARK)
    return (shard + MARK[:4], member) if mark and member else (path, None)


def index_path(shard: str) -> str:
    """``"a/000.tar"`` -> ``"a/000.index.json"``"""
    return f"{shard.removesuffix('.tar')}.index.json"


def identity_of(members: Mapping[str, Member]) -> str:
    """A SHA-256 of the names, sizes and checksums."""
    lines = "".join(f"{name}\t{member.size}\t{member.crc}\n" for name, member in sorted(members.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


class ShardIndex:
    """The members of a shard, in a few flat arrays: a set has a million, and every reading process its own.

    Attributes:
        num_bytes: of the tar.
        identity: see ``identity_of``.
        plan: what the tar was packed from, for ``pack_set``.
    """

    def __init__(self, members: Mapping[str, Member], *, num_bytes: int, plan: str = ""):
        self.num_bytes, self.plan, self.identity = num_bytes, plan, identity_of(members)
        names = sorted(os.fsencode(name) for name in members)
        self._names = b"".join(names)
        self._ends = np.cumsum([0, *map(len, names)], dtype=np.int64)
        numbers = [members[os.fsdecode(name)] for name in names]
        self._numbers = np.array(numbers, np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        """Members."""
        return len(self._numbers)

    def find(self, name: str) -> Member | None:
        wanted = os.fsencode(name)
        at = bisect_left(range(len(self)), wanted, key=self._name)
        return self._member(at) if at < len(self) and self._name(at) == wanted else None

    def folder(self, name: str) -> dict[str, Member]:
        """The members directly below a folder, by the rest of their names; none where there is no such folder."""
        start = os.fsencode(name.rstrip("/") + "/")
        at, found = bisect_left(range(len(self)), start, key=self._name), {}
        while at < len(self) and self._name(at).startswith(start):
            if b"/" not in self._name(at)[len(start) :]:
                found[os.fsdecode(self._name(at)[len(start) :])] = self._member(at)
            at += 1
        return found

    def names_and_folders(self) -> set[str]:
        """All members, and the folders that they lie directly in."""
        names = {os.fsdecode(self._name(at)) for at in range(len(self))}
        return names | {os.path.dirname(name) for name in names} - {""}

    def to_json(self) -> bytes:
        """A member per line: what a person may look at."""
        head = {"format": _FORMAT, "bytes": self.num_bytes, "identity": self.identity, "plan": self.plan}
        rows = ",\n".join(
            f"{json.dumps(os.fsdecode(self._name(at)))}: {[*self._member(at)]}" for at in range(len(self))
        )
        return f'{json.dumps(head)[:-1]}, "members": {{\n{rows}\n}}}}\n'.encode()

    def _name(self, at: int) -> bytes:
        return self._names[self._ends[at] : self._ends[at + 1]]

    def _member(self, at: int) -> Member:
        return Member(*self._numbers[at].tolist())


def read_index(path: str, *, shard: str) -> ShardIndex:
    """Reads the index beside a tar.

    Raises:
        ShardError: there is none, it is damaged, or names bytes that its tar does not have.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a named pipe would be waited for
        raise ShardError(f"the index '{path}' is not a file")
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        members = {name: Member(*map(_whole, row)) for name, row in content["members"].items()}
        index = ShardIndex(members, num_bytes=_whole(content["bytes"]), plan=str(content["plan"]))
        if content["format"] != _FORMAT or index.identity != content["identity"]:
            raise ValueError
    except FileNotFoundError as error:
        raise ShardError(
            f"shard '{shard}' has no index '{os.path.basename(path)}' beside it; tools/prepare_data.py pack writes both"
        ) from error
    except OSError as error:
        raise ShardError(f"the index '{path}' cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ShardError(f"'{path}' is no index of a shard, or damaged; pack the shard anew") from error
    if any(
        member.start < tarfile.BLOCKSIZE or member.start + member.size > index.num_bytes for member in members.values()
    ):
        raise ShardError(f"the index '{path}' names bytes that its shard of {index.num_bytes} bytes cannot have")
    return index


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError
    return value


def need_same(index: ShardIndex, tar: str, *, shard: str) -> None:
    """A tar that is shorter than its index says is a damaged one: what is left of it can be read.

    Raises:
        ShardError: the index belongs to another tar.
    """
    size = os.path.getsize(tar)
    with open(tar, "rb") as file:
        found = _IDENTITY.search(file.read(HEAD))
        if found:
            same = found[1].decode() == index.identity
        else:  # not ours, or its head is damaged: then its members are where they should be
            same = any(holds(file, name, member) for name, member in _some(index))
    if not same or size > index.num_bytes:
        told = (
            f"it has {size} bytes, the index says {index.num_bytes}" if size != index.num_bytes else "other checksums"
        )
        raise ShardError(f"the index '{index_path(shard)}' does not belong to '{shard}': {told}; pack the shard anew")


def _some(index: ShardIndex, most: int = 100) -> Iterator[tuple[str, Member]]:
    for at in range(0, len(index), max(1, len(index) // most)):
        yield os.fsdecode(index._name(at)), index._member(at)


def holds(file, name: str, member: Member) -> bool:
    """Whether a member's header, which stands before its bytes, is there and says the same."""
    file.seek(member.start - tarfile.BLOCKSIZE)
    try:
        header = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    # longer names, and those with other letters, stand in a header of their own before it
    short = name.isascii() and len(name) <= tarfile.LENGTH_NAME
    return header.size == member.size and (not short or header.name == name)


_opened: dict[str, tuple[tuple, ShardIndex]] = {}  # one entry for each shard that this process reads


def index_of(tar: str, *, shard: str, index: str) -> ShardIndex:
    """The index of a shard, read again only where one of the two files has changed.

    Args:
        tar, index: the files on this machine.
        shard: what the user calls it.

    Raises:
        ShardError: see ``read_index`` and ``need_same``.
    """
    try:
        state = [(facts.st_size, facts.st_mtime_ns, facts.st_ino) for facts in map(os.stat, (tar, index))]
    except OSError:
        state = []
    known = _opened.get(tar)
    if known and known[0] == tuple(state):
        return known[1]
    found = read_index(index, shard=shard)
    need_same(found, tar, shard=shard)
    _opened[tar] = (tuple(state), found)
    return found


def check_shards(paths: Iterable[str], address_of=lambda path: None) -> None:
    """Checks the members of shards that a list names: every shard has its index, and every member is in it.

    What is not there at all is left to those who read it. Of shards at an address only the index is fetched.

    Raises:
        ShardError, RemoteError: see ``index_of``; a member is missing.
    """
    known: dict[str, set[str] | None] = {}
    for path in paths:
        shard, member = split_member(path)
        if member is None:
            continue
        if shard not in known:
            index = _index_for_check(shard, address_of)
            known[shard] = None if index is None else index.names_and_folders()
        names = known[shard]
        if names is not None and member.rstrip("/") not in names:
            raise ShardError(f"'{path}': the shard has no member '{member}'")


def _index_for_check(shard: str, address_of) -> ShardIndex | None:
    address = address_of(index_path(shard))
    if address is not None:
        return read_index(fetched(address), shard=shard)
    if not os.path.isfile(shard):
        return None
    return index_of(shard, shard=shard, index=index_path(shard))
