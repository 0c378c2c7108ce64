"""Makes a set of drawn videos with its lists, on all cores; a run that was killed goes on where it was."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fragrant.errors import RunStopped, UserError
from fragrant.synthetic import demo_set
from fragrant.synthetic.actions import ARID6, Action
from fragrant.synthetic.axes import Axes
from fragrant.synthetic.clip import draw_clip
from fragrant.synthetic.encoding import FPS as DEMO_FPS
from fragrant.synthetic.encoding import encode, write_whole
from fragrant.synthetic.recipes import DEMO as DEMO_NAME
from fragrant.synthetic.recorded import Recording
from fragrant.synthetic.set_folder import foreign_files, locked, read_marker, some_of
from fragrant.synthetic.track import write_track
from fragrant.workers import usable_cores, worker_pool

SPLITS = ("train", "val", "test")
MARKER, LOCK = "made_videos.json", "made_videos.lock"
OURS = {MARKER, LOCK, "videos", "classes.txt", *(f"{split}.csv" for split in SPLITS)}
VERSION = 2  # raise it when the drawing changes
MOST_PIXELS = 4e6  # of one picture
MOST_VALUES = 1.5e9  # of one clip in work


class VideoSetError(UserError):
    """A set of videos that cannot be made as asked."""


class Plan(NamedTuple):
    """Everything that the bytes of a set follow from."""

    actions: tuple[Action, ...]
    sizes: tuple[int, int, int]  # clips of each action in train, val, test
    seed: int = 0
    frames: tuple[int, int] = (48, 64)  # lowest and highest
    fps: tuple[int, int] = (30, 30)
    size: tuple[int, int] = (160, 120)  # width, height
    axes: Axes | None = Axes()  # None: the older drawing, of the demo set


DEMO = {"frames": (48, 48), "size": (128, 96)}  # of the videos of the demo set


class Job(NamedTuple):
    """One video."""

    split: str
    action: Action
    number: int

    @property
    def path(self) -> str:
        return f"videos/{self.split}/{self.action.name}_{self.number:05d}.mp4"


def plan_of(actions: Sequence[Action], clips: int, *, val: int | None = None, test: int | None = None, **rest) -> Plan:
    """The plan of a set; the validation and the test list have a tenth as many videos, where not said otherwise.

    Raises:
        VideoSetError: a number is out of range, or the drawing of the demo set does not know what is asked.
    """
    few = max(1, clips // 10)
    rest = {name: value for name, value in rest.items() if value is not None or name == "axes"}
    if rest.get("axes", Axes()) is None:
        rest = {**DEMO, **rest}
    plan = Plan(tuple(actions), (clips, few if val is None else val, few if test is None else test), **rest)
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    (width, height), (few, many), (slow, fast) = plan.size, plan.frames, plan.fps
    rules: list[tuple[bool, str, str, object]] = [
        (len(plan.actions) >= 1, "--actions", "one action or more", len(plan.actions)),
        (plan.seed >= 0, "--seed", "0 or more", plan.seed),
        (plan.sizes[0] >= 1, "--clips", "1 or more", plan.sizes[0]),
        (min(plan.sizes[1:]) >= 0, "--val and --test", "0 or more", min(plan.sizes[1:])),
        (max(plan.sizes) <= 99_999, "--clips, --val and --test", "99999 at most", max(plan.sizes)),
        (2 <= few <= many, "--frames", "2 or more, the lower number first", f"{few}-{many}"),
        (1 <= slow <= fast <= 240, "--fps", "from 1 to 240, the lower number first", f"{slow}-{fast}"),
        (
            min(width, height) >= 32 and width % 2 == height % 2 == 0,
            "--size",
            "even and 32 or more",
            f"{width}x{height}",
        ),
        (width * height <= MOST_PIXELS, "--size", f"{MOST_PIXELS:.0f} pixels at most", f"{width}x{height}"),
        (
            3 * width * height * many <= MOST_VALUES,
            "--size and --frames",
            "less in one clip",
            f"{width}x{height}x{many}",
        ),
    ]
    if plan.axes is None:
        known = all(action.name in ARID6 and not action.variants for action in plan.actions)
        rules += [
            (known, "--recipe demo: --actions", f"some of {', '.join(ARID6)}", "others"),
            (few == many, "--recipe demo: --frames", "one number", f"{few}-{many}"),
            (plan.fps == (DEMO_FPS, DEMO_FPS), "--recipe demo: --fps", str(DEMO_FPS), f"{slow}-{fast}"),
        ]
    wrong = [f"{name} must be {what}, got {got}" for good, name, what, got in rules if not good]
    if wrong:
        raise VideoSetError("; ".join(wrong))


def make_video(job: Job, folder: Path, plan: Plan) -> None:
    """Draws and encodes one video, unless it is there.

    Its scene follows from seed, split and number: video 7 of every action shows the same person in the same place."""
    path = folder / job.path
    if path.exists():
        return
    seeds = (plan.seed, SPLITS.index(job.split), job.number)
    if plan.axes is None:
        (width, height), frames = plan.size, plan.frames[0]
        encode(path, demo_set.draw(seeds, job.action.name, frames=frames, height=height, width=width))
        return
    rng = np.random.default_rng([*seeds, 0])
    frames, fps = (int(rng.integers(low, high + 1)) for low, high in (plan.frames, plan.fps))
    drawn = draw_clip(seeds, job.action, axes=plan.axes, frames=frames, fps=fps, size=plan.size)
    write_track(path, drawn.track)  # before the video, which says that both are there
    encode(path, drawn.pictures, fps=fps, crf=drawn.crf, between_keys=30)


def jobs_of(split: str, plan: Plan) -> list[Job]:
    """The videos of a split in the order of its list: every first part of it is balanced."""
    count = plan.sizes[SPLITS.index(split)]
    return [Job(split, action, number) for number in range(count) for action in plan.actions]


def finished(make, jobs: list[Job], workers: int) -> Iterator[None]:
    """Makes the videos; yields after each one."""
    if workers <= 1:
        yield from map(make, jobs)
        return
    try:
        with worker_pool(workers) as pool:
            yield from pool.map(make, jobs, chunksize=2)
    except BrokenProcessPool as error:
        raise RunStopped(
            "a drawing process was killed, by lack of memory perhaps; the same command goes on with what is missing, "
            "--workers takes fewer processes"
        ) from error


def described(plan: Plan) -> dict:
    """The plan as it stands in the marker; a recording is known by its bytes, wherever it lies."""
    actions = {
        action.name: [form._replace(path="") if isinstance(form, Recording) else form for form in action.variants]
        for action in plan.actions
    }
    settings = {
        "version": VERSION,
        **plan._asdict(),
        "actions": actions,
        "axes": vars(plan.axes) if plan.axes else DEMO_NAME,
    }
    return json.loads(json.dumps(settings))


def check_folder(folder: Path, settings: dict) -> bool:
    """Checks that the folder is new, empty, or holds this set; returns whether the set is whole.

    Raises:
        VideoSetError: it holds other files, or a set made with other settings.
    """
    if folder.exists() and not folder.is_dir():
        raise VideoSetError(f"--out '{folder}' is a file; name a new or empty folder")
    if not folder.exists():
        return False
    foreign = foreign_files(folder, OURS, {MARKER, LOCK})
    if foreign:
        raise VideoSetError(f"--out '{folder}' holds other files ({some_of(foreign)}); name a new or empty folder")
    marker = read_marker(folder / MARKER)
    if marker is None:
        return False
    made_with = marker.get("settings")
    made_with = made_with if isinstance(made_with, dict) else {}
    if isinstance(made_with.get("axes"), dict):  # an axis that the set does not know was at its default, or off
        usual = json.loads(json.dumps(vars(Axes())))
        made_with = made_with | {"axes": usual | made_with["axes"]}
    other = sorted(name for name in settings if made_with.get(name) != settings[name])
    if other:
        raise VideoSetError(
            f"--out '{folder}' holds a set that was made with other settings ({', '.join(other)}); name a new folder, "
            "or delete that one"
        )
    return marker.get("finished") is True


def write_set(folder: Path, plan: Plan, settings: dict, workers: int | None) -> None:
    start = time.monotonic()
    lists = {split: jobs_of(split, plan) for split in SPLITS}
    for split, members in lists.items():
        (folder / "videos" / split).mkdir(parents=True, exist_ok=True)
        for part in (folder / "videos" / split).glob(".*.mp4"):  # what a killed run was at
            part.unlink(missing_ok=True)
        rows = "".join(f"{job.path} {plan.actions.index(job.action)}\n" for job in members)
        write_whole(folder / f"{split}.csv", rows.encode())
    write_whole(folder / "classes.txt", "".join(f"{action.name}\n" for action in plan.actions).encode())
    write_whole(folder / MARKER, json.dumps({"finished": False, "settings": settings}).encode())
    jobs = [job for split in SPLITS for job in lists[split]]
    todo = [job for job in jobs if not (folder / job.path).exists()]
    workers = min(workers or usable_cores(), max(len(todo), 1))
    make, terminal = partial(make_video, folder=folder, plan=plan), sys.stderr.isatty()
    for _ in tqdm(finished(make, todo, workers), desc="videos", total=len(todo), unit="video", disable=not terminal):
        pass
    write_whole(folder / MARKER, json.dumps({"finished": True, "settings": settings}).encode())
    kept = f", {len(jobs) - len(todo)} were there" if len(todo) < len(jobs) else ""
    took = time.monotonic() - start
    print(f"videos: made {len(todo)} in {folder} in {took:.0f} s{kept}", file=sys.stderr)


def make_videos(folder: str | Path, plan: Plan, *, workers: int | None = None) -> None:
    """Makes the set of ``plan`` in ``folder``: ``videos/<split>/<action>_<nnnnn>.mp4``, ``{train,val,test}.csv``,
    ``classes.txt`` and a marker that says what it was made with; videos that are there are kept.

    Args:
        folder: a new or empty folder, or one that holds this set, whole or in part.
        workers: processes, one per core where not said; the bytes do not depend on it.

    Raises:
        VideoSetError: a number is out of range, the folder holds something else, or it cannot be written.
        RunStopped: a process was killed; the next call goes on.
    """
    folder = Path(folder)
    check_plan(plan)
    if workers is not None and workers < 1:
        raise VideoSetError(f"--workers must be 1 or more, got {workers}")
    settings = described(plan)
    if check_folder(folder, settings):
        print(f"videos: the set in {folder} is whole", file=sys.stderr)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK):
            if not check_folder(folder, settings):  # else another process has made it meanwhile
                write_set(folder, plan, settings, workers)
    except OSError as error:
        raise VideoSetError(f"--out '{folder}' cannot be written: {error.strerror or error}") from error
