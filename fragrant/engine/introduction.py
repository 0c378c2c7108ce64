"""What a training says of its model, data and settings before it begins."""

import torch
from torch import nn

from fragrant.config.label_free import learns_without_labels
from fragrant.config.streams import clip_channels
from fragrant.data.build import describe_fold, leaks
from fragrant.data.lists.pseudo import clips_behind
from fragrant.data.lists.shared import shared_videos
from fragrant.data.loader import ClipLoader
from fragrant.distributed import world_size
from fragrant.engine.build import (
    GUESSED,
    Job,
)
from fragrant.engine.start import (
    Start,
)
from fragrant.models.complexity import describe
from fragrant.optim import describe_peak
from fragrant.report.build import names_of_classes
from fragrant.runtime.build import (
    describe_setting,
)
from fragrant.runtime.precision import Precision


def introduce(
    job: Job, model: nn.Module, train_loader: ClipLoader, val_loader: ClipLoader, start: Start, precision: Precision
) -> None:
    """Logs model, data and settings before training begins."""
    cfg = job.cfg
    if cfg.LOG_MODEL_INFO:
        size = cfg.DATA.TRAIN_CROP_SIZE
        job.log.say(f"{cfg.MODEL.MODEL_NAME}: {describe(model, (clip_channels(cfg), cfg.DATA.NUM_FRAMES, size, size))}")
    clips = train_loader.batches.batch_size * world_size()  # of all processes on all machines
    accumulated = f" ({cfg.TRAIN.ACCUM_STEPS} batches of {clips})" if cfg.TRAIN.ACCUM_STEPS > 1 else ""
    processes = f"{world_size()} processes on {cfg.NUM_SHARDS} machine(s), " if world_size() > 1 else ""
    job.log.say(
        f"{len(train_loader.dataset.records)} training and {len(val_loader.dataset.records)} validation videos; "
        f"{clips * cfg.TRAIN.ACCUM_STEPS} clips per step{accumulated}, {describe_peak(cfg)}; {processes}"
        + (
            f"cpu, {torch.get_num_threads()} threads, "
            if job.device.type == "cpu"
            else f"{torch.cuda.get_device_name(job.device)}, "
        )
        + describe_setting(precision, channels_last=cfg.TRAIN.CHANNELS_LAST, compiled=cfg.TRAIN.COMPILE)
    )
    if learns_without_labels(cfg):
        labelled = int((train_loader.dataset.records.labels >= 0).sum())
        ignored = (
            f": the labels of {labelled} training videos are ignored" if labelled else ", the training list has none"
        )
        job.log.say(
            f"TRAIN.OBJECTIVE {cfg.TRAIN.OBJECTIVE} learns without labels{ignored}; validation measures its loss"
        )
    job.log.say(start.message)
    if start.report:
        start.report.tell(job.log.say, job.log.warn)
    tell_of_targets(job, train_loader, val_loader)
    tell_of_classes(job, train_loader, val_loader)
    if fold := describe_fold(cfg):
        job.log.say(fold)
    for leak in leaks(cfg):
        job.log.warn(leak)


def tell_of_classes(job: Job, train_loader: ClipLoader, val_loader: ClipLoader) -> None:
    """Warns of classes that are trained and that no validation video has: the best epoch is not picked by them. A fold
    says so itself."""
    if job.cfg.DATA.FOLDS or job.cfg.DATA.MULTI_LABEL or learns_without_labels(job.cfg):
        return
    trained, seen = (set(loader.dataset.records.labels.tolist()) - {-1} for loader in (train_loader, val_loader))
    if seen and (missing := sorted(trained - seen)):
        names = names_of_classes(job.cfg, val_loader.class_names)
        few = ", ".join(names[label] for label in missing[:8]) + (", ..." if len(missing) > 8 else "")
        job.log.warn(f"no validation video is of {len(missing)} of the {len(trained)} classes that are trained: {few}")


def tell_of_targets(job: Job, train_loader: ClipLoader, val_loader: ClipLoader) -> None:
    """Says which of the videos have probabilities as targets, and what that makes of the numbers of validation."""
    train, val = train_loader.dataset.records, val_loader.dataset.records
    if soft := len(train.soft):
        job.log.say(f"{soft} of {len(train)} training videos have probabilities as targets")
    if guessed := len(val.soft):
        job.log.warn(f"validation: {GUESSED.format(guessed, len(val))}")
    if shared := shared_videos((record.path for record in val), clips_behind(train)):
        job.log.warn(f"validation is transductive: pseudo-labels were made of {len(shared)} of its {len(val)} videos")
