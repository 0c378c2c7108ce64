"""A few videos of each class: how many, of which groups, the same every time."""

import pytest

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.shots import draw_shots

LABELS = [0] * 9 + [1] * 6 + [-1]
GROUPS = [*"aaaaaabbc", *"ddeeff", "z"]


def test_each_of_another_group_as_long_as_there_are_some():
    for seed in range(20):
        ids = draw_shots(LABELS, GROUPS, 3, seed=seed)
        assert [LABELS[at] for at in ids] == [0, 0, 0, 1, 1, 1]
        assert {GROUPS[at] for at in ids} == set("abcdef")
        more = draw_shots(LABELS, GROUPS, 5, seed=seed)
        assert set(ids) < set(more)  # nested
        assert sorted(GROUPS[at] for at in more if at < 9) == ["a", "a", "b", "b", "c"]


def test_a_seed_is_a_draw():
    draws = {tuple(draw_shots(LABELS, GROUPS, 2, seed=seed)) for seed in range(20)}
    assert len(draws) > 10 and draw_shots(LABELS, GROUPS, 2, seed=3) == draw_shots(LABELS, GROUPS, 2, seed=3)
    assert len({tuple(draw_shots(LABELS, None, 1, seed=seed)) for seed in range(40)}) > 15  # of 54


def test_all_there_are_and_one_more():
    assert draw_shots(LABELS[9:], None, 6, seed=0) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ListError, match="7 shots, but class 1 has 6 training videos; allowed: 1 to 6"):
        draw_shots(LABELS, GROUPS, 7, seed=0)
    with pytest.raises(ListError, match="no video has a label"):
        draw_shots([-1, -1], None, 1, seed=0)
