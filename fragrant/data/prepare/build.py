"""Checks the lists of a config: those of pairs one by one, and then row by row."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from fragrant.data.build import gray_range, remote_of
from fragrant.data.datasets.build import records_and_faults
from fragrant.data.prepare.check import Checked, as_pairs, check_list, places
from fragrant.data.video.frames import Limits, OpenFrames, open_frames


class Settings(NamedTuple):
    """How lists are checked.

    Attributes:
        min_frames: a shorter video is a problem; None = DATA.NUM_FRAMES.
        workers: reading processes.
    """

    min_frames: int | None
    workers: int


def _opener(cfg, stream: int) -> OpenFrames:
    """Opens whole videos, whatever decodes or reduces them later."""
    limits = Limits(cfg.DATA.MAX_FRAME_MEGAPIXELS, cfg.DATA.MAX_DECODED_GB)
    folders = {"template": cfg.DATA.IMAGE_TEMPLATE, "base": cfg.DATA.IMAGE_BASE}
    return partial(open_frames, **folders, limits=limits, remote=remote_of(cfg), gray_range=gray_range(cfg, stream))


def check_split(
    cfg, name: str, split: str, path: str, settings: Settings, trained: Mapping[str, Mapping[str, str]]
) -> dict[str, Checked]:
    """Checks a list: by its name what was found; of pairs two, "train" and "train.thermal".

    Args:
        path: another list file than that of the split, never of pairs; "" = that.
        trained: by the same names the videos of training lists, see ``places``.

    Raises:
        ListError: the list cannot be read, or two lists are no pairs.
    """
    min_frames = cfg.DATA.NUM_FRAMES if settings.min_frames is None else settings.min_frames
    records, faults = records_and_faults(cfg, split, path)
    streams = {name: (records, 0)}
    if records.paired:
        streams[f"{name}.thermal"] = (records.of_partners(), 1)
    found = {}
    for at, (its_name, (its_records, stream)) in enumerate(streams.items()):
        found[its_name] = check_list(
            its_records,
            {} if at else faults,
            min_frames=min_frames,
            workers=settings.workers,
            known=trained.get(("train", "train.thermal")[at]),
            title=its_name,
            open_frames=_opener(cfg, stream),
        )
    return dict(zip(found, as_pairs(*found.values()), strict=True)) if len(found) > 1 else found


def places_of(found: Mapping[str, Checked]) -> dict[str, dict[str, str]]:
    """The videos of each list, see ``places``."""
    return {name: places(checked.records) for name, checked in found.items()}
