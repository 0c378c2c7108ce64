"""Where the bytes of a video lie on this machine: a file, or a part of a shard."""

import os
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from fragrant.data.shards import Member, ShardError, ShardIndex, holds, index_of, index_path, split_member
from fragrant.data.video.row_of_frames import CannotRead
from fragrant.remote import RemoteError, below, fetched

_BLOCK = 2**20


class Place(NamedTuple):
    """A regular file, or bytes in one.

    Attributes:
        file: absolute path.
        part: the member of a shard that is meant; None = the whole file.
    """

    file: str
    part: Member | None = None

    @property
    def size(self) -> int:
        return os.path.getsize(self.file) if self.part is None else self.part.size

    @property
    def url(self) -> str:
        """As FFmpeg takes it: a path without a protocol, or the part as a file of its own."""
        if self.part is None:
            return self.file
        return f"subfile,,start,{self.part.start},end,{self.part.start + self.part.size},,:{self.file}"

    def read(self, size: int = -1) -> bytes:
        """All bytes, or the first ``size``."""
        with open(self.file, "rb") as file:
            if self.part is None:
                return file.read(size)
            file.seek(self.part.start)
            return file.read(self.part.size if size < 0 else min(size, self.part.size))

    def is_intact(self) -> bool:
        """Whether the bytes are those that were packed; a file of its own has nothing to compare with."""
        if self.part is None:
            return True
        crc, left = 0, self.part.size
        with open(self.file, "rb") as file:
            file.seek(self.part.start)
            while left and (block := file.read(min(left, _BLOCK))):
                crc, left = zlib.crc32(block, crc), left - len(block)
        return not left and crc == self.part.crc


def file_of(path: str, *, remote: str = "") -> str:
    """The file or folder that a path of a list leads to, for a member of a shard its tar, whether it is there or not.

    Args:
        remote: DATA.PATH_PREFIX where it is an address: what lies below it is fetched, and nothing else.

    Raises:
        CannotRead: it cannot be fetched.
    """
    file = split_member(path)[0]
    address = below(file, remote)
    if address is not None:
        try:
            return fetched(address)
        except RemoteError as error:
            raise CannotRead(f"it {error}") from error
    return file


def place_of(path: str, *, remote: str = "") -> "Place | Mapping[str, Place] | str":
    """A file, or a member of a shard; the members of a folder in a shard by name; the path of a folder.

    Raises:
        CannotRead: there is nothing, or something else, or its shard is damaged there.
    """
    file = file_of(path, remote=remote)
    shard, member = split_member(path)
    if member is not None:
        return _in_shard(file, shard, member, remote)
    if os.path.isdir(file):
        return file
    if not os.path.isfile(file):  # FFmpeg would also take a pipe or an address for a video
        raise CannotRead("it is not a file" if os.path.exists(file) else "no such file")
    return Place(os.path.abspath(file))


def _in_shard(tar: str, shard: str, member: str, remote: str) -> "Place | Mapping[str, Place]":
    if not os.path.isfile(tar):
        raise CannotRead(f"there is no shard '{shard}'")
    try:
        index = index_of(tar, shard=shard, index=file_of(index_path(shard), remote=remote))
    except ShardError as error:
        raise CannotRead(str(error)) from error
    tar = os.path.abspath(tar)
    found = index.find(member)
    if found is not None:
        _need_whole(tar, member, found, index)
        return Place(tar, found)
    folder = {name: Place(tar, picture) for name, picture in index.folder(member).items()}
    if not folder:
        raise CannotRead("the shard has no such member")
    return folder


def _need_whole(tar: str, name: str, member: Member, index: ShardIndex) -> None:
    """Checks that a tar holds a member where its index says.

    Raises:
        CannotRead: the tar ends before, or holds something else there.
    """
    if not member.size:
        raise CannotRead("the member is empty")
    size = os.path.getsize(tar)
    if size < member.start + member.size:
        raise CannotRead(f"the shard is damaged, it ends after {size} of its {index.num_bytes} bytes")
    with open(tar, "rb") as file:
        if not holds(file, name, member):
            raise CannotRead("the shard is damaged, the member's header is not where the index says")
