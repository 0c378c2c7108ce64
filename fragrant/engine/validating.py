"""The validation of an epoch: a one-view test of the validation list, or the loss of an objective without labels."""

import math
import time

import torch
from torch import nn

from fragrant.data.loader import ClipLoader
from fragrant.engine.accuracy import Numbers, best_fields, best_so_far, in_words, measure, measure_loss, scalars
from fragrant.engine.build import (
    Job,
    build_job_model,
    clip_names,
    observe,
    score,
)
from fragrant.engine.meter import gpu_memory
from fragrant.engine.parallel import whole_state
from fragrant.logs import host_memory
from fragrant.metrics import ensemble, in_words_not_finite, not_finite
from fragrant.objectives import Objective, Unlabelled
from fragrant.report.build import present_validation


def scorable(job: Job, model: nn.Module) -> nn.Module:
    """The model to score: a plain copy where training is sharded, since ranks score different numbers of batches."""
    if job.cfg.TRAIN.SHARDING == "none":
        return model
    with torch.random.fork_rng():
        plain = build_job_model(job)
    plain.load_state_dict(whole_state(model.state_dict()))
    return plain


def one_view_test(job: Job, model: nn.Module, loader: ClipLoader, *, pictures_at: int | None = None) -> Numbers:
    """The numbers of a validation; TensorBoard gets its pictures at step ``pictures_at``, None = no pictures."""
    table = score(job, model, loader, title="validation")
    scores = ensemble(table.logits, space=job.cfg.TEST.ENSEMBLE_SPACE, method=job.cfg.DATA.ENSEMBLE_METHOD)
    lost = not_finite(table.logits)
    if bool(lost.any()):
        names = clip_names(loader)(table.ids[lost].tolist()[:10])
        job.log.warn(f"validation: {in_words_not_finite(int(lost.sum()))}, which count as wrong: {names}, ...")
    if pictures_at is not None:
        present_validation(job.cfg, job.log, scores, table.labels, loader.class_names, pictures_at)
    return measure(scores.masked_fill(lost[:, None], math.nan), table.labels)


def validation_loss(job: Job, objective: Unlabelled, loader: ClipLoader) -> Numbers:
    numbers = measure_loss(observe(job, objective, loader, title="validation"), objective.measure)
    if lost := int(numbers.get("not_finite", 0)):
        job.log.warn(f"validation: {in_words_not_finite(lost)}, which are left out of the loss")
    return numbers


def validate(
    job: Job, objective: Objective, loader: ClipLoader, epoch: int, best: dict, *, optimistic: str
) -> tuple[dict, Numbers]:
    """A one-view test of the validation list, or the loss there of an objective without labels; the best result so far,
    this one included, and this one.

    Args:
        optimistic: what to say of the numbers, see ``selection_note``.
    """
    began = time.perf_counter()
    if isinstance(objective, Unlabelled):
        numbers = validation_loss(job, objective, loader)
    else:
        numbers = one_view_test(job, scorable(job, objective.eval_model), loader, pictures_at=epoch + 1)
    best = best_so_far(best, epoch, numbers)
    stats = {
        "_type": "val_epoch",
        "epoch": f"{epoch + 1}/{job.cfg.SOLVER.MAX_EPOCH}",
        "time_diff": time.perf_counter() - began,
        "gpu_mem": gpu_memory(job.device),
        "RAM": host_memory(),
        **numbers,
        **best_fields(best),
        **({"protocol": optimistic} if optimistic else {}),
    }
    job.log.record(stats)
    job.log.scalars(scalars("Val", numbers), epoch + 1)
    return best, numbers


def validate_beside(job: Job, model: nn.Module, loader: ClipLoader, epoch: int, name: str) -> None:
    """Validates a further model of the objective and logs the result, which decides nothing."""
    numbers, at = one_view_test(job, model, loader), f"{epoch + 1}/{job.cfg.SOLVER.MAX_EPOCH}"
    stats = {"_type": f"val_epoch_{name}", "epoch": at, **numbers}
    job.log.record(stats, text=f"epoch {at}: validation of the {name} weights {in_words(numbers)}")
