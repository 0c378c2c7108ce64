"""Parts of a list: no group in two, every class left to train on, balanced, the same every time."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fragrant.data.lists.parts import draw_parts
from fragrant.data.lists.records import ListError

# the scenes of 150 clips of ARID: class -> scene -> clips
ARID = {0: {8: 14, 11: 11}, 1: {1: 6, 11: 19}, 2: {2: 8, 4: 4, 10: 13}, 3: {2: 4, 3: 7, 5: 9, 9: 5}}
ARID |= {4: {1: 21, 7: 4}, 5: {10: 13, 14: 12}}


def arid() -> tuple[list[tuple[int, ...]], list[str]]:
    rows = [(label, scene) for label, scenes in ARID.items() for scene, n in scenes.items() for _ in range(n)]
    return [(label,) for label, _ in rows], [str(scene) for _, scene in rows]


def imbalance(parts: list[list[int]], labels: list[tuple[int, ...]]) -> float:
    """How far the parts are from equal shares of every class and of all videos."""
    total = Counter(label for own in labels for label in own)
    loss = 0.0
    for ids in parts:
        held = Counter(label for at in ids for label in labels[at])
        loss += sum((held[label] / n - 1 / len(parts)) ** 2 for label, n in total.items()) / len(total)
        loss += (len(ids) / len(labels) - 1 / len(parts)) ** 2
    return loss


@pytest.mark.parametrize("folds", [2, 3, 5, 8, 11])
@pytest.mark.parametrize("seed", [0, 1, 6666])
def test_every_training_part_has_every_class(folds, seed):
    labels, groups = arid()
    drawn = draw_parts(labels, groups, [1 / folds] * folds, seed=seed, folds=True)
    assert drawn.swallowed == [] and set(drawn.part_of) == set(range(folds))
    for fold in range(folds):
        rest = [at for at in range(150) if drawn.part_of[at] != fold]
        assert {labels[at][0] for at in rest} == set(ARID)
        assert not {groups[at] for at in rest} & {groups[at] for at in drawn.ids(fold)}
    assert drawn == draw_parts(labels, groups, [1 / folds] * folds, seed=seed, folds=True)


def test_folds_of_arid_are_about_equal():
    labels, groups = arid()
    drawn = draw_parts(labels, groups, [0.2] * 5, seed=1, folds=True)
    assert sorted(len(drawn.ids(fold)) for fold in range(5)) == [27, 28, 30, 32, 33]  # scene 11 alone has 30


def test_at_least_as_balanced_as_scikit_learn():
    """Its greedy pass is the beginning of ours, and knows nothing of training parts without a class."""
    splitter = pytest.importorskip("sklearn.model_selection").StratifiedGroupKFold
    draw = random.Random(0)
    for _ in range(3):
        groups = [str(draw.randrange(14)) for _ in range(90)]
        labels = [(draw.randrange(4),) for _ in groups]
        flat = [label for (label,) in labels]
        theirs = [ids.tolist() for _, ids in splitter(4, shuffle=True, random_state=0).split(flat, flat, groups)]
        drawn = draw_parts(labels, groups, [0.25] * 4, seed=0, folds=True)
        ours = [drawn.ids(fold) for fold in range(4)]
        assert imbalance(ours, labels) <= imbalance(theirs, labels) + 1e-9


def test_where_a_balanced_draw_would_empty_a_class():
    """Class 0 has two groups of half the size of a fold: together they would balance best."""
    labels = [(0,)] * 4 + [(1,)] * 12
    groups = list("aabb") + [str(at // 4) for at in range(12)]
    drawn = draw_parts(labels, groups, [0.25] * 4, seed=0, folds=True)
    assert drawn.part_of[0] != drawn.part_of[2] and drawn.swallowed == []


def test_a_class_of_one_group_is_named():
    drawn = draw_parts([(0,), (0,), (1,), (1,)], ["a", "a", "b", "c"], [0.5, 0.5], seed=0, folds=True)
    assert [label for _, label in drawn.swallowed] == [0]


def test_the_first_part_keeps_every_class_of_a_hold_out():
    labels, groups = arid()
    drawn = draw_parts(labels, groups, [0.8, 0.2], seed=3, folds=False)
    assert drawn.swallowed == [] and {labels[at][0] for at in drawn.ids(0)} == set(ARID)
    assert 20 <= len(drawn.ids(1)) <= 40
    assert not {groups[at] for at in drawn.ids(0)} & {groups[at] for at in drawn.ids(1)}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=6, max_size=60), st.integers(2, 6), st.integers(0, 99))
def test_single_videos_are_stratified(classes, folds, seed):
    drawn = draw_parts([(label,) for label in classes], None, [1 / folds] * folds, seed=seed, folds=True)
    sizes = [len(drawn.ids(fold)) for fold in range(folds)]
    assert sum(sizes) == len(classes) and max(sizes) - min(sizes) <= 1
    for label in set(classes):
        counts = [sum(classes[at] == label for at in drawn.ids(fold)) for fold in range(folds)]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=8, max_size=50), st.integers(0, 9))
def test_groups_are_never_torn(rows, seed):
    labels, groups = [(label,) for label, _ in rows], [str(group) for _, group in rows]
    if len(set(groups)) < 3:
        return
    drawn = draw_parts(labels, groups, [1 / 3] * 3, seed=seed, folds=True)
    parts = {group: {drawn.part_of[at] for at, own in enumerate(groups) if own == group} for group in groups}
    assert all(len(own) == 1 for own in parts.values()) and set(drawn.part_of) == {0, 1, 2}
    lacking = {
        (fold, label)
        for fold, label in itertools.product(range(3), set(labels))
        if all(drawn.part_of[at] == fold for at in range(len(rows)) if labels[at] == label)
    }
    assert {(fold, label) for fold, (label,) in lacking} == set(drawn.swallowed)


def test_several_labels_count_for_each_class_and_unknown_ones_for_none():
    labels = [(0, 1), (0, 2), (1,), (2,), (-1,), (-1,)]
    drawn = draw_parts(labels, list("abcdef"), [0.5, 0.5], seed=0, folds=True)
    assert drawn.swallowed == [] and sorted(np.bincount(drawn.part_of)) == [3, 3]


@pytest.mark.parametrize("groups, told", [(list("aab"), "2 groups cannot"), (None, "3 videos cannot")])
def test_fewer_than_parts(groups, told):
    with pytest.raises(ListError, match=told):
        draw_parts([(0,)] * 3, groups, [0.25] * 4, seed=0, folds=True)
