"""Writes one shard: a tar as webdataset reads it, and its index."""

import hashlib
import io
import json
import os
import tarfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from fragrant.data.shards import COMMENT, HEAD, Member, ShardError, ShardIndex, index_of, index_path
from fragrant.data.video.places import Place
from fragrant.errors import RunStopped
from fragrant.files import written_whole

_EMPTY = COMMENT + "0" * 64  # filled in when all checksums are known


class Part(NamedTuple):
    """One file that goes into a shard: its name there, where it is, its size and its time of change."""

    name: str
    place: Place
    size: int
    changed: int


class Video(NamedTuple):
    """A video that goes into a shard.

    Attributes:
        path: what the list calls it.
        name: what it is called in the shard: a file, or the folder of its pictures.
        key: of its ``.json``.
        parts: its file, or its pictures.
        about: the text of its ``.json``.
    """

    path: str
    name: str
    key: str
    parts: tuple[Part, ...]
    about: str

    @property
    def size(self) -> int:
        """About how many bytes of a tar it takes."""
        return sum(2 * tarfile.BLOCKSIZE + size for size in (*(part.size for part in self.parts), len(self.about)))


class Job(NamedTuple):
    """A shard to be written."""

    path: str
    videos: tuple[Video, ...]

    @property
    def plan(self) -> str:
        """What the shard follows from, as one text: where it has changed the shard is written anew."""
        facts = [[v.path, v.about, [[part.name, part.size, part.changed] for part in v.parts]] for v in self.videos]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class _SourceLost(Exception):
    """Why a video cannot be read to its end."""


class _Content:
    """The bytes of a part, read once from the start: exactly as many as planned, with their checksum."""

    def __init__(self, file: IO[bytes], size: int):
        self.file, self.left, self.crc = file, size, 0

    def read(self, size: int) -> bytes:
        size = min(size, self.left)
        try:
            data = self.file.read(size)
        except OSError as error:
            raise _SourceLost(error.strerror or str(error)) from error
        if len(data) < size:
            raise _SourceLost("it has changed while it was packed")
        self.left, self.crc = self.left - len(data), zlib.crc32(data, self.crc)
        return data


def write_shard(job: Job) -> dict[str, str]:
    """The videos that are left out, and why; a shard that an earlier run has finished is only looked at.

    The tar appears whole or not at all, and the index after it: there is never half a shard with an index.

    Raises:
        RunStopped: the disk is full, or the folder cannot be written.
    """
    if _is_finished(job):
        return {}
    index_file = index_path(job.path)
    try:
        Path(index_file).unlink(missing_ok=True)
        with written_whole(job.path) as file:
            members, lost = _fill(file, job)
            # without a plan: the next run tries again
            index = ShardIndex(members, num_bytes=file.tell(), plan="" if lost else job.plan)
            _fill_comment_in(file, COMMENT + index.identity)
        with written_whole(index_file) as file:
            file.write(index.to_json())
    except OSError as error:
        why = error.strerror or error
        raise RunStopped(f"shard '{job.path}' cannot be written: {why}; the same command goes on with it") from error
    return lost


def _is_finished(job: Job) -> bool:
    try:
        index = index_of(job.path, shard=job.path, index=index_path(job.path))
        return index.plan == job.plan and os.path.getsize(job.path) == index.num_bytes
    except (ShardError, OSError):
        return False


def _fill(file: IO[bytes], job: Job) -> tuple[dict[str, Member], dict[str, str]]:
    """The members of the tar, and the videos that could not be read to their end."""
    members: dict[str, Member] = {}
    lost: dict[str, str] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": _EMPTY}) as tar:
        for video in job.videos:
            before = tar.offset
            try:
                members.update(dict([_add(tar, part) for part in video.parts]))
                tar.addfile(_header(f"{video.key}.json", len(video.about.encode())), io.BytesIO(video.about.encode()))
            except _SourceLost as error:
                lost[video.path] = str(error)
                file.seek(before)
                file.truncate()
                tar.offset = before
    return members, lost


def _add(tar: tarfile.TarFile, part: Part) -> tuple[str, Member]:
    try:
        source = open(part.place.file, "rb")  # noqa: SIM115
    except OSError as error:
        raise _SourceLost(error.strerror or str(error)) from error
    with source:
        source.seek(part.place.part.start if part.place.part else 0)
        content = _Content(source, part.size)
        tar.addfile(_header(part.name, part.size), content)  # type: ignore[arg-type]
    blocks = -(-part.size // tarfile.BLOCKSIZE)
    return part.name, Member(tar.offset - blocks * tarfile.BLOCKSIZE, part.size, content.crc)


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Without owner and time: the same videos make the same bytes."""
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def _fill_comment_in(file: IO[bytes], comment: str) -> None:
    file.flush()
    with open(file.name, "rb") as written:
        at = written.read(HEAD).index(_EMPTY.encode())
    file.seek(at)
    file.write(comment.encode())
