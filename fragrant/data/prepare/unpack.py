"""Videos unpacked into folders of pictures, one per frame."""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any, cast

from PIL import Image

from fragrant.data.datasets.known_set import KnownSet
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.locations import Folders
from fragrant.data.lists.records import RecordList
from fragrant.data.video.frame_folder import name_pattern
from fragrant.data.video.frames import VideoError, open_frames
from fragrant.workers import results_of

AT_ONCE = 64  # frames of a video in memory
QUALITY: dict[str, dict[str, Any]] = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}}


def unpack(path: str, folder: Path, template: str) -> int:
    """Writes a video's frames, numbered from 1, and returns how many; what an earlier run has finished is only counted.

    The folder appears whole or not at all.

    Raises:
        VideoError: the video cannot be read, or the folder holds something else.
    """
    if folder.is_dir():
        return len(open_frames(folder, template=template, base=1))
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    unfinished.mkdir(parents=True)
    try:
        with open_frames(path) as frames:
            for first in range(0, len(frames), AT_ONCE):
                numbers = range(first, min(first + AT_ONCE, len(frames)))
                for number, pixels in zip(numbers, frames.read(numbers), strict=True):
                    _save(pixels.numpy(), unfinished / _name(template, number + 1))
            count = len(frames)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return count


def _name(template: str, number: int) -> str:
    return template % number if "%" in template else template.format(number)


def _save(pixels, path: Path) -> None:
    Image.fromarray(pixels).save(path, **QUALITY.get(path.suffix.lower(), {}))


def _unpacked(job: tuple[str, str], template: str) -> int | str:
    """Unpacks one video in a worker: returns its number of frames, or the error as a text."""
    try:
        return unpack(job[0], Path(job[1]), template)
    except VideoError as error:
        return str(error)
    except OSError as error:
        return f"'{job[1]}' cannot be written: {error.strerror or error}"


def unpack_set(
    found: KnownSet, root: str | os.PathLike, frames: str | os.PathLike, *, template: str, workers: int
) -> tuple[KnownSet, list[str]]:
    """Unpacks a set: returns it with folders of frames in place of its videos, without those that cannot be read, and a
    line for each of these.

    ``<root>/a/b.mp4`` goes to ``<frames>/a/b``; what lies outside of ``root`` keeps its whole path below ``frames``.

    Raises:
        ListError: the template is none, or two videos would share a folder.
    """
    check_template(template)
    there = Folders()
    jobs: dict[str, tuple[str, str]] = {}
    for records in found.splits.values():
        for record in records:
            jobs.setdefault(
                record.path, (there.find(record.path) or record.path, str(_folder(record.path, root, frames)))
            )
    _need_folders_of_their_own(jobs)
    of_one = partial(_unpacked, template=template)
    results: dict[tuple[str, str], Any] = dict(
        results_of(of_one, list(dict.fromkeys(jobs.values())), workers=workers, title="frames")
    )
    counts: dict[str, int | str] = {
        path: results[job] or f"video '{path}' cannot be read: reading it ends the process"
        for path, job in jobs.items()
    }

    def with_folders(records: RecordList) -> RecordList:
        kept = [at for at, r in enumerate(records) if isinstance(counts[r.path], int)]
        some = [records[at] for at in kept]
        rows = [r._replace(path=jobs[r.path][1], num_frames=cast(int, counts[r.path])) for r in some]
        targets = [records.target(at) for at in kept] if records.soft else []
        return RecordList(rows, source=records.source, targets=targets)

    # splits that are one list stay one
    made = {id(records): with_folders(records) for records in found.splits.values()}
    splits = {split: made[id(records)] for split, records in found.splits.items()}
    return found._replace(splits=splits), [count for count in counts.values() if isinstance(count, str)]


def check_template(template: str) -> None:
    """Checks a template of file names.

    Raises:
        ListError: it has not one place for a number, or names no kind of picture.
    """
    try:
        name_pattern(template)
    except ValueError as error:
        raise ListError(f"the template of frames {error}") from error
    if Path(template).suffix.lower() not in (*QUALITY, ".png"):
        raise ListError(f"the template of frames '{template}' must end in .jpg, .jpeg or .png")


def _folder(path: str, root: str | os.PathLike, frames: str | os.PathLike) -> Path:
    relative = os.path.relpath(path, root)
    if relative.startswith(".."):
        relative = os.path.abspath(path).lstrip(os.sep)
    return Path(frames, os.path.splitext(relative)[0])


def _need_folders_of_their_own(jobs: dict[str, tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for video, folder in dict.fromkeys(jobs.values()):
        if first.setdefault(folder, video) != video:
            raise ListError(f"'{first[folder]}' and '{video}' would share the folder of frames '{folder}'")
