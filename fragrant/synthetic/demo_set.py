"""Makes the demo set: small real videos of six actions in the dark, with their lists, once, from a seed.

Its drawing is that of figure.py and scene.py, which stay as they are: published accuracies stand on its bytes. The
richer drawing is that of clip.py, and video_set.py makes sets with it."""

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
from fragrant.synthetic.encoding import FPS, encode, write_whole
from fragrant.synthetic.figure import ACTIONS
from fragrant.synthetic.scene import darken, draw_clip
from fragrant.synthetic.set_folder import foreign_files, locked, read_marker, some_of
from fragrant.synthetic.thermal import draw_thermal
from fragrant.workers import usable_cores, worker_pool

SPLITS = ("train", "val", "test")
DARKEST, BRIGHTEST = 0.03, 0.13  # mean luma asked for, of 1; noise and encoding move it a little
FEW = 24  # so many videos are made before a pool of processes has paid for itself
MARKER = "demo_set.json"  # written last: the set is whole
LOCK = "demo_set.lock"  # written first: the folder is ours
OURS = {MARKER, LOCK, "videos", "classes.txt", *(f"{split}.csv" for split in SPLITS)}
THERMAL_VERSION = 1  # the same for infrared sets
VERSION = 1  # raise it when the drawing changes: sets made before are made anew


class DemoSetError(UserError):
    """A demo set that cannot be made as asked."""


class Clip(NamedTuple):
    """A video to make, which depends only on its number, split and action, and on the settings of the set."""

    split: str
    action: str
    number: int

    @property
    def path(self) -> str:
        return f"videos/{self.split}/{self.action}_{self.number:03d}.mp4"


def draw(where: Sequence[int], action: str, exposures: Sequence[float] = (), **size: int) -> np.ndarray:
    """Draws and darkens one video: (T, H, W, 3) uint8.

    The scene (person, room, light, exposure, timing) depends on ``where`` alone, which is seed, split and number: video
    7 of every class shows the same person in the same room, so nothing but the motion tells the classes apart.

    Args:
        size: ``frames``, ``height`` and ``width``.
    """
    scene_rng, noise_rng = np.random.default_rng(where), np.random.default_rng([*where, ACTIONS.index(action)])
    luma = float(np.exp(scene_rng.uniform(np.log(DARKEST), np.log(BRIGHTEST))))
    if exposures:
        luma = exposures[where[-1] % len(exposures)]
    return darken(noise_rng, draw_clip(scene_rng, action, fps=FPS, **size), luma, lamp=bool(exposures))


def make_video(clip: Clip, folder: Path, settings: dict) -> None:
    """Draws and encodes one video."""
    where = (settings["seed"], SPLITS.index(clip.split), clip.number)
    size = {"frames": settings["num_frames"], "height": settings["height"], "width": settings["width"]}
    picture = draw_thermal if settings.get("thermal") else draw
    encode(folder / clip.path, picture(where, clip.action, settings.get("exposures", ()), **size))


def clips_of(split: str, per_class: int) -> list[Clip]:
    """The clips of a split in the order of its list: every first part of it is balanced."""
    return [Clip(split, action, number) for number in range(per_class) for action in ACTIONS]


def finished(make, clips: list[Clip]) -> Iterator[None]:
    """Makes the clips, on all cores when there are many; yields after each one."""
    workers = min(usable_cores(), len(clips))
    if workers == 1 or len(clips) <= FEW:
        yield from map(make, clips)
        return
    with worker_pool(workers) as pool:
        yield from pool.map(make, clips, chunksize=4)


def check_folder(folder: Path) -> None:
    """Checks that the folder holds nothing but what the demo set wrote; hidden files do not count."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DemoSetError(
            f"the demo set cannot be made in '{folder}': it is a file; DATA.PATH_TO_DATA_DIR must be a new or "
            "empty folder"
        )
    foreign = foreign_files(folder, OURS, {MARKER, LOCK})
    if foreign:
        raise DemoSetError(
            f"the demo set is not made in '{folder}': it holds other files ({some_of(foreign)}); "
            "set DATA.PATH_TO_DATA_DIR to a new or empty folder, or TRAIN.DATASET / TEST.DATASET to kinetics to "
            "use the lists there"
        )


def check_settings(settings: dict) -> None:
    wrong = [
        f"DEMO_SET.{name.upper()} must be {what}, got {settings[name]}"
        for name, what, good in (
            ("seed", "0 or more", lambda n: n >= 0),
            ("videos_per_class", "1 or more", lambda n: n >= 1),
            ("test_videos_per_class", "1 or more", lambda n: n >= 1),
            ("num_frames", "2 or more", lambda n: n >= 2),
            ("height", "even and 32 or more", lambda n: n >= 32 and n % 2 == 0),
            ("width", "even and 32 or more", lambda n: n >= 32 and n % 2 == 0),
        )
        if not good(settings[name])
    ]
    if not all(0 < luma < 1 for luma in settings.get("exposures", ())):
        wrong.append(f"DEMO_SET.EXPOSURES must be between 0 and 1, got {settings['exposures']}")
    if wrong:
        raise DemoSetError("; ".join(wrong))


def clear(folder: Path) -> None:
    """Deletes a set made with other settings, or an unfinished one, marker first."""
    old = [folder / MARKER, *(folder / f"{split}.csv" for split in SPLITS)]
    for split in SPLITS:
        old += sorted((folder / "videos" / split).glob("*.mp4"))
    for path in old:
        path.unlink(missing_ok=True)


def write_set(folder: Path, settings: dict) -> None:
    test = settings["test_videos_per_class"]
    sizes = {"train": settings["videos_per_class"], "val": max(1, test * 2 // 3), "test": test}
    lists = {split: clips_of(split, sizes[split]) for split in SPLITS}
    for split in SPLITS:
        (folder / "videos" / split).mkdir(parents=True, exist_ok=True)
    clips = [clip for split in SPLITS for clip in lists[split]]
    start = time.monotonic()
    terminal = sys.stderr.isatty()
    make = partial(make_video, folder=folder, settings=settings)
    for _ in tqdm(finished(make, clips), desc="demo set", total=len(clips), unit="video", disable=not terminal):
        pass
    for split, members in lists.items():
        rows = "".join(f"{clip.path} {ACTIONS.index(clip.action)}\n" for clip in members)
        write_whole(folder / f"{split}.csv", rows.encode())
    write_whole(folder / "classes.txt", "".join(f"{action}\n" for action in ACTIONS).encode())
    write_whole(folder / MARKER, json.dumps(settings, indent=1).encode())
    if not terminal:
        print(f"demo set: made {len(clips)} videos in {folder} in {time.monotonic() - start:.0f} s", file=sys.stderr)


def make_demo_set(
    folder: str | Path,
    *,
    seed: int = 0,
    videos_per_class: int = 40,
    test_videos_per_class: int = 15,
    num_frames: int = 48,
    height: int = 96,
    width: int = 128,
    exposures: Sequence[float] = (),
    thermal: bool = False,
) -> None:
    """Makes the demo set: ``videos/<split>/<class>_<nnn>.mp4``, ``{train,val,test}.csv`` and ``classes.txt`` in
    ``folder``, unless they are there.

    Safe to call from several processes at once; a set that was not finished, or made with other settings, is made anew.

    Args:
        folder: a new or empty folder, or one that holds a demo set.
        seed: seed of all draws; another one gives other people in other rooms.
        videos_per_class: videos of each class in the training list; the three lists share no video and no scene.
        test_videos_per_class: videos of each class in the test list; the validation list has two thirds as many.
        num_frames: frames of every video, at 30 per second.
        height: height of the frames in pixels, even.
        width: width of the frames in pixels, even.
        exposures: mean luma, 0 to 1, that the videos of a class have in turn, all in rooms with a strip light that
            stays white; none:
            every video has its own, from 0.03 to 0.13, and no lamp.
        thermal: the same scenes as an infrared camera sees them, see ``draw_thermal``: the pairs of a set that is made
            with the same other settings, in a folder of their own.

    Raises:
        DemoSetError: a setting is out of range, the folder holds other files, or it cannot be written.
    """
    folder = Path(folder)
    settings: dict = {"version": VERSION, "seed": seed, "videos_per_class": videos_per_class}
    settings |= {"test_videos_per_class": test_videos_per_class, "num_frames": num_frames}
    settings |= {"height": height, "width": width}
    # named only where asked for: sets without stay as they are
    settings |= {"exposures": list(exposures)} if exposures else {}
    settings |= {"thermal": THERMAL_VERSION} if thermal else {}
    if read_marker(folder / MARKER) == settings:
        return
    check_settings(settings)
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK):
            if read_marker(folder / MARKER) != settings:  # else another process has made it meanwhile
                clear(folder)
                write_set(folder, settings)
    except OSError as error:
        raise DemoSetError(
            f"the demo set cannot be written to '{folder}': {error.strerror or error}; set DATA.PATH_TO_DATA_DIR"
        ) from error
