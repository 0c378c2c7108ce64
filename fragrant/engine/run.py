"""Assembles a run from its config: the only place that knows everybody."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.checkpoint import checkpoint_hash, is_due, rng_state
from fragrant.config import changed, check_training, dump_cfg
from fragrant.data import build_loader, build_records
from fragrant.data.views import result_file_name, views_label
from fragrant.distributed import from_main, gather_objects, is_main, mean_over_ranks, world_size
from fragrant.engine.announce import compare_class_names, test_lines
from fragrant.engine.build import (
    build_preparation,
    build_training_preparation,
    describe_setting,
    model_on_device,
    objective_on_device,
    prepare_device,
    separate_randomness,
)
from fragrant.engine.evaluate import Scored, score_videos
from fragrant.engine.interrupt import Interrupted, StopRequest, requeue
from fragrant.engine.measures import Numbers, best_fields, best_so_far, figure, in_words, measure, scalars, tell_test
from fragrant.engine.meter import TrainMeter, gpu_memory
from fragrant.engine.parallel import parallelize, share_buffers, whole_state
from fragrant.engine.precise_bn import update_batch_norm
from fragrant.engine.precision import Precision, pick_precision
from fragrant.engine.results import run_facts, save_pickles, save_results
from fragrant.engine.saving import Saver
from fragrant.engine.skipped import SkipReport
from fragrant.engine.start import Sources, check_same_batches, load_for_test, load_start, of_this_rank, take_up, weights_for_test
from fragrant.engine.step import Stepper
from fragrant.engine.train import train_one_epoch
from fragrant.errors import RunStopped, UserError
from fragrant.logs import RunLog, duration, host_memory
from fragrant.metrics import ensemble
from fragrant.models.complexity import describe
from fragrant.objectives import Objective, part_to_test
from fragrant.optim import build_optimizer, build_schedule, describe_peak
from fragrant.report.board import show_clips, spread_clips
from fragrant.report.build import present_test
from fragrant.scores import ScoreTable, describe_summary, ensemble_views, grid_views, summarise

OPTIMISTIC = "optimistic: the best epoch was picked on the test list"  # TEST.SELECT_ON test; stands in every output


class Job(NamedTuple):
    """What every part of a run needs."""

    cfg: object
    device: torch.device
    log: RunLog
    prepare: Callable[[Tensor], Tensor]  # uint8 clips -> normalised float32 clips, both (N, C, T, H, W)
    stop: StopRequest


def run(cfg, device: torch.device) -> None:
    """Trains and tests, as TRAIN.ENABLE and TEST.ENABLE say; ends early, and well, when SIGTERM or SIGUSR1 asks for it."""
    if cfg.TRAIN.ENABLE:
        check_training(cfg)
    from_main(partial(open_output_dir, cfg))
    board = Path(cfg.OUTPUT_DIR, cfg.TENSORBOARD.LOG_DIR or f"runs-{cfg.TRAIN.DATASET}") if cfg.TENSORBOARD.ENABLE else None
    with RunLog(cfg.OUTPUT_DIR, tensorboard_dir=board, main=is_main()) as log, StopRequest() as stop:
        prepare_device(cfg, device)
        job = Job(cfg, device, log, build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST), stop)
        try:
            if cfg.TRAIN.ENABLE:
                train(job)
            if cfg.TEST.ENABLE:
                test(job)
            log.say(f"Results are in {cfg.OUTPUT_DIR}")
        except Interrupted as end:
            log.say(str(end))
            if cfg.TRAIN.REQUEUE and is_main():
                log.say(requeue(os.environ))


def open_output_dir(cfg) -> None:
    """Makes OUTPUT_DIR and writes the effective config into it."""
    try:
        Path(cfg.OUTPUT_DIR, "checkpoints").mkdir(parents=True, exist_ok=True)
        Path(cfg.OUTPUT_DIR, "config.yaml").write_text(dump_cfg(cfg), encoding="utf-8")
    except OSError as error:
        raise UserError(f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' cannot be written: {error.strerror or error}") from error


def build(job: Job) -> nn.Module:
    return model_on_device(job.cfg, job.device, channels_last=job.cfg.TRAIN.CHANNELS_LAST, compiled=job.cfg.TRAIN.COMPILE)


def clip_names(loader) -> Callable[[Sequence[int]], str]:
    return lambda ids: ", ".join(loader.dataset.records[i].path for i in ids)


# --------------------------------------------------------------------------------------------------------------- training
def train(job: Job) -> None:
    """All epochs: train, save, validate; takes up an interrupted run where its last checkpoint stands."""
    cfg, max_epoch = job.cfg, job.cfg.SOLVER.MAX_EPOCH
    refuse_hidden_selection(cfg)
    train_loader, val_loader = build_loader(cfg, "train"), build_loader(cfg, cfg.TEST.SELECT_ON, views_of="val")
    model = build(job)
    start = load_start(model, sources(cfg), max_epoch=max_epoch)
    objective = objective_on_device(cfg, model, job.device)
    other_batches = check_same_batches(start, num_batches=len(train_loader), videos=train_loader.batches.batch_size * world_size())
    precision = pick_precision(cfg.TRAIN.PRECISION, job.device, key="TRAIN.PRECISION")
    introduce(job, model, train_loader, val_loader, start.message, precision)
    if other_batches:
        job.log.warn(other_batches)
    ways = dict(sharding=cfg.TRAIN.SHARDING, compression=cfg.DIST.GRADIENT_COMPRESSION, accum_steps=cfg.TRAIN.ACCUM_STEPS)
    trained, average_gradients = parallelize(objective, job.device, **ways)
    optimizer, lr_at, scaler = build_optimizer(cfg, objective), build_schedule(cfg), precision.grad_scaler()
    if job.log.has_board and not start.epoch:
        show_clips(job.log, "Train/clips", spread_clips(train_loader.dataset), 0)
    stepper = Stepper(
        objective,
        optimizer,
        scaler=scaler,
        clip_norm=cfg.SOLVER.CLIP_GRADIENT,
        accum_steps=cfg.TRAIN.ACCUM_STEPS,
        max_bad_steps=cfg.TRAIN.MAX_BAD_STEPS,
        name_clips=clip_names(train_loader),
        average_gradients=average_gradients,
    )
    separate_randomness(cfg)
    take_up(start, objective, optimizer, scaler, stepper)
    best, meter = start.best, None

    def state_of(finished_epochs: int, done: int) -> dict:
        """Everything that a resumed run needs; ``best`` as it was before this epoch's validation, which resuming repeats."""
        share = {"rng": rng_state(), "meter": meter.state_dict() if done else None}
        shares = gather_objects(share)
        return {
            "epoch": finished_epochs - 1,
            "batch": done,
            "batches": [len(train_loader), train_loader.batches.batch_size * world_size()],
            "step": finished_epochs * len(train_loader) + done,
            **states(model, objective, optimizer),
            "scaler_state": scaler.state_dict(),
            "stepper": stepper.state_dict(),
            "rng": [share["rng"] for share in shares],
            "meter": [share["meter"] for share in shares],
            "best": best,
            "selected_on": cfg.TEST.SELECT_ON,
            "cfg": dump_cfg(cfg),
            "class_names": train_loader.class_names,
        }

    saver = Saver(
        cfg.OUTPUT_DIR,
        log=job.log,
        stop=job.stop,
        state_of=state_of,
        every_steps=cfg.TRAIN.SAVE_EVERY_STEPS,
        accum_steps=cfg.TRAIN.ACCUM_STEPS,
        num_batches=len(train_loader),
    )

    skips, val_skips = SkipReport(job.log, train_loader), SkipReport(job.log, val_loader)

    def keep_best(epoch: int) -> dict:
        """Validates; writes best.pyth where this epoch is the best so far."""
        share_buffers(objective)
        now = validate(job, scorable(job, objective.eval_model), val_loader, epoch, best)
        for name, beside in objective.scored_beside.items():
            validate_beside(job, scorable(job, beside), val_loader, epoch, name)
        val_skips.tell(f"validation after epoch {epoch + 1}", device=job.device)
        if now["epoch"] == epoch:
            saver.keep_best(epoch + 1, now)
        return now

    if start.epoch and not start.batch and is_due(start.epoch - 1, max_epoch, cfg.TRAIN.EVAL_PERIOD):
        # The run may have been killed between saving and validating; doing it twice changes nothing.
        best = keep_best(start.epoch - 1)
    prepare = build_training_preparation(cfg, job.prepare)
    for epoch in range(start.epoch, max_epoch):
        first = start.batch if epoch == start.epoch else 0
        meter = TrainMeter(job.log, epoch=epoch, max_epoch=max_epoch, period=cfg.LOG_PERIOD, device=job.device)
        if first and (averaged := of_this_rank(start.state["meter"])):
            meter.load_state_dict(averaged)
        loop = dict(epoch=epoch, lr_at=lr_at, prepare=prepare, autocast=precision.autocast, device=job.device)
        train_one_epoch(trained, train_loader, stepper, meter, first=first, between_steps=partial(saver.between_steps, epoch), **loop)
        skips.tell(f"training epoch {epoch + 1}/{max_epoch}", device=job.device)
        save_due, val_due = (is_due(epoch, max_epoch, period) for period in (cfg.TRAIN.CHECKPOINT_PERIOD, cfg.TRAIN.EVAL_PERIOD))
        if cfg.BN.USE_PRECISE_STATS and (save_due or val_due):
            measure_batch_norm(job, objective, train_loader, epoch)
        saver.after_epoch(epoch, due=save_due, last=epoch + 1 == max_epoch)
        if val_due:
            try:
                best = keep_best(epoch)
            except Interrupted:
                saver.in_validation(epoch)
                raise


def states(model: nn.Module, objective: Objective, optimizer: torch.optim.Optimizer) -> dict:
    """Weights and optimiser as one process has them, and what the objective holds besides the model (a mixer, a teacher)."""
    of_model = {id(tensor) for tensor in model.state_dict(keep_vars=True).values()}
    further = {name: value for name, value in objective.state_dict(keep_vars=True).items() if id(value) not in of_model}
    return {
        "model_state": whole_state(model.state_dict()),
        "optimizer_state": whole_state(optimizer.state_dict()),
        "objective_state": whole_state({name: value.detach() for name, value in further.items()}),
    }


def scorable(job: Job, model: nn.Module) -> nn.Module:
    """What is scored: a plain copy where training is sharded, since ranks score different numbers of batches."""
    if job.cfg.TRAIN.SHARDING == "none":
        return model
    with torch.random.fork_rng():
        plain = build(job)
    plain.load_state_dict(whole_state(model.state_dict()))
    return plain


def measure_batch_norm(job: Job, objective: Objective, loader, epoch: int) -> None:
    """Precise BatchNorm statistics: each rank measures its share of the epoch's batches, the means of all ranks count."""
    loader.set_epoch(epoch)
    update_batch_norm(objective.eval_model, loader, job.prepare, job.device, num_batches=job.cfg.BN.NUM_BATCHES_PRECISE)
    for buffer in objective.eval_model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(mean_over_ranks(buffer))


def refuse_hidden_selection(cfg) -> None:
    """Raises UserError where the best epoch would be picked on test videos without saying so."""
    if not (cfg.TEST.ENABLE and cfg.TEST.TEST_BEST) or cfg.TEST.SELECT_ON == "test":
        return
    val, test = ({record.path for record in build_records(cfg, split).records} for split in ("val", "test"))
    if val & test:
        raise UserError(
            f"TEST.TEST_BEST True, but {len(val & test)} of the {len(test)} test videos are validation videos: the best epoch would be "
            "picked on them; give another validation list or DATA.HOLD_OUT 0.2, or say it with TEST.SELECT_ON test"
        )


def sources(cfg) -> Sources:
    return Sources(
        output_dir=cfg.OUTPUT_DIR,
        auto_resume=cfg.TRAIN.AUTO_RESUME,
        checkpoint=cfg.TRAIN.CHECKPOINT_FILE_PATH,
        epoch_reset=cfg.TRAIN.CHECKPOINT_EPOCH_RESET,
        clear_patterns=tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN),
        inflation="repeat" if cfg.TRAIN.CHECKPOINT_INFLATE else None,
        pretrained=cfg.UNIFORMER.PRETRAIN_NAME or "",
    )


def introduce(job: Job, model: nn.Module, train_loader, val_loader, origin: str, precision: Precision) -> None:
    """Says what will happen before it does."""
    cfg = job.cfg
    if cfg.LOG_MODEL_INFO:
        size = cfg.DATA.TRAIN_CROP_SIZE
        job.log.say(f"{cfg.MODEL.MODEL_NAME}: {describe(model, (cfg.DATA.INPUT_CHANNEL_NUM[0], cfg.DATA.NUM_FRAMES, size, size))}")
    clips = train_loader.batches.batch_size * world_size()  # of all processes on all machines
    accumulated = f" ({cfg.TRAIN.ACCUM_STEPS} batches of {clips})" if cfg.TRAIN.ACCUM_STEPS > 1 else ""
    processes = f"{world_size()} processes on {cfg.NUM_SHARDS} machine(s), " if world_size() > 1 else ""
    job.log.say(
        f"{len(train_loader.dataset.records)} training and {len(val_loader.dataset.records)} validation videos; "
        f"{clips * cfg.TRAIN.ACCUM_STEPS} clips per step{accumulated}, {describe_peak(cfg)}; {processes}"
        + (f"cpu, {torch.get_num_threads()} threads, " if job.device.type == "cpu" else f"{torch.cuda.get_device_name(job.device)}, ")
        + describe_setting(precision, channels_last=cfg.TRAIN.CHANNELS_LAST, compiled=cfg.TRAIN.COMPILE)
    )
    job.log.say(origin)


# ------------------------------------------------------------------------------------------------------------- evaluation
def score(job: Job, model: nn.Module, loader, *, title: str) -> Scored:
    """Scores with the TEST settings; leaves the random state of training alone.

    Raises:
        RunStopped: not one video can be read.
    """
    cfg = job.cfg
    precision = pick_precision(cfg.TEST.PRECISION, job.device, key="TEST.PRECISION")
    with torch.random.fork_rng(devices=[]):
        scored = score_videos(
            model,
            loader,
            num_videos=len(loader.dataset.records),
            num_classes=cfg.MODEL.NUM_CLASSES,
            clips_per_forward=cfg.TEST.BATCH_SIZE,
            prepare=job.prepare,
            autocast=precision.autocast,
            device=job.device,
            several=cfg.DATA.MULTI_LABEL,
            watch=lambda batches: job.stop.watch(job.log.bar(batches, total=len(batches), title=title)),
        )
    if not len(scored.ids):
        why = next(iter(loader.skipped.values()), "the list is empty")
        raise RunStopped(f"{title}: not one of {len(loader.dataset.records)} videos can be read; the first: {why}")
    return scored


def one_view_test(job: Job, model: nn.Module, loader) -> Numbers:
    table = score(job, model, loader, title="validation")
    scores = ensemble(table.logits, space=job.cfg.TEST.ENSEMBLE_SPACE, method=job.cfg.DATA.ENSEMBLE_METHOD)
    return measure(scores, table.labels)


def validate_beside(job: Job, model: nn.Module, loader, epoch: int, name: str) -> None:
    """The same for a further model of the objective, which decides nothing: into the log."""
    numbers, at = one_view_test(job, model, loader), f"{epoch + 1}/{job.cfg.SOLVER.MAX_EPOCH}"
    stats = {"_type": f"val_epoch_{name}", "epoch": at, **numbers}
    job.log.record(stats, text=f"epoch {at}: validation of the {name} weights {in_words(numbers)}")


def validate(job: Job, model: nn.Module, loader, epoch: int, best: dict) -> dict:
    """A one-view test of the validation list; the best result so far, this one included."""
    began = time.perf_counter()
    numbers = one_view_test(job, model, loader)
    best = best_so_far(best, epoch, numbers)
    stats = {
        "_type": "val_epoch",
        "epoch": f"{epoch + 1}/{job.cfg.SOLVER.MAX_EPOCH}",
        "time_diff": time.perf_counter() - began,
        "gpu_mem": gpu_memory(job.device),
        "RAM": host_memory(),
        **numbers,
        **best_fields(best),
        **({"protocol": OPTIMISTIC} if job.cfg.TEST.SELECT_ON == "test" else {}),
    }
    where = " on the test list (optimistic)" if job.cfg.TEST.SELECT_ON == "test" else ""
    text = f"epoch {epoch + 1}/{job.cfg.SOLVER.MAX_EPOCH}: validation{where} {in_words(numbers)}, best {figure(best)}"
    job.log.record(stats, text=text)
    job.log.scalars(scalars("Val", numbers), epoch + 1)
    return best


def test(job: Job) -> None:
    """Multi-view test: scores of every view on disk, accuracies from them."""
    cfg, log = job.cfg, job.log
    weights = from_main(
        lambda: weights_for_test(
            output_dir=cfg.OUTPUT_DIR,
            checkpoint=cfg.TEST.CHECKPOINT_FILE_PATH,
            best=cfg.TEST.TEST_BEST,
            train_checkpoint=cfg.TRAIN.CHECKPOINT_FILE_PATH,
        )
    )
    loader = build_loader(cfg, "test")
    model = build(job)
    patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
    fit = dict(part=part_to_test(cfg), clear_patterns=patterns, allow_partial=cfg.TEST.ALLOW_PARTIAL_LOAD)
    report, state = load_for_test(model, weights, **fit)
    classes = compare_class_names(state.get("class_names"), loader.class_names, weights)
    frames, crops, clips = cfg.DATA.NUM_FRAMES, cfg.TEST.NUM_SPATIAL_CROPS, cfg.TEST.NUM_ENSEMBLE_VIEWS
    lines = test_lines(
        weights,
        report,
        num_videos=len(loader.dataset.records),
        frames=frames,
        crops=crops,
        clips=clips,
        short_side=cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE,
        crop_size=cfg.DATA.TEST_CROP_SIZE,
        method=cfg.DATA.ENSEMBLE_METHOD,
        space=cfg.TEST.ENSEMBLE_SPACE,
        classes=classes,
    )
    for line in lines:
        log.say(line)
    began = time.perf_counter()
    protocol = {"protocol": OPTIMISTIC} if "test" in (cfg.TEST.SELECT_ON, state.get("selected_on")) else {}
    scored = score(job, model, loader, title="test")
    missing = SkipReport(log, loader).tell("test", device=job.device)
    names = loader.class_names or state.get("class_names")
    choices = {"choices": {name: list(values) for name, values in model.choices.items()}} if model.choices else {}
    table = score_table(job, loader, scored, weights, class_names=names, more_header=choices | protocol)
    seconds = time.perf_counter() - began
    scores = ensemble_views(table, table.header["rule"])
    summary = summarise(scores) | protocol
    if is_main():
        part = f".{cfg.TEST.PART}-of-{cfg.TEST.NUM_PARTS}" if cfg.TEST.NUM_PARTS > 1 else ""
        save_results(Path(cfg.OUTPUT_DIR), table, scores, summary, name=f"scores{part}")
    if is_main() and cfg.TEST.NUM_PARTS == 1:
        name = result_file_name(frames, cfg.DATA.TEST_CROP_SIZE, clips, crops)
        save_pickles(Path(cfg.OUTPUT_DIR), scores, uniformer_name=name, slowfast_name=cfg.TEST.SAVE_RESULTS_PATH)
    for line in describe_summary(summary):
        if not line.startswith(("top-", "mAP ")):  # these come last
            log.say(line)
    told = tell_test(summary)
    title = f"Test ({OPTIMISTIC})" if protocol else "Test"
    log.say(f"{title}: {told.text}, in {duration(seconds)}")
    log.record({"split": "test_final", **told.stats, **protocol}, more=told.numbers | {"videos": len(table), "seconds": seconds})
    log.scalars(told.scalars, cfg.SOLVER.MAX_EPOCH)
    if is_main() and cfg.TEST.NUM_PARTS == 1:  # of parts: tools/report.py, when they are put together
        out = Path(cfg.OUTPUT_DIR)
        present_test(cfg, table, out / "report.html", training_log=out / "metrics.jsonl", board=log, step=cfg.SOLVER.MAX_EPOCH)
    if missing and not cfg.TEST.ALLOW_MISSING:
        raise RunStopped(
            f"{len(missing)} of {len(loader.dataset.records)} test videos cannot be read and have no scores: {', '.join(missing[:10])}"
            f"{', ...' if len(missing) > 10 else ''}; those of the others are written; TEST.ALLOW_MISSING True accepts that"
        )


def score_table(job: Job, loader, scored: Scored, weights: str, *, class_names: Sequence[str] | None, more_header: dict) -> ScoreTable:
    """What a test leaves on disk, with all that is needed to know later what it was."""
    cfg = changed(job.cfg, {"TEST.PART": 0, "TEST.NUM_PARTS": 1})  # a part says of what it is a part
    share, num_videos = loader.share
    clips, crops = cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS
    header = {
        "checkpoint": str(weights),
        "checkpoint_hash": checkpoint_hash(weights),
        "config": dump_cfg(cfg),
        "frames": views_label(cfg.DATA.NUM_FRAMES, crops, clips),
        "model": cfg.MODEL.MODEL_NAME,
        "num_videos": num_videos,
        "rule": f"{cfg.DATA.ENSEMBLE_METHOD}-{cfg.TEST.ENSEMBLE_SPACE}",
        **more_header,
        **run_facts(),
    }
    ids = torch.tensor(share)[scored.ids]
    more = {"ids": ids, "luma": scored.luma, "choices": scored.choices, "class_names": tuple(class_names or ()) or None, "header": header}
    paths = [loader.dataset.records[i].path for i in scored.ids.tolist()]
    return ScoreTable.whole(paths, scored.labels, scored.logits, grid_views(clips, crops, enhancement(cfg)), **more)


def enhancement(cfg) -> str:
    """What a test does to the pixels of its views, ``"clahe gamma=3"``: views of another enhancement are other views."""
    data = cfg.DATA
    words = [data.ENHANCE] if data.ENHANCE != "none" else []
    if data.GAMMA and data.GAMMA_IN in ("both", "test"):
        words.append(f"gamma={(data.GAMMA[0] + data.GAMMA[-1]) / 2:g}")
    return " ".join(words)
