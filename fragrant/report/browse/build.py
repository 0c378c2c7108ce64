"""Builds the page of a data set from the config: its lists read, its videos looked at, draws of the training made."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from fvcore.common.config import CfgNode

from fragrant.config.streams import alone_in_test
from fragrant.data.build import build_dataset
from fragrant.data.lists.records import RecordList, each_label
from fragrant.data.prepare.build import Listed, listed, opener_of_files
from fragrant.data.prepare.check import judged, places
from fragrant.data.transforms.build import build_erasing, build_normalizations, prepared_streams
from fragrant.errors import UserError
from fragrant.files import write_whole
from fragrant.report.browse.augmented import all_draws
from fragrant.report.browse.content import UNLABELLED, Drawn, ListContent, browse_content
from fragrant.report.browse.look import Seen, look_at_all, shown_of, some_of
from fragrant.report.page import page_of
from fragrant.report.strips import evenly

PREVIEWS = 8  # of a class
ALL_PREVIEWS = 600  # about, where --previews is not given: some 15 MB
VIDEOS = 2000  # of a list that are looked at
CLIPS = 12  # that --augmented draws of


class Wanted(NamedTuple):
    """What the page shows.

    Attributes:
        videos: of a list that are looked at; 0 = all.
        previews: of a class; None = ``PREVIEWS``, fewer where there are many classes.
        augmented: draws of a clip, 0 = none.
        min_frames: a shorter video is a problem; None = DATA.NUM_FRAMES.
        workers: reading processes.
    """

    videos: int = VIDEOS
    previews: int | None = None
    augmented: int = 0
    min_frames: int | None = None
    workers: int = 1


def write_page(cfg: CfgNode, lists: Sequence[tuple[str, str, str]], to: str, wanted: Wanted, *, title: str) -> str:
    """Writes the page of lists, (name, split, path) each; returns what is on it, in a line. A list of the config that
    is not there is a note on the page.

    Raises:
        UserError: there is none of the lists, one that was named is not there, or a number is out of range.
    """
    for name in ("videos", "augmented", "previews"):
        if (getattr(wanted, name) or 0) < 0:
            raise UserError(f"--{name} {getattr(wanted, name)}: allowed: 0 or more")
    found, notes = read_lists(cfg, lists)
    parts = [some_of(one.records, wanted.videos) for one in found]
    classes = len({label for part in parts for record in part for label in each_label(record.label)})
    per_class = min(PREVIEWS, max(1, ALL_PREVIEWS // max(classes, 1))) if wanted.previews is None else wanted.previews
    paths = [record.path for part in parts for record in part]
    seen = look_at_all(
        paths,
        shown_of(parts, per_class),
        workers=wanted.workers,
        open_frames=opener_of_files(cfg, alone_in_test(cfg) or 0),
    )
    contents = judged_lists(cfg, found, parts, seen, wanted.min_frames)
    previews = {path: one.preview for path, one in seen.items() if one.preview}
    drawn = draw(cfg, found, wanted.augmented, set(previews)) if wanted.augmented else []
    content = browse_content(
        contents,
        previews,
        title=title,
        class_names=next((one.class_names for one in found if one.class_names), None),
        notes=notes,
        drawn=drawn,
        clip=clip_in_words(cfg),
        per_class=per_class,
    )
    try:
        write_whole(Path(to), page_of("browse", content, __package__).encode())
    except OSError as error:
        raise UserError(f"--to '{to}' cannot be written: {error.strerror or error}") from error
    problems = content["problems"]["total"]
    lost = f"; not one preview: do the paths of the lists begin at DATA.PATH_PREFIX '{cfg.DATA.PATH_PREFIX}'?"
    hint = lost if problems and not content["previews"] else ""
    return (
        f"{len(paths)} videos looked at, {problems} problem{'s' * (problems != 1)}, "
        f"{len(content['previews'])} previews: {to} ({Path(to).stat().st_size / 1e6:.1f} MB){hint}"
    )


def read_lists(cfg: CfgNode, lists: Sequence[tuple[str, str, str]]) -> tuple[list[Listed], list[str]]:
    """The lists that are there; why others are not, and what is not shown of those, in lines.

    Raises:
        UserError: none is there, or one that was named is not.
    """
    found, notes = list[Listed](), list[str]()
    for name, split, path in lists:
        try:
            one = listed(cfg, name, split, path)
        except UserError as error:
            if path or len(lists) == 1:
                raise
            notes.append(f"no {name} list: {error}")
            continue
        found.append(one)
        if one.records.paired:
            notes.append(f"{name}: of its pairs the visible videos; tools/check_data.py checks both lists")
    if not found:
        raise UserError("; ".join(notes))
    return found, notes


def judged_lists(
    cfg: CfgNode, found: Sequence[Listed], parts: Sequence[RecordList], seen: dict[str, Seen], min_frames: int | None
) -> list[ListContent]:
    """The lists with their problems, as ``tools/check_data.py`` names them."""
    contents, trained = [], dict[str, str]()
    least = cfg.DATA.NUM_FRAMES if min_frames is None else min_frames
    for one, part in zip(found, parts, strict=True):
        probes = [seen[record.path].probe for record in part]
        checked = judged(part, one.faults, probes, min_frames=least, known=trained)
        if one.split == "train":
            trained = places(one.records)
        contents.append(ListContent(one.name, one.records, checked))
    return contents


def draw(cfg: CfgNode, found: Sequence[Listed], count: int, readable: set[str]) -> list[Drawn]:
    """``count`` draws of one readable video of each class, ``CLIPS`` classes at most, of the first list: that of the
    training, if the page has it."""
    one = found[0]
    dataset, _ = build_dataset(cfg, "train", one.records, hand_over=math.inf)
    first: dict[int, int] = {}
    for at, record in enumerate(one.records):
        if record.path in readable:
            first.setdefault(each_label(record.label)[0], at)
    labels = [sorted(first)[at] for at in evenly(len(first), CLIPS)]
    names = one.class_names or []
    told = {label: names[label] if 0 <= label < len(names) else f"class {label}" for label in labels} | {-1: UNLABELLED}
    return all_draws(
        [(first[label], told[label]) for label in labels],
        dataset,
        count=count,
        prepare=prepared_streams(cfg, torch.device("cpu"), erasing=build_erasing(cfg)),
        normalizations=build_normalizations(cfg),
    )


def clip_in_words(cfg: CfgNode) -> str:
    """What the config makes of a video in training, in a line."""
    data, aug = cfg.DATA, cfg.AUG
    words = [
        f"{data.NUM_FRAMES} frames, {data.SAMPLING}" + (f" x {data.SAMPLING_RATE}" if data.SAMPLING == "dense" else ""),
        f"{data.TRAIN_CROP_SIZE} x {data.TRAIN_CROP_SIZE} pixels",
        *(["flipped at random"] if data.RANDOM_FLIP else []),
        *([f"darkened {list(data.DARKEN)}"] if data.DARKEN else []),
        *([f"enhanced by {data.ENHANCE}"] if data.ENHANCE != "none" else []),
        *([f"gamma {list(data.GAMMA)}"] if data.GAMMA and data.GAMMA_IN in ("both", "train") else []),
        *([aug.AA_TYPE] if aug.ENABLE and aug.AA_TYPE else []),
        *([f"erased with probability {aug.RE_PROB:g}"] if aug.ENABLE and aug.RE_PROB else []),
    ]
    return ", ".join(words)
