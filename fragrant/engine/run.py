"""A run: training, then testing."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from fragrant.checkpoint import best_path, find_latest
from fragrant.config import check_training
from fragrant.config.run_folder import RunFolder, refuse_fields, with_output_dir
from fragrant.distributed import from_main, is_main
from fragrant.distributed.environment import launched
from fragrant.distributed.run_lock import RunLock
from fragrant.distributed.signals import KEYBOARD, EndedBySignal, Interrupted, StopRequest, requeue
from fragrant.engine.build import Job, part_of
from fragrant.engine.continuing import refuse_other_config, write_config
from fragrant.engine.environment_file import NAME as ENVIRONMENT
from fragrant.engine.environment_file import write_environment
from fragrant.engine.testing import adapt, test
from fragrant.engine.training import train
from fragrant.errors import UserError
from fragrant.logs import RunLog
from fragrant.runtime.build import build_preparation, prepare_device
from fragrant.trackers.build import build_trackers, tracker_classes, wants_board


def train_and_test(job: Job) -> None:
    """What TRAIN.ENABLE and TEST.ENABLE say."""
    settings = job.cfg
    finished = train(job) if settings.TRAIN.ENABLE else None
    if settings.TEST.ENABLE:
        test(job, finished=finished)
    elif settings.BN.ADAPT_LIST:
        adapt(job)


def run(
    cfg: CfgNode,
    device: torch.device,
    *,
    accept_changes: bool = False,
    work: Callable[[Job], None] = train_and_test,
    place: Callable[[], RunFolder] | None = None,
) -> None:
    """Trains and tests, as TRAIN.ENABLE and TEST.ENABLE say; ends early, and well, when SIGTERM or SIGUSR1 asks for
    it, or Ctrl-C.

    Args:
        accept_changes: go on from a checkpoint that was trained with other values.
        work: what is done in OUTPUT_DIR.
        place: makes or finds the folder where OUTPUT_DIR has fields; the main process asks it, for all.

    Raises:
        UserError: another run has OUTPUT_DIR, or the weights there were trained with other values; no file is changed.
        KeyboardInterrupt: after Ctrl-C, which was saved where it trained.
    """
    if cfg.TRAIN.ENABLE:
        check_training(cfg)
    tracker_classes(cfg)  # installed?
    chosen = from_main(place) if place else None
    cfg = with_output_dir(cfg, chosen.path) if chosen else cfg
    part = part_of(cfg)
    lock = RunLock(cfg.OUTPUT_DIR, part=f"part-{part}" if part else "")  # of the main process, for all
    try:
        notes = from_main(partial(open_output_dir, cfg, lock, accept_changes=accept_changes))
        _run(cfg, device, notes, work, chosen, accept_changes=accept_changes)
    finally:
        lock.release()


def _run(
    cfg: CfgNode,
    device: torch.device,
    notes: list[str],
    work: Callable[[Job], None],
    chosen: RunFolder | None,
    *,
    accept_changes: bool,
) -> None:
    board = Path(cfg.OUTPUT_DIR, cfg.TENSORBOARD.LOG_DIR or f"runs-{cfg.TRAIN.DATASET}") if wants_board(cfg) else None
    by_keyboard = False
    with RunLog(cfg.OUTPUT_DIR, tensorboard_dir=board, main=is_main()) as log, StopRequest() as stop:
        if chosen:
            log.say(chosen.note)
        for note in notes:
            log.warn(note)
        for tracker in build_trackers(cfg, say=log.say, warn=log.warn) if is_main() else ():
            log.track(tracker)
        prepare_device(cfg, device)
        first = cfg.TEST.PART == 0 and not Path(cfg.OUTPUT_DIR, ENVIRONMENT).exists()
        if is_main() and (cfg.TRAIN.ENABLE or first):
            try:
                write_environment(cfg.OUTPUT_DIR, device)
            except OSError as error:
                log.warn(f"{ENVIRONMENT} could not be written: {error.strerror or error}")
        preparation = build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST)
        job = Job(cfg, device, log, preparation, stop, accept_changes)
        try:
            work(job)
            log.say(f"Results are in {cfg.OUTPUT_DIR}")
        except (Interrupted, EndedBySignal) as end:
            by_keyboard = isinstance(end, Interrupted) and end.by == KEYBOARD
            if isinstance(end, Interrupted):
                same = end.saved and cfg.TRAIN.AUTO_RESUME and not chosen
                log.say(f"{end}{'; the same command goes on from there' * same}")
            if by_keyboard and not launched(os.environ):
                log.say(f"to go on: {command_to_go_on(cfg, sys.argv)}")
            elif chosen:
                log.say(chosen.again)
            if cfg.TRAIN.REQUEUE and is_main() and not by_keyboard:
                log.say(requeue(os.environ))
            if isinstance(end, EndedBySignal):  # there was nothing to save yet
                raise
    if by_keyboard:  # saved, but whoever started this is not to go on with the next command
        raise KeyboardInterrupt


def command_to_go_on(cfg: CfgNode, argv: Sequence[str]) -> str:
    """The command that takes an interrupted run up again, whatever the shell expanded in it."""
    words = list(argv)
    wanted = {} if cfg.TRAIN.AUTO_RESUME else {"TRAIN.AUTO_RESUME": "True"}
    for key, value in (wanted | {"OUTPUT_DIR": cfg.OUTPUT_DIR}).items():
        places = [at for at, word in enumerate(words[:-1], 1) if word == key]
        for at in places:  # behind them it would count less than what stands behind --opts
            words[at] = value
        words += [] if places else [key, value]
    return shlex.join(["python", *words])


def open_output_dir(cfg: CfgNode, lock: RunLock, *, accept_changes: bool) -> list[str]:
    """Makes OUTPUT_DIR and takes it for this run. What the user should know about it.

    A test without training writes its config there, unless the folder has that of the weights.

    Raises:
        UserError: it cannot be written, another run has it, or its weights belong to another config.
        ConfigError: it has fields that nobody has filled.
    """
    refuse_fields(cfg.OUTPUT_DIR)
    out = Path(cfg.OUTPUT_DIR)
    try:
        out.mkdir(parents=True, exist_ok=True)
        notes = lock.take()
        if cfg.TRAIN.ENABLE:
            refuse_other_config(cfg, accept_changes=accept_changes)
        (out / "checkpoints").mkdir(exist_ok=True)
        if cfg.TEST.PART == 0 and not (cfg.TRAIN.ENABLE or find_latest(out) or best_path(out).exists()):
            write_config(cfg)
    except OSError as error:
        raise UserError(f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' cannot be written: {error.strerror or error}") from error
    return notes
