"""The validations of a run so far, in order or the best first: what early stopping and the kept best epochs follow."""

from collections.abc import Sequence

from fragrant.engine.accuracy import Numbers, merit

Validations = list[list]  # [epoch, merit] of each, in the order of the epochs (0-based), as checkpoints keep them


def with_validation(validations: Validations, epoch: int, numbers: Numbers) -> Validations:
    """That of ``epoch`` added, in place of what a run that goes on from there had found at and after it."""
    return [one for one in validations if one[0] < epoch] + [[epoch, merit(numbers)]]


def best_first(validations: Validations) -> list[int]:
    """The epochs; of two equally good ones the earlier comes first."""
    return [epoch for epoch, _ in sorted(validations, key=lambda one: (-one[1], one[0]))]


def since_best(validations: Validations) -> int:
    """How many validations have followed the best."""
    return sum(epoch > best_first(validations)[0] for epoch, _ in validations) if validations else 0


def kept_epochs(validations: Validations, keep: int) -> Sequence[int]:
    """Numbers of finished epochs of the best ``keep``."""
    return [epoch + 1 for epoch in best_first(validations)[:keep]]
