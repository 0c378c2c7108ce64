"""Parts of a run that training and testing share: job, model, scores."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from fvcore.common.config import CfgNode
from torch import nn

from fragrant.data.loader import ClipLoader
from fragrant.distributed.signals import StopRequest
from fragrant.errors import RunStopped
from fragrant.layers.preparation import ClipPreparation
from fragrant.logs import RunLog
from fragrant.models.backbone import Backbone
from fragrant.runtime.build import model_on_device
from fragrant.runtime.evaluate import Scored, score_videos
from fragrant.runtime.precision import pick_precision

OPTIMISTIC = "optimistic: the best epoch was picked on the test list"  # TEST.SELECT_ON test; stands in every output


class Job(NamedTuple):
    """Settings and state of a run that its parts share."""

    cfg: CfgNode
    device: torch.device
    log: RunLog
    prepare: ClipPreparation  # uint8 clips -> normalised float32 clips, both (N, C, T, H, W)
    stop: StopRequest


def build_job_model(job: Job) -> Backbone:
    return model_on_device(
        job.cfg, job.device, channels_last=job.cfg.TRAIN.CHANNELS_LAST, compiled=job.cfg.TRAIN.COMPILE
    )


def clip_names(loader: ClipLoader) -> Callable[[Sequence[int]], str]:
    return lambda ids: ", ".join(loader.dataset.records[i].path for i in ids)


def score(job: Job, model: nn.Module, loader: ClipLoader, *, title: str) -> Scored:
    """Scores a model on a loader's videos with the TEST settings; leaves the random state of training alone.

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
            multi_label=cfg.DATA.MULTI_LABEL,
            watch=lambda batches: job.stop.watch(job.log.bar(batches, total=len(batches), title=title)),
        )
    if not len(scored.ids):
        why = next(iter(loader.skipped.values()), "the list is empty")
        raise RunStopped(f"{title}: not one of {len(loader.dataset.records)} videos can be read; the first: {why}")
    return scored
