"""A learning rate that halves with every epoch."""

from fragrant.optim import SCHEDULES


@SCHEDULES.register("halving")
def halving(epoch: float, *, base_lr: float, **_: object) -> float:
    """The rate at ``epoch`` = finished epochs + share of the running one."""
    return base_lr / 2 ** int(epoch)
