"""The learning-rate range test by value: rates, the smoothed loss, the end, the suggestion."""

import math

import pytest

from fragrant.optim.range_test import Smoothed, has_diverged, rate_at, suggest

STEPS = 101
RATES = [rate_at(step, STEPS, 1e-6, 1.0) for step in range(STEPS)]


def test_rates_rise_by_one_factor():
    assert RATES[0] == 1e-6 and math.isclose(RATES[-1], 1.0) and math.isclose(RATES[50], 1e-3)


def test_the_smoothed_loss_has_no_bias_at_the_start():
    mean = Smoothed(0.9)
    assert [round(mean.add(2.0), 9) for _ in range(5)] == [2.0] * 5
    mean = Smoothed(0.5)
    assert [mean.add(value) for value in (4.0, 1.0)] == [4.0, pytest.approx((0.25 * 4 + 0.5) / 0.75)]


@pytest.mark.parametrize(
    "smoothed, over",
    [
        ([2.0, 1.0, 3.9], False),
        ([2.0, 1.0, 4.1], True),
        ([2.0, math.nan], True),
        ([2.0, math.inf], True),
        ([-1.0, 9.0], False),
    ],
)
def test_when_it_has_diverged(smoothed, over):
    assert has_diverged(smoothed) is over


def test_the_steepest_fall_of_a_step_in_the_loss():
    """A loss that falls from 2 to 1 around 1e-3, is lowest at 1e-1, and rises from there."""
    losses = [2 - 1 / (1 + math.exp(-4 * math.log10(rate / 1e-3))) - 1e-3 * math.log10(rate) for rate in RATES]
    losses = [
        loss + (5 * math.log10(rate / 1e-1) if rate > 1.01e-1 else 0) for loss, rate in zip(losses, RATES, strict=True)
    ]
    found = suggest(RATES, losses)
    assert found.clear and found.steepest == pytest.approx(1e-3, rel=0.15)
    assert found.lowest == pytest.approx(1e-1, rel=0.2) and found.tenth == pytest.approx(found.lowest / 10)


def test_a_flat_loss_is_not_clear_and_few_steps_say_nothing():
    assert not suggest(RATES, [2.0 + 1e-3 * (step % 2) for step in range(STEPS)]).clear
    assert suggest(RATES[:6], [2.0, 1.9, math.nan, math.nan, 1.8, 1.7]) is None
