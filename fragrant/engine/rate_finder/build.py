"""Runs a learning-rate range test with everything that the config's training is made of, and writes what it found."""

import contextlib
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import simplejson
import torch
from fvcore.common.config import CfgNode

from fragrant.config import changed, check_training
from fragrant.config.run_folder import refuse_fields
from fragrant.distributed import is_main
from fragrant.distributed.signals import StopRequest
from fragrant.engine.build import Job
from fragrant.engine.meter import TrainMeter
from fragrant.engine.rate_finder.range_meter import Enough, RangeMeter
from fragrant.engine.train import train_one_epoch
from fragrant.engine.training import build_training
from fragrant.errors import RunStopped
from fragrant.files import refuse_as_output, save_file
from fragrant.logs import RunLog
from fragrant.optim.build import learning_rate_scale
from fragrant.optim.range_test import Suggestion, rate_at, suggest
from fragrant.report.rate_plot import plot_range
from fragrant.report.strips import PictureError
from fragrant.runtime.build import build_preparation, build_training_preparation, prepare_device


class RangeTest(NamedTuple):
    """What to test: ``steps`` optimiser steps at rates from ``low`` to ``high``, in the unit of SOLVER.BASE_LR; ``out``
    = the folder of find_lr.json and find_lr.png, "" = OUTPUT_DIR/find_lr."""

    steps: int
    low: float
    high: float
    out: str = ""


def without_resuming(cfg: CfgNode) -> CfgNode:
    """The config with the weights that it begins from, not those of a run in OUTPUT_DIR, and without services."""
    settings: dict[str, object] = {"TRAIN.AUTO_RESUME": False, "LOG.TRACKERS": [], "TENSORBOARD.ENABLE": False}
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        settings["TRAIN.CHECKPOINT_EPOCH_RESET"] = True
    return changed(cfg, settings)


def find_rate(cfg: CfgNode, device: torch.device, *, test: RangeTest) -> None:
    """Tests, says what it suggests and writes it; OUTPUT_DIR's checkpoints and logs are neither read nor written.

    Raises:
        UserError: as the training would, OUTPUT_DIR has {date}, {time} or {n}, or the files cannot be written.
        RunStopped: too few steps to say anything.
    """
    check_training(cfg)
    if not test.out:
        refuse_fields(cfg.OUTPUT_DIR)
    out = Path(test.out or Path(cfg.OUTPUT_DIR, "find_lr"))
    if is_main():
        refuse_as_output(out / "find_lr.json")
    cfg = without_resuming(cfg)
    with RunLog(None, main=is_main()) as log, StopRequest() as stop:
        prepare_device(cfg, device)
        preparation = build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST)
        job = Job(cfg, device, log, preparation, stop)
        meter = measure_losses(job, test)
        if is_main():
            _present(job, test, meter, out)


def measure_losses(job: Job, test: RangeTest) -> RangeMeter:
    """The losses of the training loop's own steps at rising rates."""
    cfg = job.cfg
    with job.stop.at_once():
        training = build_training(job)
        factor, accum = learning_rate_scale(cfg), cfg.TRAIN.ACCUM_STEPS
        batches = len(training.train_loader)
        per_epoch = -(-batches // accum)
        meter = RangeMeter(steps=test.steps, accum_steps=accum)

        def lr_at(epoch: float) -> float:
            whole, batch = divmod(round(epoch * batches), batches)
            step = whole * per_epoch + batch // accum
            return factor * rate_at(min(step, test.steps - 1), test.steps, test.low, test.high)

        prepare = build_training_preparation(cfg, job.prepare)
        train = partial(
            train_one_epoch, training.trained, training.train_loader, training.state.stepper, cast(TrainMeter, meter)
        )
        with contextlib.suppress(Enough):
            for epoch in range(test.steps):  # at least one step each
                train(
                    epoch=epoch,
                    lr_at=lr_at,
                    prepare=prepare,
                    autocast=training.precision.autocast,
                    device=job.device,
                )
    return meter


def _present(job: Job, test: RangeTest, meter: RangeMeter, out: Path) -> None:
    found = suggest(meter.rates, meter.smoothed)
    if found is None:
        raise RunStopped(
            f"only {len(meter.rates)} steps before {meter.why}: begin with a lower rate (--from) or take more steps "
            "(--steps)"
        )
    factor = learning_rate_scale(job.cfg)
    in_config = Suggestion(found.steepest / factor, found.tenth / factor, found.lowest / factor, found.clear)
    content = {
        "suggested": {"SOLVER.BASE_LR": in_config.steepest, "tenth_of_lowest": in_config.tenth},
        "rate_of_lowest_loss": in_config.lowest,
        "clear": found.clear,
        "ended": meter.why,
        "steps": len(meter.rates),
        "learning_rate_scale": factor,
        "rates": [rate / factor for rate in meter.rates],
        "losses": meter.losses,
        "smoothed": meter.smoothed,
    }
    save_file(out / "find_lr.json", simplejson.dumps(content, indent=1, ignore_nan=True))
    rates = [rate / factor for rate in meter.rates]
    try:
        plot_range(rates, meter.losses, meter.smoothed, in_config, out / "find_lr.png")
    except PictureError as error:
        job.log.warn(f"no picture: {error}")
    job.log.say(f"{len(rates)} steps from {rates[0]:.2e} to {rates[-1]:.2e}: {meter.why}")
    if not found.clear:
        job.log.warn("the loss hardly fell: the rates below mean little; take more steps, or rates around another one")
    job.log.say(
        f"SOLVER.BASE_LR {in_config.steepest:.2e} (the loss falls fastest there); a tenth of the rate of the lowest "
        f"loss: {in_config.tenth:.2e}"
    )
    job.log.say(f"Losses of all steps: {out / 'find_lr.json'}, {out / 'find_lr.png'}")
