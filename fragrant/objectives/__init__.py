"""What one training step minimises."""

from fragrant.objectives.build import build_objective
from fragrant.objectives.classify import Classify
from fragrant.objectives.objective import Objective, StepOutput

__all__ = ["Classify", "Objective", "StepOutput", "build_objective"]
