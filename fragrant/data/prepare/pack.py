"""The videos of a set packed into shards: a hundred files in place of a million."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fragrant.data.datasets.known_set import KnownSet
from fragrant.data.lists.records import RecordList, VideoRecord, each_label
from fragrant.data.prepare.shard_file import Job, Part, Video, write_shard
from fragrant.data.shards import split_member
from fragrant.data.video.places import Place, place_of
from fragrant.data.video.row_of_frames import CannotRead
from fragrant.errors import RunStopped, UserError
from fragrant.files import is_address
from fragrant.workers import results_of

FOLDER = "shards"  # below the folder of the lists
WAIT = 10.0  # seconds for another process to end
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_/-]")


def pack_set(
    found: KnownSet, root: str, out: str | os.PathLike, *, shard_bytes: float, workers: int
) -> tuple[KnownSet, list[str]]:
    """The set with members of shards in place of its videos, without those that cannot be read, and a line for each of
    these.

    A run that was killed goes on with the shards that are not finished.

    Args:
        root: a folder or an address: names in the shards are the paths below it.
        out: the shards are written to ``<out>/shards``.
        shard_bytes: about how large a shard gets; it holds at least one video.

    Raises:
        UserError: ``shard_bytes`` is too small, nothing can be read, or another process packs into ``out``.
        RunStopped: the disk is full, or ``out`` cannot be written.
    """
    if not shard_bytes > 0:
        raise UserError(f"--shard-mb must be above 0, got {shard_bytes / 1e6:g}")
    videos, lost = _planned(found, root)
    if not videos:
        raise UserError(f"nothing to pack: {next(iter(lost.values()), 'the lists have no videos')}")
    jobs = _shards_of(videos, Path(out, FOLDER), shard_bytes)
    try:
        Path(out, FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunStopped(f"'{Path(out, FOLDER)}' cannot be made: {error.strerror}") from error
    with _alone_in(Path(out)):
        members = _written(jobs, workers, lost)
    # splits that are one list stay one
    made = {id(records): _packed(records, members) for records in found.splits.values()}
    splits = {split: made[id(records)] for split, records in found.splits.items()}
    return found._replace(splits=splits, notes=(*found.notes, *_left_over(jobs))), [*lost.values()]


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """No two write the same shard; the processes of a run that was killed hold the lock until they are gone, too."""
    try:
        with FileLock(out / ".pack.lock", timeout=WAIT):
            yield
    except Timeout as error:
        raise UserError(f"another process packs into '{out}'") from error


def _written(jobs: Sequence[Job], workers: int, lost: dict[str, str]) -> dict[str, str]:
    """Path of a video -> its member; what cannot be read is added to ``lost``."""
    members: dict[str, str] = {}
    for job, left_out in results_of(write_shard, jobs, workers=workers, title="shards"):
        if left_out is None:
            raise RunStopped(f"the process that wrote '{job.path}' has died; the same command goes on with it")
        lost.update({path: f"video '{path}' cannot be read: {why}" for path, why in left_out.items()})
        members.update({video.path: f"{job.path}::{video.name}" for video in job.videos if video.path not in left_out})
    return members


def _planned(found: KnownSet, root: str) -> tuple[list[Video], dict[str, str]]:
    """Every video once, in the order of the lists, and why others cannot be read, by path."""
    videos: dict[str, Video] = {}
    lost: dict[str, str] = {}
    taken: set[str] = set()
    for record in (record for records in found.splits.values() for record in records):
        if record.path in videos or record.path in lost:
            continue
        try:
            videos[record.path] = _video(record, root, found.class_names, taken)
        except (CannotRead, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            lost[record.path] = f"video '{record.path}' cannot be read: {why}"
    return list(videos.values()), lost


def _video(record: VideoRecord, root: str, names: Sequence[str] | None, taken: set[str]) -> Video:
    """Checks that a video to pack is there.

    Raises:
        CannotRead, OSError: it is not there, or empty.
    """
    place = place_of(record.path, remote=root if is_address(root) else "")
    key = free_key(record.path, root, taken)
    about: dict[str, object] = {"path": record.path, "label": record.label}
    if names:
        about["class"] = [names[label] if label >= 0 else None for label in each_label(record.label)]
    text = json.dumps(about)
    if isinstance(place, Place):
        name = key + os.path.splitext(record.path)[1].lower()
        return Video(record.path, name, key, (_part(name, place),), text)
    if isinstance(place, str):  # a folder
        files = (entry for entry in os.scandir(place) if entry.is_file() and not entry.name.startswith("."))
        place = {entry.name: Place(os.path.abspath(entry.path)) for entry in files}
    if not place:
        raise CannotRead("the folder is empty")
    parts = tuple(_part(f"{key}/{name}", at) for name, at in sorted(place.items()))
    return Video(record.path, key, key, parts, text)


def free_key(path: str, root: str, taken: set[str]) -> str:
    """The path below ``root``, or of the member that it is, as a key that webdataset takes: without an extension, no
    dot, no blank; one that is taken gets a number."""
    relative = split_member(path)[1] or (path.removeprefix(root) if is_address(path) else os.path.relpath(path, root))
    if relative.startswith(".."):
        relative = os.path.abspath(path)
    first = key = _NOT_IN_KEYS.sub("_", os.path.splitext(relative)[0]).strip("/") or "video"
    number = 1
    while key in taken:
        number += 1
        key = f"{first}_{number}"
    taken.add(key)
    return key


def _part(name: str, place: Place) -> Part:
    if not place.size:
        raise CannotRead("it is empty")
    return Part(name, place, place.size, os.stat(place.file).st_mtime_ns)


def _shards_of(videos: Sequence[Video], folder: Path, shard_bytes: float) -> list[Job]:
    """The videos in their order, cut where a shard would get larger than this."""
    shards: list[list[Video]] = []
    room = 0.0
    for video in videos:
        if not shards or room < video.size:
            shards.append([])
            room = shard_bytes
        shards[-1].append(video)
        room -= video.size
    digits = max(3, len(str(len(shards) - 1)))
    return [Job(str(folder / f"{at:0{digits}d}.tar"), tuple(shard)) for at, shard in enumerate(shards)]


def _left_over(jobs: Sequence[Job]) -> list[str]:
    """Shards of an earlier packing that had more of them; they are the user's to delete."""
    now = {job.path for job in jobs}
    others = sorted(str(path) for path in Path(jobs[0].path).parent.glob("*.tar") if str(path) not in now)
    return [f"{len(others)} other shard(s), '{others[0]}' first, are of an earlier packing"] if others else []


def _packed(records: RecordList, members: Mapping[str, str]) -> RecordList:
    rows = [record._replace(path=members[record.path]) for record in records if record.path in members]
    return RecordList(rows, source=records.source)
