"""Splits that are drawn from a training list: held-out videos and folds, by group."""

from collections.abc import Sequence
from functools import lru_cache

from fragrant.data.datasets.known_set import group_rules
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.groups import groups_of, known_pattern, shared_groups
from fragrant.data.lists.parts import Drawn, draw_parts
from fragrant.data.lists.records import RecordList, each_label
from fragrant.data.lists.shots import draw_shots


@lru_cache(maxsize=4)
def _drawn(labels: tuple, groups: tuple[str, ...] | None, shares: tuple[float, ...], seed: int, folds: bool) -> Drawn:
    """As ``draw_parts``, remembered: a run asks for its lists several times."""
    return draw_parts(labels, groups, shares, seed=seed, folds=folds)


def _labels(records: RecordList) -> tuple:
    return tuple(each_label(record.label) for record in records)


def groups_by_rule(records: RecordList, group_by: str) -> tuple[str, ...] | None:
    """The group of every video by DATA.GROUP_BY; None where that is "".

    Raises:
        ListError: the rule does not fit the list.
    """
    return tuple(groups_of(records, group_by, group_rules())) if group_by else None


def draw_folds(records: RecordList, folds: int, *, group_by: str = "", seed: int) -> Drawn:
    """Draws a list into folds; those of one group, by ``group_by`` (see ``groups_of``), stay together.

    Raises:
        ListError: the rule does not fit the list, there are fewer groups than folds, or no draw leaves every class
            something to train on.
    """
    groups = groups_by_rule(records, group_by)
    try:
        drawn = _drawn(_labels(records), groups, (1 / folds,) * folds, seed, True)
    except ListError as error:
        raise ListError(f"DATA.FOLDS {folds} of {records!r}{_by(group_by)}: {error}") from None
    if drawn.swallowed:
        fold, label = drawn.swallowed[0]
        own = [at for at, record in enumerate(records) if label in each_label(record.label)]
        number = len({groups[at] for at in own}) if groups else len(own)
        raise ListError(
            f"DATA.FOLDS {folds} of {records!r}{_by(group_by)}: the training part of fold {fold} has no video of class "
            f"{label}, whose {len(own)} videos are {number} {'group' if groups else 'video'}{'s' * (number > 1)}; "
            "allowed: classes of two or more groups that can lie in different folds"
        )
    return drawn


def draw_held_out(records: RecordList, share: float, *, group_by: str, seed: int) -> tuple[list[int], list[int]]:
    """Ids of the videos that stay for training, and of those held out, whole groups of about ``share`` of each class.

    Raises:
        ListError: the rule does not fit the list, or no group can be held out without taking a class from training.
    """
    groups = groups_by_rule(records, group_by)
    told = f"DATA.HOLD_OUT {share} of {records!r}{_by(group_by)}"
    try:
        drawn = _drawn(_labels(records), groups, (1 - share, share), seed, False)
    except ListError as error:
        raise ListError(f"{told}: {error}") from None
    if drawn.swallowed:
        raise ListError(
            f"{told}: whatever group is held out, training loses class {drawn.swallowed[0][1]}; allowed: classes of "
            "two or more groups"
        )
    return drawn.ids(0), drawn.ids(1)


def draw_few(records: RecordList, shots: int, *, group_by: str, seed: int, told: str = "DATA.SHOTS") -> RecordList:
    """Some videos of each class, see ``draw_shots``.

    Args:
        told: what asks for them, in an error.

    Raises:
        ListError: a class has fewer videos, or the rule does not fit the list.
    """
    try:
        return records.pick(draw_shots(records.labels.tolist(), groups_by_rule(records, group_by), shots, seed=seed))
    except ListError as error:
        raise ListError(f"{told} {shots} of {records!r}{_by(group_by)}: {error}") from None


def _by(group_by: str) -> str:
    return f" by DATA.GROUP_BY '{group_by}'" if group_by else ""


def leak_between(train: RecordList, other: RecordList, *, group_by: str, dataset: str) -> str:
    """What two lists have in common where they should share no group: ``"3 of 7 groups, with ..."``; "" for nothing.

    Args:
        group_by: DATA.GROUP_BY; where it is "" the rule of ``dataset`` counts, if it has one that these names follow.
    """
    rules = group_rules()
    name = group_by or dataset.lower()
    rule = rules.get(name)
    pattern = (rule.apart or rule.pattern) if rule else group_by
    if not pattern:
        return ""
    try:
        shared = shared_groups(*(groups_of(records, pattern, {}) for records in (train, other)))
    except ListError:
        if group_by:
            raise
        return ""  # a list of other names than the set has
    return f"{shared}" if shared else ""


def describe_part(records: RecordList, whole: Sequence[int], class_names: Sequence[str] | None) -> str:
    """``"30 videos; without a video of: Run, Sit"``

    Args:
        whole: the classes that there are.
    """
    there = {label for record in records for label in each_label(record.label)}
    missing = [class_names[label] if class_names else f"class {label}" for label in whole if label not in there]
    return f"{len(records)} videos" + (f", none of {', '.join(missing)}" if missing else "")


__all__ = [
    "describe_part",
    "draw_few",
    "draw_folds",
    "draw_held_out",
    "groups_by_rule",
    "known_pattern",
    "leak_between",
]
