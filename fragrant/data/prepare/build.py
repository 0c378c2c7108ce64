"""Looks at whole lists as the config has them: checks them, measures their pixels."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from fvcore.common.config import CfgNode
from torch import Tensor

from fragrant.config.streams import COLOR, MODALITIES, THERMAL, alone_in_test, has_pairs, has_two_streams
from fragrant.data.build import SPLITS, build_dataset, build_records, frame_opener, gray_range, remote_of
from fragrant.data.datasets.build import lists_and_faults, names_and_records
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import RecordList
from fragrant.data.prepare.across import across
from fragrant.data.prepare.check import Checked, as_pairs, check_list, places, summary, write_clean_list, write_table
from fragrant.data.prepare.statistics import PixelStatistics, measure, told
from fragrant.data.transforms.build import clip_enhancement
from fragrant.data.transforms.pairs import PairTransform
from fragrant.data.transforms.view_transforms import TrainTransform
from fragrant.data.video.frames import Limits, OpenFrames, open_frames
from fragrant.texts import say

SECOND = ".thermal"  # behind the name of a list: that of the second stream of its pairs


class Settings(NamedTuple):
    """How lists are checked.

    Attributes:
        min_frames: a shorter video is a problem; None = DATA.NUM_FRAMES.
        workers: reading processes.
    """

    min_frames: int | None
    workers: int


class Listed(NamedTuple):
    """A list to look at.

    Attributes:
        name: of the split, or of the list file.
        split: whose rules it is read by.
        records: the rows that can be used.
        faults: line number -> what is wrong with it, of the other rows.
        class_names: name of each label; None where nobody says.
    """

    name: str
    split: str
    records: RecordList
    faults: dict[int, str]
    class_names: list[str] | None


def listed(cfg: CfgNode, name: str, split: str, path: str = "") -> Listed:
    """A split of the config, as a run gets it, or another list file; rows that are wrong are no error.

    Raises:
        ListError: there is no such list.
    """
    drawn = cfg.DATA.FOLDS or (cfg.DATA.HOLD_OUT and split != "test") or (cfg.DATA.SHOTS and split == "train")
    if drawn and not path:
        records, names = build_records(cfg, split)
        return Listed(name, split, records, {}, names)
    names, records, faults = names_and_records(cfg, split, path)
    return Listed(name, split, records, faults, names)


def opener_of_files(cfg: CfgNode, stream: int = 0) -> OpenFrames:
    """What opens the videos of the config as they are: without its cache, its size and its decoder; of pairs, those of
    one stream."""
    limits = Limits(cfg.DATA.MAX_FRAME_MEGAPIXELS, cfg.DATA.MAX_DECODED_GB)
    folders = {"template": cfg.DATA.IMAGE_TEMPLATE, "base": cfg.DATA.IMAGE_BASE}
    return partial(open_frames, **folders, limits=limits, remote=remote_of(cfg), gray_range=gray_range(cfg, stream))


def check_lists(
    cfg: CfgNode, lists: Sequence[tuple[str, str, str]], out: str, *, min_frames: int | None, workers: int, clean: bool
) -> int:
    """Checks lists, (name, split, path) each, of pairs each of the two, and prints what is wrong; writes
    <name>.table.csv of each in ``out``. Returns the number of problems.

    Args:
        min_frames: a shorter video is a problem; None = DATA.NUM_FRAMES.
        clean: also write the lists without the rows that have a problem.
    """
    settings = Settings(min_frames, workers)
    trained, done = dict[str, dict[str, str]](), dict[str, Checked]()
    for name, split, path in lists:
        found = check_split(cfg, name, split, path, settings, trained)
        if split == "train":
            trained = places_of(found)
        for part, checked in found.items():
            say(summary(checked))
            write_table(Path(out, f"{part}.table.csv"), checked)
            if clean:
                say(write_clean_list(*clean_place(out, name, part, len(found) > 1), checked, remote=remote_of(cfg)))
        done |= found
    for second in (False, True):
        parts = {name: checked for name, checked in done.items() if name.endswith(SECOND) == second}
        say(across(parts, group_by=cfg.DATA.GROUP_BY, dataset=cfg.TRAIN.DATASET))
    print(f"The tables are in {out}")
    return sum(len(checked.problems) for checked in done.values())


def clean_place(out: str, name: str, part: str, paired: bool) -> tuple[Path, str]:
    """Where the clean list of a list goes, and the key with which a run takes it; of pairs each stream has a folder."""
    if paired:
        stream = part.endswith(SECOND)
        folder = Path(out, MODALITIES[stream])
        return folder / f"{name}.csv", f"DATA.{(COLOR, THERMAL)[stream]} {folder.absolute()}"
    path = Path(out, f"{part}.csv")
    key = f"{name.upper()}_LIST" if name in SPLITS else "TRAIN_LIST (VAL_LIST, TEST_LIST)"
    return path, f"DATA.{key} {path.absolute()}"


def check_split(
    cfg, name: str, split: str, path: str, settings: Settings, trained: Mapping[str, Mapping[str, str]]
) -> dict[str, Checked]:
    """Checks a list: by its name what was found; of pairs two, "train" and "train.thermal"; of a test of the
    infrared stream alone "test.thermal".

    Args:
        path: another list file than that of the split, never of pairs; "" = that.
        trained: by the same names the videos of training lists, see ``places``.

    Raises:
        ListError: the list cannot be read, or two lists are no pairs.
    """
    min_frames = cfg.DATA.NUM_FRAMES if settings.min_frames is None else settings.min_frames
    lists = lists_and_faults(cfg, split, path)
    alone = 0 if len(lists) > 1 else alone_in_test(cfg) or 0
    found = {}
    for stream, (records, faults) in enumerate(lists, start=alone):
        its_name = f"{name}{SECOND}" if stream else name
        found[its_name] = check_list(
            records,
            faults,
            min_frames=min_frames,
            workers=settings.workers,
            known=trained.get(("train", f"train{SECOND}")[stream]),
            title=its_name,
            open_frames=opener_of_files(cfg, stream),
        )
    return dict(zip(found, as_pairs(*found.values()), strict=True)) if len(found) > 1 else found


def places_of(found: Mapping[str, Checked]) -> dict[str, dict[str, str]]:
    """The videos of each list, see ``places``."""
    return {name: places(checked.records) for name, checked in found.items()}


# ----------------------------------------------------------------------------------------------------------- statistics
def _one_stream(frames: Tensor) -> tuple[Tensor, ...]:
    return (frames,)


def _two_streams(frames: Tensor, *, enhance: str, gamma: float) -> tuple[Tensor, ...]:
    clips = frames.permute(3, 0, 1, 2).unsqueeze(0)  # (1, C, T, H, W)
    return frames, clip_enhancement(enhance, gamma)(clips)[0].permute(1, 2, 3, 0)


def streams_of(cfg: CfgNode) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """What makes the frames (T, H, W, 3) of every stream of the network from those of a clip, in a worker."""
    if not has_two_streams(cfg) or has_pairs(cfg):  # a pair is two videos
        return _one_stream
    return partial(_two_streams, enhance=cfg.DUAL.ENHANCE, gamma=cfg.DUAL.GAMMA)


def measure_list(cfg: CfgNode, records: RecordList, *, most: int, workers: int) -> list[PixelStatistics]:
    """Statistics of every stream of the training clips of these videos, in the light that the config makes: after
    DATA.DARKEN, DATA.ENHANCE and DATA.GAMMA, before they are cropped and augmented.

    Args:
        most: videos that are looked at, evenly from the list.

    Raises:
        ListError: not one of them can be read.
    """
    dataset, _ = build_dataset(cfg, "train", records)
    streams = [(records, cast(TrainTransform, dataset.transform))]
    if has_pairs(cfg):
        both = cast(PairTransform, dataset.transform).each
        streams = [(records, cast(TrainTransform, both[0])), (records.of_partners(), cast(TrainTransform, both[1]))]
    some = [at * len(records) // min(most, len(records)) for at in range(min(most, len(records)))]
    found = []
    for stream, (videos, transform) in enumerate(streams):
        found += measure(
            [videos[at].path for at in some],
            workers=workers,
            plan=dataset.plan,
            lit=transform.lit,
            streams=streams_of(cfg),
            open_frames=frame_opener(cfg, stream),
            seed=cfg.RNG_SEED,
        )
    return found


def tell_statistics(cfg: CfgNode, lists: Sequence[tuple[str, str, str]], *, most: int, workers: int) -> None:
    """Prints MEAN and STD of lists, (name, split, path) each, in the form of the command line and of yaml.

    Raises:
        ListError: ``most`` is below 1, or not one video of a list can be read.
    """
    if most < 1:
        raise ListError(f"--videos {most}: allowed: 1 or more")
    for name, split, path in lists:
        records = listed(cfg, name, split, path).records
        each = measure_list(cfg, records, most=most, workers=workers)
        say(f"{name}: one training clip of each of {each[0].videos} of {len(records)} videos, {_light(cfg)}")
        say(f"not among them: {reason}" for reason in each[0].unreadable)
        for node, found in zip(("DATA", "DUAL"), each, strict=False):
            say(told(node, found))


def _light(cfg: CfgNode) -> str:
    """``after DATA.ENHANCE clahe, DATA.GAMMA [3]``, or ``as they are``"""
    data = cfg.DATA
    words = [f"DATA.DARKEN {data.DARKEN}"] if data.DARKEN else []
    words += [f"DATA.ENHANCE {data.ENHANCE}"] if data.ENHANCE != "none" else []
    words += [f"DATA.GAMMA {data.GAMMA}"] if data.GAMMA and data.GAMMA_IN in ("both", "train") else []
    if has_two_streams(cfg) and not has_pairs(cfg):
        words.append(f"of the second stream also DUAL.ENHANCE {cfg.DUAL.ENHANCE}, DUAL.GAMMA {cfg.DUAL.GAMMA}")
    which = "the visible ones " if has_pairs(cfg) else ""
    return f"{which}after {', '.join(words)}" if words else "as they are"
