"""Makes a set of drawn videos with its lists, on all cores; a run that was killed goes on where it was."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fragrant.errors import UserError
from fragrant.synthetic.actions import Action
from fragrant.synthetic.axes import Axes
from fragrant.synthetic.clip import draw_clip
from fragrant.synthetic.encoding import encode, write_whole
from fragrant.workers import usable_cores, worker_pool

SPLITS = ("train", "val", "test")
MARKER = "made_videos.json"
VERSION = 1  # raise it when the drawing changes


class VideoSetError(UserError):
    """A set of videos that cannot be made as asked."""


class Plan(NamedTuple):
    """Everything that the bytes of a set follow from."""

    seed: int
    actions: tuple[Action, ...]
    sizes: tuple[int, int, int]  # clips of each action in train, val, test
    frames: tuple[int, int]  # lowest and highest
    fps: tuple[int, int]
    size: tuple[int, int]  # width, height
    axes: Axes


class Job(NamedTuple):
    split: str
    action: Action
    number: int

    @property
    def path(self) -> str:
        return f"videos/{self.split}/{self.action.name}_{self.number:05d}.mp4"


def make_video(job: Job, folder: Path, plan: Plan) -> None:
    """Draws and encodes one video, unless it is there."""
    path = folder / job.path
    if path.exists():
        return
    seeds = (plan.seed, SPLITS.index(job.split), job.number)
    rng = np.random.default_rng([*seeds, 0])
    frames, fps = (int(rng.integers(low, high + 1)) for low, high in (plan.frames, plan.fps))
    clip, crf = draw_clip(seeds, job.action, axes=plan.axes, frames=frames, fps=fps, size=plan.size)
    encode(path, clip, fps=fps, crf=crf, between_keys=30)


def jobs_of(split: str, plan: Plan) -> list[Job]:
    """The videos of a split in the order of its list: every first part of it is balanced."""
    count = plan.sizes[SPLITS.index(split)]
    return [Job(split, action, number) for number in range(count) for action in plan.actions]


def finished(make, jobs: list[Job], workers: int) -> Iterator[None]:
    if workers <= 1:
        yield from map(make, jobs)
        return
    with worker_pool(workers) as pool:
        yield from pool.map(make, jobs, chunksize=4)


def make_videos(folder: str | Path, plan: Plan, *, workers: int | None = None) -> None:
    """Makes the set of ``plan`` in ``folder``: ``videos/<split>/<action>_<nnnnn>.mp4``, ``{train,val,test}.csv`` and
    ``classes.txt``; files that are there are kept.

    Args:
        workers: processes; the bytes do not depend on it.
    """
    folder, start = Path(folder), time.monotonic()
    for split in SPLITS:
        (folder / "videos" / split).mkdir(parents=True, exist_ok=True)
    lists = {split: jobs_of(split, plan) for split in SPLITS}
    jobs = [job for split in SPLITS for job in lists[split]]
    todo = [job for job in jobs if not (folder / job.path).exists()]
    write_whole(folder / "classes.txt", "".join(f"{action.name}\n" for action in plan.actions).encode())
    for split, members in lists.items():
        rows = "".join(f"{job.path} {plan.actions.index(job.action)}\n" for job in members)
        write_whole(folder / f"{split}.csv", rows.encode())
    workers = min(workers or usable_cores(), max(len(todo), 1))
    make, terminal = partial(make_video, folder=folder, plan=plan), sys.stderr.isatty()
    for _ in tqdm(finished(make, todo, workers), desc="videos", total=len(todo), unit="video", disable=not terminal):
        pass
    settings = {"version": VERSION, **plan._asdict(), "axes": vars(plan.axes)}
    write_whole(folder / MARKER, json.dumps(settings, indent=1).encode())
    took = time.monotonic() - start
    print(f"videos: made {len(todo)} of {len(jobs)} in {folder} in {took:.0f} s", file=sys.stderr)


def plan_of(actions: Sequence[Action], clips: int, **rest) -> Plan:
    few = max(1, clips // 10)
    return Plan(actions=tuple(actions), sizes=(clips, few, few), **rest)
