"""A few videos of each class, drawn from a training list: no two of one group as long as there are others."""

import random
from collections.abc import Sequence

from fragrant.data.lists.errors import ListError


def draw_shots(labels: Sequence[int], groups: Sequence[str] | None, shots: int, *, seed: int) -> list[int]:
    """Ids of ``shots`` videos of every class, in list order.

    The groups of a class are shuffled and give one video each in turn, so that near copies count as one as long as
    there are other groups. The same for every process and run, and nested: the 4 shots of a seed are among its 16.

    Args:
        groups: of every video; None = each is its own.
        shots: 1 or more.

    Raises:
        ListError: a class has fewer videos, or no video has a label.
    """
    drawn: list[int] = []
    for label in sorted(set(labels) - {-1}):
        ids = [at for at, own in enumerate(labels) if own == label]
        if len(ids) < shots:
            raise ListError(
                f"{shots} shots, but class {label} has {len(ids)} training videos; allowed: 1 to {len(ids)}"
            )
        drawn += _in_turn(ids, groups, random.Random(f"shots {seed}-{label}"))[:shots]
    if not drawn:
        raise ListError("no video has a label")
    return sorted(drawn)


def _in_turn(ids: Sequence[int], groups: Sequence[str] | None, rng: random.Random) -> list[int]:
    """All videos of a class: one of every group, then the next of every group that has one, ..."""
    by_group: dict[object, list[int]] = {}
    for at in ids:
        by_group.setdefault(groups[at] if groups is not None else at, []).append(at)
    order = list(by_group.values())
    rng.shuffle(order)
    for members in order:
        rng.shuffle(members)
    longest = max(map(len, order))
    return [members[turn] for turn in range(longest) for members in order if turn < len(members)]
