"""Parts of a run that training and testing share: job, model, scores."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.config import cfg_from_text
from fragrant.config.streams import lists_folder
from fragrant.data import build_records
from fragrant.data.lists.shared import shared_videos
from fragrant.data.loader import ClipLoader
from fragrant.distributed.signals import StopRequest
from fragrant.errors import RunStopped, UserError
from fragrant.layers.preparation import ClipPreparation, StreamsPreparation
from fragrant.logs import RunLog
from fragrant.models.backbone import Backbone
from fragrant.models.compiling import as_written
from fragrant.objectives import Unlabelled
from fragrant.runtime.build import model_on_device
from fragrant.runtime.evaluate import Scored, observe_videos, score_videos
from fragrant.runtime.precision import pick_precision

OPTIMISTIC = "optimistic: the best epoch was picked on the test list"  # TEST.SELECT_ON test; stands in every output
OPTIMISTIC_IN_PART = "optimistic: the best epoch was picked on {} of the {} test videos"  # val lists that share videos
GUESSED = "against guesses: the labels of {} of the {} videos are the likeliest class of a list of probabilities"


class Job(NamedTuple):
    """Settings and state of a run that its parts share."""

    cfg: CfgNode
    device: torch.device
    log: RunLog
    # uint8 clips (N, C, T, H, W) -> normalised float32 clips, C of each stream of the network
    prepare: ClipPreparation | StreamsPreparation
    stop: StopRequest
    accept_changes: bool = False  # --accept-changes: a resumed run may have another config than its checkpoint


def part_of(cfg: CfgNode) -> str:
    """Which part of a test this run is, ``"0-of-8"``; "" = the whole. Parts may work in one folder at once: part 0
    writes what all have in common."""
    return f"{cfg.TEST.PART}-of-{cfg.TEST.NUM_PARTS}" if cfg.TEST.NUM_PARTS > 1 else ""


def build_job_model(job: Job, *, compiled: bool = False) -> Backbone:
    return model_on_device(job.cfg, job.device, channels_last=job.cfg.TRAIN.CHANNELS_LAST, compiled=compiled)


def paths_of(cfg: CfgNode, split: str) -> list[str]:
    """The videos of a list; in validation of pairs both, since a test may have either."""
    records = build_records(cfg, split).records
    return records.paths() if split == "val" else [record.path for record in records]


def selection_note(cfg: CfgNode) -> str:
    """What to say of numbers by which the best epoch is picked; "" where that is fair, or there is no test list yet."""
    if cfg.TEST.SELECT_ON == "test":
        return OPTIMISTIC
    try:
        val, test = (paths_of(cfg, split) for split in ("val", "test"))
    except UserError:
        return ""
    return shared_note(test, val)


def shared_note(test: Sequence[str], val: Sequence[str]) -> str:
    """``selection_note`` where both lists are at hand."""
    shared = shared_videos(test, val)
    return OPTIMISTIC_IN_PART.format(len(shared), len(test)) if shared else ""


def was_picked(state: dict) -> bool:
    """Does a checkpoint hold the weights of the best epoch, rather than of the last?"""
    best = state.get("best") or {}
    return "epoch" in best and best["epoch"] == state.get("epoch") and not state.get("batch")


def note_of_test(cfg: CfgNode, state: dict, test: Sequence[str]) -> str:
    """What to say of a test of these videos with the weights of a checkpoint: were they picked by what they did there?

    Who picked them is held against the test list where its validation list can still be read; else the checkpoint knows
    what there was to say when it was written.
    """
    if "test" in (cfg.TEST.SELECT_ON, state.get("selected_on")):
        return OPTIMISTIC
    if not was_picked(state):
        return ""
    for config in (state.get("cfg"), cfg):
        try:
            own = cfg_from_text(config) if isinstance(config, str) else cfg
            if os.path.isdir(lists_folder(own) or "."):  # a demo set would be made
                return shared_note(test, paths_of(own, "val"))
        except UserError:
            continue
    return str(state.get("protocol") or "")


def clip_names(loader: ClipLoader) -> Callable[[Sequence[int]], str]:
    return lambda ids: ", ".join(loader.dataset.records[i].path for i in ids)


def observe(job: Job, objective: Unlabelled, loader: ClipLoader, *, title: str) -> Tensor:
    """What an objective without labels keeps of every video, (n, ...); leaves the random state of training alone.

    Raises:
        RunStopped: not one video can be read.
    """
    precision = pick_precision(job.cfg.TEST.PRECISION, job.device, key="TEST.PRECISION")
    with torch.random.fork_rng(devices=[]), as_written(objective):
        rows = observe_videos(
            objective,
            loader,
            num_videos=len(loader.dataset.records),
            prepare=job.prepare,
            autocast=precision.autocast,
            device=job.device,
            watch=lambda batches: job.stop.watch(job.log.bar(batches, total=len(batches), title=title)),
        )
    if not len(rows):
        raise none_readable(title, loader)
    return rows


def none_readable(title: str, loader: ClipLoader) -> RunStopped:
    why = next(iter(loader.skipped.values()), "the list is empty")
    return RunStopped(f"{title}: not one of {len(loader.dataset.records)} videos can be read; the first: {why}")


def score(
    job: Job, model: nn.Module, loader: ClipLoader, *, title: str, clips_per_forward: int | None = None
) -> Scored:
    """Scores with the TEST settings, never compiled (see ``as_written``); leaves the random state of training alone.

    Args:
        clips_per_forward: None = TEST.BATCH_SIZE.

    Raises:
        RunStopped: not one video can be read.
    """
    cfg = job.cfg
    precision = pick_precision(cfg.TEST.PRECISION, job.device, key="TEST.PRECISION")
    with torch.random.fork_rng(devices=[]), as_written(model):
        scored = score_videos(
            model,
            loader,
            num_videos=len(loader.dataset.records),
            num_classes=cfg.MODEL.NUM_CLASSES,
            clips_per_forward=clips_per_forward or cfg.TEST.BATCH_SIZE,
            prepare=job.prepare,
            autocast=precision.autocast,
            device=job.device,
            multi_label=cfg.DATA.MULTI_LABEL,
            watch=lambda batches: job.stop.watch(job.log.bar(batches, total=len(batches), title=title)),
        )
    if not len(scored.ids):
        raise none_readable(title, loader)
    return scored
