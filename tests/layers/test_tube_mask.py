"""Tubes that are hidden: as many as asked for, the same in all frames, the same for the same key."""

import random

import pytest
import torch

from fragrant.layers.tube_mask import draw_tubes, num_hidden

# tubes, ratio -> hidden
CASES = [(16, 0.75, 12), (16, 0.9, 14), (196, 0.9, 176), (196, 0.75, 147), (4, 0.9, 3), (4, 0.01, 1), (2, 0.5, 1)]


@pytest.mark.parametrize("tubes, ratio, hidden", CASES)
def test_ratio(tubes, ratio, hidden):
    assert num_hidden(tubes, ratio) == hidden
    mask = draw_tubes(3, 1, tubes, ratio)
    assert mask.hidden.shape == (3, 1, tubes) and mask.hidden.sum((1, 2)).tolist() == [hidden] * 3
    assert mask.num_visible == tubes - hidden


def test_a_key_decides_alone():
    one, two = draw_tubes(2, 4, 4, 0.75, keys=["x", "y"]), draw_tubes(3, 4, 4, 0.75, keys=["z", "y", "x"])
    assert torch.equal(one.hidden[0], two.hidden[2]) and torch.equal(one.hidden[1], two.hidden[1])
    assert not torch.equal(one.hidden[0], one.hidden[1])


def test_without_keys_it_draws_from_the_random_numbers_of_the_process():
    random.seed(3)
    one = draw_tubes(2, 4, 4, 0.75).hidden
    two = draw_tubes(2, 4, 4, 0.75).hidden
    random.seed(3)
    assert torch.equal(one, draw_tubes(2, 4, 4, 0.75).hidden) and not torch.equal(one, two)


def test_all_places_are_equally_likely():
    share = draw_tubes(4000, 3, 3, 0.67, keys=[str(i) for i in range(4000)]).hidden.float().mean(0)
    assert (share - 6 / 9).abs().max() < 0.04


def test_a_finer_grid_repeats_each_tube():
    mask = draw_tubes(2, 2, 3, 0.5, keys=["a", "b"])
    fine = mask.on_grid(8, 12)
    for row in range(8):
        for column in range(12):
            assert torch.equal(fine[:, row, column], mask.hidden[:, row // 4, column // 4])
