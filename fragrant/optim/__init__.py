"""Optimisation of the weights: parameter groups, optimisers, learning-rate schedules."""

from fragrant.optim.build import OPTIMIZERS, build_optimizer, build_schedule, describe_peak
from fragrant.optim.groups import parameter_groups
from fragrant.optim.schedule import OWN_WARM_UP, SCHEDULES, lr_at

__all__ = [
    "OPTIMIZERS",
    "OWN_WARM_UP",
    "SCHEDULES",
    "build_optimizer",
    "build_schedule",
    "describe_peak",
    "lr_at",
    "parameter_groups",
]
