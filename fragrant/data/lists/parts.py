"""A list drawn into parts: whole groups, about the same share of every class, the same every time."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fragrant.data.lists.errors import ListError

ATTEMPTS = 24  # orders in which groups are dealt out, at most; the best result is taken
_ROUNDS = 20  # of moving single groups, until nothing gets better
_SWAPPED = 40  # groups up to which pairs are exchanged as well: their number grows with the square
_TRIES = 30_000  # about so many results are looked at, 10 microseconds each; more groups are balanced in any order


class Drawn(NamedTuple):
    """Parts of a list.

    Attributes:
        part_of: the part of every video.
        swallowed: (part, class) where training, without this part, has no video of the class.
    """

    part_of: list[int]
    swallowed: list[tuple[int, int]]

    def ids(self, part: int) -> list[int]:
        return [at for at, own in enumerate(self.part_of) if own == part]


class _Dealer:
    """Deals groups into parts; lower ``loss`` is better: first training parts that lack a class, then balance.

    Args:
        counts: (G, K) videos of each class in each group.
        sizes: (G,) videos of each group, of known class or not.
        shares: (P,) what each part should have of every class; 1 together.
        folds: every part is left out once, so that what the others have trains; False: part 0 trains.
    """

    def __init__(self, counts: np.ndarray, sizes: np.ndarray, shares: np.ndarray, *, folds: bool):
        totals = counts.sum(0)
        known = totals > 0
        of_class = counts[:, known] / totals[known]  # (G, K'), each column sums to 1
        size = sizes[:, None] / sizes.sum()
        # the sizes of the parts weigh as much as all classes together
        self.shared = np.concatenate([of_class / np.sqrt(max(1, of_class.shape[1])), size], 1)  # (G, K' + 1)
        self.wanted = shares[:, None] * self.shared.sum(0)  # (P, K' + 1)
        self.of_class, self.folds = of_class, folds

    def swallowed(self, parts: np.ndarray) -> np.ndarray:
        """(P, K') bool, or (1, K') where part 0 alone trains: no video of the class is left to train on."""
        held = self._sums(self.of_class, parts)
        return held > 1 - 1e-9 if self.folds else held[:1] < 1e-9

    def loss(self, parts: np.ndarray) -> tuple[int, float]:
        held = self._sums(self.shared, parts)
        empty = int((np.bincount(parts, minlength=len(self.wanted)) == 0).sum())
        lacks = int(self.swallowed(parts).sum()) + empty * self.shared.shape[1]
        return lacks, round(float(((held - self.wanted) ** 2).sum()), 12)

    def _sums(self, rows: np.ndarray, parts: np.ndarray) -> np.ndarray:
        return (parts == np.arange(len(self.wanted))[:, None]).astype(float) @ rows

    def deal(self, order: Sequence[int]) -> np.ndarray:
        """Gives each group, in this order, to the part that lacks most of what it has: (G,)"""
        missing, parts = self.wanted.copy(), np.zeros(len(self.shared), dtype=np.int64)
        for group in order:
            parts[group] = int((missing @ self.shared[group]).argmax())
            missing[parts[group]] -= self.shared[group]
        return parts

    def improve(self, parts: np.ndarray) -> np.ndarray:
        """Moves groups, and exchanges pairs of a short list, as long as that lowers the loss."""
        best = self.loss(parts)
        for _ in range(_ROUNDS):
            before = best
            for group in range(len(parts)):
                for part in range(len(self.wanted)):
                    best = self._tried(parts, {group: part}, best)
            if len(parts) <= _SWAPPED:
                for one in range(len(parts)):
                    for other in range(one):
                        best = self._tried(parts, {one: int(parts[other]), other: int(parts[one])}, best)
            if best == before:
                break
        return parts

    def _tried(self, parts: np.ndarray, moved: dict[int, int], best: tuple[int, float]) -> tuple[int, float]:
        old = {group: int(parts[group]) for group in moved}
        if old == moved:
            return best
        for group, part in moved.items():
            parts[group] = part
        now = self.loss(parts)
        if now < best:
            return now
        for group, part in old.items():
            parts[group] = part
        return best


def draw_parts(
    labels: Sequence[Sequence[int]], groups: Sequence[str] | None, shares: Sequence[float], *, seed: int, folds: bool
) -> Drawn:
    """Draws a list into parts that share no group, each with about its share of every class.

    Groups are dealt out largest first, as by scikit-learn's StratifiedGroupKFold, in several orders; single groups are
    then moved. Of all results the one counts that leaves every class something to train on, then the best balanced.
    The same for every process, run and version of a library: it depends on the list and the seed alone.

    Args:
        labels: the classes of every video; a label below 0 counts as none.
        groups: the group of every video; None = each is its own.
        shares: of each part, 1 together.
        folds: see ``Drawn.swallowed``: each part is left out once. False: the first part trains.

    Raises:
        ListError: there are fewer groups, or videos, than parts.
    """
    units: list[Any] = list(dict.fromkeys(groups)) if groups is not None else list(range(len(labels)))
    if len(units) < len(shares):
        what = "groups" if groups is not None else "videos"
        raise ListError(
            f"{len(units)} {what} cannot be drawn into {len(shares)} parts; at least one is needed for each"
        )
    unit_of = {unit: at for at, unit in enumerate(units)}
    unit_ids: list[int] = [unit_of[group] for group in groups] if groups is not None else units
    classes = sorted({label for own in labels for label in own if label >= 0})
    column = {label: at for at, label in enumerate(classes)}
    counts, sizes = np.zeros((len(units), max(1, len(classes)))), np.zeros(len(units))
    for unit, own in zip(unit_ids, labels, strict=True):
        sizes[unit] += 1
        for label in own:
            if label >= 0:
                counts[unit, column[label]] += 1
    dealer = _Dealer(counts, sizes, np.asarray(shares, dtype=float), folds=folds)
    parts = _alone(counts, np.asarray(shares), seed) if groups is None else _together(dealer, sizes, seed)
    swallowed = [(int(part), classes[at]) for part, at in np.argwhere(dealer.swallowed(parts)) if classes]
    return Drawn([int(parts[unit]) for unit in unit_ids], swallowed)


def _together(dealer: _Dealer, sizes: np.ndarray, seed: int) -> np.ndarray:
    """The best of several orders of the groups."""
    groups, parts = len(sizes), len(dealer.wanted)
    tries = 4 * (groups * parts + (groups**2 // 2 if groups <= _SWAPPED else 0))  # until nothing gets better
    attempts, results = max(1, min(ATTEMPTS, _TRIES // tries)), []
    for attempt in range(attempts):
        draw = random.Random(f"parts {seed}-{attempt}")
        luck = [draw.random() for _ in sizes]
        blur = attempt / attempts  # the first attempt goes by size, later ones less and less
        order = sorted(range(groups), key=lambda at: (-sizes[at] * (1 - blur * luck[at]), luck[at]))
        dealt = dealer.deal(order)
        results.append(dealer.improve(dealt) if tries <= _TRIES else dealt)
    return min(results, key=dealer.loss)


def _alone(counts: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Parts of single videos: each gets its share of every class; what is over goes to those that have least."""
    first = np.where(counts.any(1), counts.argmax(1), -1)
    parts, held, passed = np.zeros(len(counts), dtype=np.int64), np.zeros(len(shares)), 0
    for label in np.unique(first):
        ids = np.flatnonzero(first == label).tolist()
        random.Random(f"parts {seed}-{label}").shuffle(ids)
        passed += len(ids)
        given = np.floor(shares * len(ids) + 1e-9)
        for _ in range(len(ids) - int(given.sum())):
            lack = np.round(shares * len(ids) - given, 9), np.round(shares * passed - held - given, 9)
            given[np.lexsort((lack[1], lack[0] > 0))[-1]] += 1
        parts[ids] = np.repeat(np.arange(len(shares)), given.astype(int))
        held += given
    return parts
