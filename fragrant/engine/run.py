"""A run: training, then testing."""

import os
from functools import partial
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from fragrant.config import check_training, dump_cfg
from fragrant.distributed import from_main, is_main
from fragrant.distributed.signals import EndedBySignal, Interrupted, StopRequest, requeue
from fragrant.engine.build import Job
from fragrant.engine.testing import test
from fragrant.engine.training import train
from fragrant.errors import UserError
from fragrant.logs import RunLog
from fragrant.runtime.build import build_preparation, prepare_device


def run(cfg: CfgNode, device: torch.device) -> None:
    """Trains and tests, as TRAIN.ENABLE and TEST.ENABLE say; ends early, and well, when SIGTERM or SIGUSR1 asks for
    it."""
    if cfg.TRAIN.ENABLE:
        check_training(cfg)
    from_main(partial(open_output_dir, cfg))
    board = (
        Path(cfg.OUTPUT_DIR, cfg.TENSORBOARD.LOG_DIR or f"runs-{cfg.TRAIN.DATASET}") if cfg.TENSORBOARD.ENABLE else None
    )
    with RunLog(cfg.OUTPUT_DIR, tensorboard_dir=board, main=is_main()) as log, StopRequest() as stop:
        prepare_device(cfg, device)
        job = Job(cfg, device, log, build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST), stop)
        try:
            if cfg.TRAIN.ENABLE:
                train(job)
            if cfg.TEST.ENABLE:
                test(job)
            log.say(f"Results are in {cfg.OUTPUT_DIR}")
        except (Interrupted, EndedBySignal) as end:
            saved = isinstance(end, Interrupted)  # else there was nothing to save yet
            if saved:
                log.say(str(end))
            if cfg.TRAIN.REQUEUE and is_main():
                log.say(requeue(os.environ))
            if not saved:
                raise


def open_output_dir(cfg: CfgNode) -> None:
    """Makes OUTPUT_DIR and writes the effective config into it."""
    try:
        Path(cfg.OUTPUT_DIR, "checkpoints").mkdir(parents=True, exist_ok=True)
        Path(cfg.OUTPUT_DIR, "config.yaml").write_text(dump_cfg(cfg), encoding="utf-8")
    except OSError as error:
        raise UserError(f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' cannot be written: {error.strerror or error}") from error
