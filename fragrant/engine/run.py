"""A run: training, then testing."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from fragrant.checkpoint import best_path, find_latest
from fragrant.config import check_training
from fragrant.distributed import from_main, is_main
from fragrant.distributed.run_lock import RunLock
from fragrant.distributed.signals import EndedBySignal, Interrupted, StopRequest, requeue
from fragrant.engine.build import Job
from fragrant.engine.testing import adapt, test
from fragrant.engine.training import refuse_other_config, train, write_config
from fragrant.errors import UserError
from fragrant.logs import RunLog
from fragrant.runtime.build import build_preparation, prepare_device
from fragrant.trackers.build import build_trackers, tracker_classes, wants_board


def train_and_test(job: Job) -> None:
    """What TRAIN.ENABLE and TEST.ENABLE say."""
    settings = job.cfg
    if settings.TRAIN.ENABLE:
        train(job)
    if settings.TEST.ENABLE:
        test(job)
    elif settings.BN.ADAPT_LIST:
        adapt(job)


def run(
    cfg: CfgNode,
    device: torch.device,
    *,
    accept_changes: bool = False,
    work: Callable[[Job], None] = train_and_test,
) -> None:
    """Trains and tests, as TRAIN.ENABLE and TEST.ENABLE say; ends early, and well, when SIGTERM or SIGUSR1 asks for
    it.

    Args:
        accept_changes: go on from a checkpoint that was trained with other values.
        work: what is done in OUTPUT_DIR.

    Raises:
        UserError: another run has OUTPUT_DIR, or the weights there were trained with other values; no file is changed.
    """
    if cfg.TRAIN.ENABLE:
        check_training(cfg)
    tracker_classes(cfg)  # installed?
    part = f"part-{cfg.TEST.PART}-of-{cfg.TEST.NUM_PARTS}" if cfg.TEST.NUM_PARTS > 1 else ""
    lock = RunLock(cfg.OUTPUT_DIR, part=part)  # of the main process, for all
    try:
        notes = from_main(partial(open_output_dir, cfg, lock, accept_changes=accept_changes))
        _run(cfg, device, notes, work, accept_changes=accept_changes)
    finally:
        lock.release()


def _run(
    cfg: CfgNode, device: torch.device, notes: list[str], work: Callable[[Job], None], *, accept_changes: bool
) -> None:
    board = Path(cfg.OUTPUT_DIR, cfg.TENSORBOARD.LOG_DIR or f"runs-{cfg.TRAIN.DATASET}") if wants_board(cfg) else None
    with RunLog(cfg.OUTPUT_DIR, tensorboard_dir=board, main=is_main()) as log, StopRequest() as stop:
        for note in notes:
            log.warn(note)
        for tracker in build_trackers(cfg, say=log.say, warn=log.warn) if is_main() else ():
            log.track(tracker)
        prepare_device(cfg, device)
        preparation = build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST)
        job = Job(cfg, device, log, preparation, stop, accept_changes)
        try:
            work(job)
            log.say(f"Results are in {cfg.OUTPUT_DIR}")
        except (Interrupted, EndedBySignal) as end:
            saved = isinstance(end, Interrupted)  # else there was nothing to save yet
            if saved:
                log.say(str(end))
            if cfg.TRAIN.REQUEUE and is_main():
                log.say(requeue(os.environ))
            if not saved:
                raise


def open_output_dir(cfg: CfgNode, lock: RunLock, *, accept_changes: bool) -> list[str]:
    """Makes OUTPUT_DIR and takes it for this run. What the user should know about it.

    A test without training writes its config there, unless the folder has that of the weights.

    Raises:
        UserError: it cannot be written, another run has it, or its weights belong to another config.
    """
    out = Path(cfg.OUTPUT_DIR)
    try:
        out.mkdir(parents=True, exist_ok=True)
        notes = lock.take()
        if cfg.TRAIN.ENABLE:
            refuse_other_config(cfg, accept_changes=accept_changes)
        (out / "checkpoints").mkdir(exist_ok=True)
        if not (cfg.TRAIN.ENABLE or find_latest(out) or best_path(out).exists()):
            write_config(cfg)
    except OSError as error:
        raise UserError(f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' cannot be written: {error.strerror or error}") from error
    return notes
