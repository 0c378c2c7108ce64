"""What a clip costs from a shard, beside the same clip from its own file, in the same run."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fragrant.data.datasets.known_set import KnownSet
from fragrant.data.lists.records import RecordList
from fragrant.data.prepare.pack import pack_set
from fragrant.data.shards import index_path, split_member
from fragrant.data.video.frames import OpenFrames
from fragrant.errors import UserError

CLIP = 8  # frames that are read of a video, evenly from all of it


def packed(records: RecordList, folder: str, *, shard_bytes: float) -> RecordList:
    """Packs the videos into shards below ``folder``.

    Raises:
        UserError: one cannot be read: the two sides would not be the same.
    """
    found, lost = pack_set(KnownSet({"train": records}), os.curdir, folder, shard_bytes=shard_bytes, workers=1)
    if lost:
        raise UserError(lost[0])
    return found.splits["train"]


def benchmark_shards(files: RecordList, shards: RecordList, *, rounds: int, open_frames: OpenFrames) -> str:
    """A table: opening, and opening and reading a clip, from files and from shards in turn; the files in the memory of
    the system, and thrown out of it before (what a first epoch reads)."""
    sides = [[record.path for record in records] for records in (files, shards)]
    lines = [f"{'':34}{'files ms':>10}{'CPU ms':>10}{'shards ms':>11}{'CPU ms':>10}{'shards/files':>14}{'CPU':>8}"]
    for what, function, cold in (
        ("open", _open, False),
        (f"open, read {CLIP} frames", _read, False),
        (f"open, read {CLIP} frames, cold", _read, True),
    ):
        times: list[list[tuple[float, float]]] = [[], []]
        for round_ in range(rounds + 1):  # the first is a warm-up
            for own, paths in zip(times, sides, strict=True):
                if cold:
                    _forget(paths)
                measured = _seconds(function, open_frames, paths)
                if round_:
                    own.append(measured)
        (a, b), (c, d) = (
            [1e3 * statistics.median(column) / len(files) for column in zip(*own, strict=True)] for own in times
        )
        ratio, of_cpu = (statistics.median(y[at] / x[at] for x, y in zip(*times, strict=True)) for at in (0, 1))
        lines.append(f"{what:34}{a:10.2f}{b:10.2f}{c:11.2f}{d:10.2f}{ratio:13.2f}x{of_cpu:7.2f}x")
    return "\n".join(lines)


def _open(open_frames: OpenFrames, path: str) -> None:
    open_frames(path).close()


def _read(open_frames: OpenFrames, path: str) -> None:
    with open_frames(path) as frames:
        frames.read([at * len(frames) // CLIP for at in range(CLIP)])


def _seconds(function: Callable, open_frames: OpenFrames, paths: Sequence[str]) -> tuple[float, float]:
    """Seconds that reading these videos takes: by the clock on the wall, and of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    for path in paths:
        function(open_frames, path)
    return time.perf_counter() - wall, time.process_time() - cpu


def _forget(paths: Sequence[str]) -> None:
    """Asks the system to throw the files out of its memory."""
    files = {split_member(path)[0] for path in paths}
    files |= {index_path(file) for file in files if file.endswith(".tar")}
    for file in files:
        for part in Path(file).iterdir() if os.path.isdir(file) else [file]:
            descriptor = os.open(part, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
