"""Objectives: the losses that a training step minimises, with their mixing of clips and teachers."""

from fragrant.objectives.build import (
    LOSSES,
    OBJECTIVES,
    Teacher,
    build_loss,
    build_mix,
    build_objective,
    objective_name,
    part_to_test,
)
from fragrant.objectives.classify import Classify
from fragrant.objectives.objective import Objective, StepOutput
from fragrant.objectives.unlabelled import Unlabelled

__all__ = [
    "LOSSES",
    "OBJECTIVES",
    "Classify",
    "Objective",
    "StepOutput",
    "Teacher",
    "Unlabelled",
    "build_loss",
    "build_mix",
    "build_objective",
    "objective_name",
    "part_to_test",
]
