"""What one training step minimises."""

from fragrant.objectives.build import Teacher, build_objective, part_to_test
from fragrant.objectives.classify import Classify
from fragrant.objectives.objective import Objective, StepOutput

__all__ = ["Classify", "Objective", "StepOutput", "Teacher", "build_objective", "part_to_test"]
