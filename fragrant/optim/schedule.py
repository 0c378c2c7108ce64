"""The learning rate as a pure function of the fractional epoch."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial

from fragrant.errors import UserError
from fragrant.registry import Registry

# name -> function(epoch, *, base_lr, end_lr, start_epoch, max_epoch, steps, lrs, warmup_epochs, warmup_start_lr) ->
# learning rate; an entry names those that it reads and takes the others as ``**_``.
SCHEDULES = Registry("SOLVER.LR_POLICY", keys=("SOLVER.LR_POLICY",))
# the names of those that warm up by themselves; over the others ``lr_at`` lays a straight line
OWN_WARM_UP = {"warmup_times_steps"}


@SCHEDULES.register("cosine")
def cosine(epoch: float, *, base_lr: float, end_lr: float, start_epoch: float, max_epoch: float, **_: object) -> float:
    """Cosine schedule: half a cosine from ``base_lr`` at ``start_epoch`` down to ``end_lr`` at ``max_epoch``, where it
    stays.

    Raises:
        UserError: ``end_lr`` is above ``base_lr``.
    """
    if end_lr > base_lr:
        raise UserError(f"SOLVER.COSINE_END_LR {end_lr} is above SOLVER.BASE_LR {base_lr}; allowed: at most BASE_LR")
    if max_epoch <= start_epoch:  # the run ends within the warm-up
        return base_lr
    progress = min((epoch - start_epoch) / (max_epoch - start_epoch), 1.0)
    return end_lr + (base_lr - end_lr) * (1 + math.cos(math.pi * progress)) / 2


@SCHEDULES.register("steps_with_relative_lrs")
def relative_steps(epoch: float, *, base_lr: float, steps: Sequence[float], lrs: Sequence[float], **_: object) -> float:
    """Step schedule: ``base_lr * lrs[i]`` from epoch ``steps[i]`` on.

    Raises:
        UserError: the steps do not begin with 0 or do not rise, or are not as many as the rates.
    """
    steps, lrs = list(steps), list(lrs)
    if not steps or steps[0] != 0 or any(after <= before for before, after in zip(steps, steps[1:], strict=False)):
        raise UserError(f"SOLVER.STEPS {steps} with a LR_POLICY of steps; allowed: rising epochs, the first of them 0")
    if len(lrs) != len(steps):
        raise UserError(
            f"SOLVER.LRS {lrs} has {len(lrs)} factors for the {len(steps)} epochs of SOLVER.STEPS {steps}; "
            "allowed: one each"
        )
    return base_lr * lrs[bisect_right(steps, epoch) - 1]


@SCHEDULES.register("warmup_times_steps")
def warmup_times_steps(
    epoch: float,
    *,
    base_lr: float,
    steps: Sequence[float],
    lrs: Sequence[float],
    warmup_epochs: float,
    warmup_start_lr: float,
    **_: object,
) -> float:
    """Step schedule times a linear warm-up that may last beyond the first step; the rate is constant within an epoch.

    As mmaction2 trains with a LinearLR and a MultiStepLR, both by epoch. Its LinearLR with ``end`` E is full at epoch E
    - 1:
    ``warmup_epochs`` here is E - 1."""
    epoch = math.floor(epoch)
    start = warmup_start_lr / base_lr
    warmup = start + (1 - start) * epoch / warmup_epochs if epoch < warmup_epochs else 1.0
    return warmup * relative_steps(epoch, base_lr=base_lr, steps=steps, lrs=lrs)


def lr_at(
    epoch: float,
    *,
    policy: str,
    base_lr: float,
    max_epoch: float,
    end_lr: float = 0.0,
    warmup_epochs: float = 0.0,
    warmup_start_lr: float = 0.0,
    cosine_after_warmup: bool = False,
    steps: Sequence[float] = (),
    lrs: Sequence[float] = (),
) -> float:
    """The learning rate at ``epoch`` = finished epochs + share of the running one (2.5: the middle of the third).

    But for the policies of ``OWN_WARM_UP`` warm-up is a straight line from ``warmup_start_lr`` to what the policy says
    at ``warmup_epochs``. A cosine that does not start after the warm-up (``cosine_after_warmup`` False) has come down a
    little by then, so its peak is below ``base_lr``; published SlowFast runs have it so.

    Raises:
        UserError: the policy is not known, or its numbers contradict each other.
    """
    schedule = partial(
        SCHEDULES.get(policy),
        base_lr=base_lr,
        end_lr=end_lr,
        start_epoch=warmup_epochs if cosine_after_warmup else 0.0,
        max_epoch=max_epoch,
        steps=steps,
        lrs=lrs,
        warmup_epochs=warmup_epochs,
        warmup_start_lr=warmup_start_lr,
    )
    if policy in OWN_WARM_UP or epoch >= warmup_epochs:
        return schedule(epoch)
    return warmup_start_lr + epoch * (schedule(warmup_epochs) - warmup_start_lr) / warmup_epochs
