"""The training of a run: every epoch trained, saved, validated."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fvcore.common.config import CfgNode
from torch import Tensor

from fragrant.checkpoint import best_path, is_due
from fragrant.config import dump_cfg
from fragrant.data import build_loader
from fragrant.data.lists.pseudo import clips_behind, unique
from fragrant.data.lists.shared import shared_videos
from fragrant.data.loader import ClipLoader
from fragrant.data.transforms.build import build_normalizations
from fragrant.distributed import any_rank, from_main, is_main, mean_over_ranks, world_size
from fragrant.distributed.signals import Interrupted
from fragrant.engine.accuracy import figure, in_words
from fragrant.engine.adaptation.build import check_adaptation
from fragrant.engine.build import (
    OPTIMISTIC,
    Job,
    build_job_model,
    clip_names,
    paths_of,
    selection_note,
)
from fragrant.engine.continuing import sources, with_todays_config, write_config
from fragrant.engine.far_mean import BATCHES, MeanWatch
from fragrant.engine.introduction import introduce
from fragrant.engine.meter import TrainMeter
from fragrant.engine.parallel import parallelize, share_buffers
from fragrant.engine.precise_bn import update_batch_norm
from fragrant.engine.saving import Saver
from fragrant.engine.skipped import SkipReport
from fragrant.engine.start import (
    Start,
    clips_met,
    load_start,
)
from fragrant.engine.state import RunState, check_same_batches
from fragrant.engine.testing import check_test
from fragrant.engine.train import train_one_epoch
from fragrant.engine.validating import scorable, validate, validate_beside
from fragrant.engine.validations import best_first, since_best, with_validation
from fragrant.errors import RunStopped, UserError
from fragrant.files import refuse_as_output
from fragrant.metrics import in_words_not_finite
from fragrant.models.backbone import Backbone
from fragrant.models.parts import freeze
from fragrant.objectives import Objective, objective_name
from fragrant.optim import build_optimizer, build_schedule
from fragrant.optim.step import Stepper
from fragrant.plugins import loaded_plugins
from fragrant.report.board import show_clips, spread_clips
from fragrant.report.build import class_pictures, names_of_classes
from fragrant.runtime.build import (
    build_training_preparation,
    objective_on_device,
    separate_randomness,
)
from fragrant.runtime.precision import Precision, pick_precision


class Training(NamedTuple):
    """The parts of a training run, built and loaded."""

    job: Job
    start: Start
    state: RunState
    trained: Objective  # the objective as it is called: on several processes a wrapper of it
    train_loader: ClipLoader
    val_loader: ClipLoader
    precision: Precision
    lr_at: Callable[[float], float]
    saver: Saver
    skips: SkipReport
    val_skips: SkipReport


def train(job: Job) -> int:
    """Runs the training: trains, saves and validates every epoch; resumes an interrupted run from its last checkpoint.
    Returns the number of epochs: SOLVER.MAX_EPOCH, or fewer with TRAIN.EARLY_STOP.

    Raises:
        RunStopped: at the end, where the last validation had NaN or infinite scores and no test follows.
    """
    with job.stop.at_once():
        refuse_hidden_selection(job.cfg)
        training = build_training(job)
        class_pictures(job.cfg, names_of_classes(job.cfg, training.val_loader.class_names))  # can they be drawn?
        if job.cfg.TEST.ENABLE:
            check_test(job.cfg, training.train_loader.class_names)
        from_main(partial(refuse_as_output, best_path(job.cfg.OUTPUT_DIR)))
        from_main(partial(write_config, job.cfg, training.start.config))
    start, max_epoch = training.start, job.cfg.SOLVER.MAX_EPOCH
    finished, over = start.epoch, False
    if start.epoch and not start.batch and is_due(start.epoch - 1, max_epoch, job.cfg.TRAIN.EVAL_PERIOD):
        # The run may have been killed between saving and validating; doing it twice changes nothing.
        job.log.say(f"epoch {start.epoch}/{max_epoch}: {keep_best(training, start.epoch - 1)}")
        over = is_over(training)
    prepare = watched_preparation(job, num_batches=len(training.train_loader))
    done = start.epoch + start.batch / training.state.num_batches
    with job.log.run_bar(max_epoch, done=done), job.stop.from_keyboard():
        while finished < max_epoch and not over:
            one_epoch(training, finished, prepare)
            finished, over = finished + 1, is_over(training)
        if finished < max_epoch:
            end_early(training, finished)
    training.saver.finish(finished, training.state.validations)
    if training.state.lost and not job.cfg.TEST.ENABLE:
        raise RunStopped(f"last validation: {in_words_not_finite(training.state.lost)}; the weights are saved")
    return finished


def is_over(training: Training) -> bool:
    """Have TRAIN.EARLY_STOP validations in a row not been better than the best? The same on all ranks."""
    patience = training.job.cfg.TRAIN.EARLY_STOP
    return bool(patience) and any_rank(since_best(training.state.validations) >= patience)


def end_early(training: Training, finished: int) -> None:
    """Saves the end of a training that is shorter than SOLVER.MAX_EPOCH, and says so.

    Raises:
        Interrupted, RunStopped: as ``Saver.after_epoch``.
    """
    job, best = training.job, best_first(training.state.validations)[0] + 1
    cfg, patience = job.cfg, job.cfg.TRAIN.EARLY_STOP
    if finished > training.start.epoch:
        training.saver.after_epoch(finished - 1, due=True, last=True)
    tested = f"the best, epoch {best}" if cfg.TEST.TEST_BEST else f"the last, epoch {finished}"
    job.log.say(
        f"Stopped early after epoch {finished} of {cfg.SOLVER.MAX_EPOCH}: {patience} validation"
        f"{'s' * (patience > 1)} in a row (TRAIN.EARLY_STOP) not better than that of epoch {best}"
        + (f"; tested is {tested} (TEST.TEST_BEST {cfg.TEST.TEST_BEST})" if cfg.TEST.ENABLE else "")
    )
    at = f"{finished}/{cfg.SOLVER.MAX_EPOCH}"
    job.log.record({"_type": "early_stop", "epoch": at, "best_epoch": best, "patience": patience})


def watched_preparation(job: Job, *, num_batches: int) -> Callable[[Tensor, Sequence[int], int], Tensor]:
    """The preparation of training clips; the main process warns where they are far from MEAN.

    Not of clips that DATA.ENHANCE standardize makes alike whatever they were, nor for DGAM, whose experts brighten the
    clips: its MEAN is that of lit videos.
    """
    cfg, prepare = job.cfg, build_training_preparation(job.cfg, job.prepare)
    if not is_main() or cfg.DATA.ENHANCE == "standardize" or cfg.MODEL.MODEL_NAME == "DGAM":
        return prepare
    each = build_normalizations(cfg)
    return MeanWatch(prepare, each, warn=job.log.warn, batches=min(BATCHES, num_batches))


def build_training(job: Job) -> Training:
    """Builds everything that trains from the config, and restores the state of a checkpoint."""
    cfg = job.cfg
    train_loader, val_loader = build_loader(cfg, "train"), build_loader(cfg, cfg.TEST.SELECT_ON, views_of="val")
    model = build_job_model(job, compiled=cfg.TRAIN.COMPILE)
    check_adaptation(cfg, model)
    start = load_start(model, sources(cfg), max_epoch=cfg.SOLVER.MAX_EPOCH)
    freeze_parts(job, model)
    objective = objective_on_device(cfg, model, job.device, records=train_loader.dataset.records)
    num_batches, videos = len(train_loader), train_loader.batches.batch_size * world_size()
    other_batches = check_same_batches(start, num_batches=num_batches, videos=videos)
    precision = pick_precision(cfg.TRAIN.PRECISION, job.device, key="TRAIN.PRECISION")
    introduce(job, model, train_loader, val_loader, start, precision)
    start = with_todays_config(job, start)
    if other_batches:
        job.log.warn(other_batches)
    ways = dict(
        sharding=cfg.TRAIN.SHARDING, compression=cfg.DIST.GRADIENT_COMPRESSION, accum_steps=cfg.TRAIN.ACCUM_STEPS
    )
    trained, average_gradients = parallelize(objective, job.device, **ways)
    optimizer, lr_at, scaler = build_optimizer(cfg, objective), build_schedule(cfg), precision.grad_scaler()
    if job.log.has_board and not start.epoch:
        show_clips(job.log, "Train/clips", spread_clips(train_loader.dataset), 0)
    stepper = Stepper(
        objective,
        optimizer,
        scaler=scaler,
        clip_norm=cfg.SOLVER.CLIP_GRADIENT,
        clip_value=cfg.SOLVER.CLIP_GRAD_VAL,
        explosion=cfg.TRAIN.KILL_LOSS_EXPLOSION_FACTOR,
        accum_steps=cfg.TRAIN.ACCUM_STEPS,
        max_bad_steps=cfg.TRAIN.MAX_BAD_STEPS,
        name_clips=clip_names(train_loader),
        average_gradients=average_gradients,
    )
    separate_randomness(cfg)
    facts = {
        "selected_on": cfg.TEST.SELECT_ON,
        "cfg": start.config or dump_cfg(cfg),
        "class_names": train_loader.class_names,
    }
    facts["plugins"] = loaded_plugins()
    facts["protocol"] = selection_note(cfg)
    facts["accepted_changes"] = start.accepted
    facts["objective"] = objective_name(cfg)
    facts |= met_without_labels(start, train_loader)
    state = RunState(model, objective, optimizer, scaler, stepper, num_batches=num_batches, videos=videos, facts=facts)
    state.take_up(start)
    saver = build_saver(job, state)
    skips, val_skips = SkipReport(job.log, train_loader), SkipReport(job.log, val_loader)
    return Training(job, start, state, trained, train_loader, val_loader, precision, lr_at, saver, skips, val_skips)


def freeze_parts(job: Job, model: Backbone) -> None:
    """Freezes what MODEL.FREEZE names; a test alone never needs it.

    Raises:
        PartError: the network has no such part.
    """
    if not job.cfg.MODEL.FREEZE:
        return
    frozen, total = freeze(model, job.cfg.MODEL.FREEZE), sum(parameter.numel() for parameter in model.parameters())
    job.log.say(
        f"MODEL.FREEZE {', '.join(job.cfg.MODEL.FREEZE)}: {frozen / 1e6:.2f} M of {total / 1e6:.2f} M parameters keep "
        "their values, BatchNorm there keeps its statistics; no dropout and no drop path there"
    )


def met_without_labels(start: Start, loader: ClipLoader) -> dict[str, list[str]]:
    """The clips that the weights have met, or will have, without their labels: numbers on them are transductive."""
    met = start.met | clips_met(start.state)
    if labelled := unique([*met.get("pseudo_labelled", ()), *clips_behind(loader.dataset.records)]):
        met["pseudo_labelled"] = labelled
    return met


def build_saver(job: Job, state: RunState) -> Saver:
    return Saver(
        job.cfg.OUTPUT_DIR,
        log=job.log,
        stop=job.stop,
        state_of=state.to_save,
        every_steps=job.cfg.TRAIN.SAVE_EVERY_STEPS,
        accum_steps=job.cfg.TRAIN.ACCUM_STEPS,
        num_batches=state.num_batches,
        keep_last=job.cfg.TRAIN.KEEP_LAST,
        keep_best=job.cfg.TRAIN.KEEP_BEST,
        spared=frozenset(Path(path).resolve() for path in named_checkpoints(job.cfg)),
    )


def named_checkpoints(cfg: CfgNode) -> list[str]:
    """The checkpoints that the same command reads again, or that its test will read."""
    paths = (cfg.TRAIN.CHECKPOINT_FILE_PATH, cfg.TEST.CHECKPOINT_FILE_PATH, cfg.DISTILL.CHECKPOINT)
    return [path for path in paths if path]


def one_epoch(training: Training, epoch: int, prepare: Callable[[Tensor, Sequence[int], int], Tensor]) -> None:
    """Trains one epoch, then saves and validates where it is due."""
    job, start, state, saver = training.job, training.start, training.state, training.saver
    cfg, max_epoch = job.cfg, job.cfg.SOLVER.MAX_EPOCH
    first = start.batch if epoch == start.epoch else 0
    state.meter = TrainMeter(job.log, epoch=epoch, max_epoch=max_epoch, period=cfg.LOG_PERIOD, device=job.device)
    if first:
        state.take_up_meter(start)
    train_one_epoch(
        training.trained,
        training.train_loader,
        state.stepper,
        state.meter,
        epoch=epoch,
        lr_at=training.lr_at,
        prepare=prepare,
        autocast=training.precision.autocast,
        device=job.device,
        first=first,
        between_steps=partial(saver.between_steps, epoch),
    )
    training.skips.report(f"training epoch {epoch + 1}/{max_epoch}", device=job.device)
    save_due, val_due = (
        is_due(epoch, max_epoch, period) for period in (cfg.TRAIN.CHECKPOINT_PERIOD, cfg.TRAIN.EVAL_PERIOD)
    )
    if cfg.BN.USE_PRECISE_STATS and (save_due or val_due):
        measure_batch_norm(job, state.objective, training.train_loader, epoch)
    line = [state.meter.line]
    try:
        saver.after_epoch(epoch, due=save_due, last=epoch + 1 == max_epoch)
        if val_due:
            line.append(keep_best_or_end(training, epoch))
        if epoch + 1 < max_epoch and (eta := job.log.eta()):
            line.append(f"ETA {eta}")
    finally:
        job.log.say("; ".join(line))


def keep_best_or_end(training: Training, epoch: int) -> str:
    """``keep_best``; saves the epoch where a signal comes meanwhile. Raises Interrupted."""
    try:
        return keep_best(training, epoch)
    except Interrupted:
        training.saver.in_validation(epoch)
        raise


def keep_best(training: Training, epoch: int) -> str:
    """Validates; writes best.pyth where this epoch is the best so far. What came out, in words."""
    job, objective, state = training.job, training.state.objective, training.state
    share_buffers(objective)
    note = state.facts["protocol"]
    now, numbers = validate(job, objective, training.val_loader, epoch, state.best, optimistic=note)
    state.lost = int(numbers.get("not_finite", 0))
    for name, beside in objective.scored_beside.items():
        validate_beside(job, scorable(job, beside), training.val_loader, epoch, name)
    training.val_skips.report(f"validation after epoch {epoch + 1}", device=job.device)
    if now["epoch"] == epoch:
        training.saver.keep_best(epoch + 1, now)
    validations = with_validation(state.validations, epoch, numbers)
    training.saver.keep_epoch(epoch + 1, {"epoch": epoch, **numbers}, validations)
    state.best, state.validations = now, validations
    job.log.at(epoch + 1, val=in_words(numbers), best=figure(now))
    where = f" on {'the test list' if note == OPTIMISTIC else 'test videos'} (optimistic)" if note else ""
    return f"validation{where} {in_words(numbers)}, best {figure(now)}"


def measure_batch_norm(job: Job, objective: Objective, loader: ClipLoader, epoch: int) -> None:
    """Precise BatchNorm statistics: each rank measures its share of the epoch's batches, the means of all ranks
    count."""
    loader.set_epoch(epoch)
    update_batch_norm(objective.eval_model, loader, job.prepare, job.device, num_batches=job.cfg.BN.NUM_BATCHES_PRECISE)
    for buffer in objective.eval_model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(mean_over_ranks(buffer))


def refuse_hidden_selection(cfg: CfgNode) -> None:
    """Checks that the best epoch is not picked on test videos without saying so; raises UserError."""
    if not (cfg.TEST.ENABLE and cfg.TEST.TEST_BEST) or cfg.TEST.SELECT_ON == "test":
        return
    val, test = (paths_of(cfg, split) for split in ("val", "test"))
    if shared := shared_videos(test, val):
        raise UserError(
            f"TEST.TEST_BEST True, but {len(shared)} of the {len(test)} test videos are validation videos: "
            "the best epoch would be "
            "picked on them; give another validation list or DATA.HOLD_OUT 0.2, or say it with TEST.SELECT_ON test"
        )
