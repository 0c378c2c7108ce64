"""The training of one epoch."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from fragrant.data.loader import ClipLoader
from fragrant.engine.meter import TrainMeter
from fragrant.objectives import Objective
from fragrant.optim.step import Stepper


def train_one_epoch(
    objective: Objective,
    loader: ClipLoader,
    stepper: Stepper,
    meter: TrainMeter,
    *,
    epoch: int,
    lr_at: Callable[[float], float],
    prepare: Callable[[Tensor, Sequence[int], int], Tensor],
    autocast: Callable[[], AbstractContextManager],
    device: torch.device,
    first: int = 0,
    between_steps: Callable[[int], None] = lambda done: None,
) -> None:
    """Trains on every batch of an epoch from number ``first`` on, at ``lr_at(fractional epoch)``; RunStopped after too
    many non-finite steps in a row.

    Args:
        prepare: uint8 clips (N, C, T, H, W), ids of their videos, epoch -> normalised float clips, on the device; may
            erase at random.
        between_steps: called after every batch with the number of batches done; may save, may end the run.
    """
    objective.train()
    loader.set_epoch(epoch, first)
    for step, batch in enumerate(meter.watch(loader), first):
        ids, batch = batch.ids.tolist(), batch.to(device)
        lr = lr_at(epoch + step / len(loader))
        stepper.begin(lr, remaining=len(loader) - step)
        clips = prepare(batch.clips.flatten(0, 1), ids, epoch)  # (B*V, C, T, H, W)
        labels = batch.labels.repeat_interleave(batch.clips.shape[1], dim=0)  # (B*V,)
        objective.meet(ids, epoch, batch.figures)
        with autocast():
            out = objective(clips, labels)
        if stepper.backward(out.loss, batch.ids):
            objective.after_step()
        meter.update(step, lr=lr, loss=out.loss, logged=out.logged, grad_norm=stepper.grad_norm, weight=len(labels))
        between_steps(step + 1)
    stepper.flush()
    meter.finish(lr=lr, bad_steps=stepper.bad_steps)
