"""Which videos become pseudo-labels, and with which targets."""

import math

import pytest
import torch

from fragrant.metrics import ScoreError
from fragrant.scores.pseudo_labels import OfClass, Rule, describe, pseudo_labels

# four videos predicted 0 (0.9, 0.8, 0.7, 0.6), two predicted 1 (0.55, 0.95), none 2
PROBS = torch.tensor(
    [
        [0.9, 0.1, 0.0],
        [0.45, 0.55, 0.0],
        [0.8, 0.1, 0.1],
        [0.7, 0.3, 0.0],
        [0.05, 0.95, 0.0],
        [0.6, 0.2, 0.2],
    ]
)


@pytest.mark.parametrize(
    "rule, rows",
    [
        (Rule(), [0, 1, 2, 3, 4, 5]),
        (Rule(top_share=0.5), [0, 2, 4]),
        (Rule(top_share=0.01), [0, 4]),  # at least one of each class
        (Rule(top_share=1.0), [0, 1, 2, 3, 4, 5]),
        (Rule(thresholds=(0.75,)), [0, 2, 4]),
        (Rule(thresholds=(0.65, 0.5, 0.0)), [0, 1, 2, 3, 4]),
        (Rule(thresholds=(1.0,)), []),
        (Rule(quantile=0.5), [0, 1, 2, 3, 4]),  # class 0: 0.65, class 1: 0.25
        (Rule(top_share=0.5, thresholds=(0.85,)), [0, 4]),
    ],
    ids=str,
)
def test_who_is_kept(rule, rows):
    found = pseudo_labels(PROBS, rule)
    assert found.rows == rows and found.lost == 0
    assert torch.allclose(found.targets, PROBS[rows].double(), atol=1e-6)
    assert [of.predicted for of in found.classes] == [4, 2, 0]


def test_what_is_told_of_each_class():
    found = pseudo_labels(PROBS, Rule(top_share=0.5))
    assert found.classes[0] == OfClass(4, 2, pytest.approx(0.8)) and found.classes[2] == OfClass(0, 0, 0.0)
    assert describe(found, ["run", "walk", "sit"]) == [
        "  run   2 of 4 kept, from 0.800 on",
        "  walk  1 of 2 kept, from 0.950 on",
        "  sit   0 of 0 kept",
    ]


def test_equal_videos_are_taken_in_the_order_of_the_list():
    assert pseudo_labels(torch.full((4, 2), 0.5), Rule(top_share=0.5)).rows == [0, 1]


def test_a_temperature_sharpens_the_targets():
    found = pseudo_labels(torch.tensor([[0.6, 0.3, 0.1]]), Rule(temperature=0.5))
    assert found.targets[0].tolist() == pytest.approx([0.36 / 0.46, 0.09 / 0.46, 0.01 / 0.46])
    assert found.rows == [0] and found.targets.sum() == pytest.approx(1)


def test_scores_that_are_no_numbers_are_not_kept():
    probs = torch.cat([PROBS, torch.full((1, 3), math.nan)])
    found = pseudo_labels(probs, Rule(quantile=0.5))
    assert found.lost == 1 and found.rows == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "rule, told",
    [
        (Rule(top_share=1.5), "--top-share 1.5 is not between 0 and 1"),
        (Rule(quantile=-0.1), "--quantile -0.1 is not between"),
        (Rule(thresholds=(0.1, 0.2)), "--threshold has 2 numbers; allowed: 1, or one for each of the 3 classes"),
        (Rule(thresholds=(2.0,)), "--threshold 2.0: allowed: numbers from 0 to 1"),
        (Rule(temperature=0.0), "--temperature 0 must be above 0"),
    ],
)
def test_a_rule_that_cannot_be(rule, told):
    with pytest.raises(ScoreError) as caught:
        pseudo_labels(PROBS, rule)
    assert told in str(caught.value)
