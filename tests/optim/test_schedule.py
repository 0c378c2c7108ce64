"""Learning rates by value."""

import math
import re

import pytest
from conftest import golden

from fragrant.errors import UserError
from fragrant.optim import lr_at

CASES = golden("framework/lr_curves")["cases"]
COSINE = {"policy": "cosine", "base_lr": 1.0, "max_epoch": 10}
STEPS = {"policy": "steps_with_relative_lrs", "base_lr": 2.0, "max_epoch": 30}


def arguments(solver: dict) -> dict:
    return {
        "policy": solver["LR_POLICY"],
        "base_lr": solver["BASE_LR"],
        "max_epoch": solver["MAX_EPOCH"],
        "end_lr": solver["COSINE_END_LR"],
        "warmup_epochs": solver["WARMUP_EPOCHS"],
        "warmup_start_lr": solver["WARMUP_START_LR"],
        "cosine_after_warmup": solver["COSINE_AFTER_WARMUP"],
        "steps": solver["STEPS"],
        "lrs": solver["LRS"],
    }


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden_curves(case):
    options = arguments(case.get("solver") or case["solver_after_scaling"])
    for epoch, expected in case["curve"]:  # written with 9 digits
        assert lr_at(epoch, **options) == pytest.approx(expected, rel=1e-8, abs=1e-17), epoch


@pytest.mark.parametrize(
    "options, epoch, expected",
    [
        (COSINE, 0, 1.0),
        (COSINE, 5, 0.5),
        (COSINE, 10, 0.0),
        (COSINE, 12, 0.0),  # past the end it stays at the end
        ({**COSINE, "end_lr": 1.0}, 7, 1.0),  # constant
        ({**COSINE, "warmup_epochs": 10, "cosine_after_warmup": True}, 10, 1.0),  # nothing but warm-up
        ({**COSINE, "warmup_epochs": 40, "cosine_after_warmup": True}, 10, 0.25),  # the run ends within it
        ({**STEPS, "steps": [0, 10, 20], "lrs": [1, 0.1, 0.01]}, 9.99, 2.0),
        ({**STEPS, "steps": [0, 10, 20], "lrs": [1, 0.1, 0.01]}, 10, 0.2),
        ({**STEPS, "steps": [0, 10, 20], "lrs": [1, 0.1, 0.01]}, 50, 0.02),
    ],
)
def test_values(options, epoch, expected):
    assert lr_at(epoch, **options) == pytest.approx(expected, abs=1e-15)


def test_warm_up_meets_the_policy():
    options = {**COSINE, "warmup_epochs": 3.0, "warmup_start_lr": 0.1}
    peak = (1 + math.cos(math.pi * 0.3)) / 2  # below base_lr: the cosine began at epoch 0
    assert lr_at(3.0, **options) == pytest.approx(peak)
    assert lr_at(3.0 - 1e-9, **options) == pytest.approx(peak)
    assert lr_at(0.0, **options) == 0.1
    assert lr_at(3.0, **options, cosine_after_warmup=True) == 1.0


KINETICS = {"steps": [0, 32, 48], "warmup_epochs": 15, "max_epoch": 58}
DARK = {"steps": [0, 60, 80], "warmup_epochs": 99, "max_epoch": 100}


@pytest.mark.parametrize(
    "options, warmup", [(KINETICS, lambda e: min(e, 15) / 15), (DARK, lambda e: e / 99)], ids=["kinetics", "dark"]
)
def test_warm_up_times_steps_is_the_formula_of_csn(options, warmup):
    options = {
        **options,
        "policy": "warmup_times_steps",
        "base_lr": 5e-4,
        "warmup_start_lr": 5e-5,
        "lrs": [1, 0.1, 0.01],
    }
    _, first, second = options["steps"]
    for epoch in range(options["max_epoch"]):
        expected = 5e-4 * (0.1 + 0.9 * warmup(epoch)) * 0.1 ** ((epoch >= first) + (epoch >= second))
        assert lr_at(epoch, **options) == pytest.approx(expected, rel=1e-12), epoch
        assert lr_at(epoch + 0.99, **options) == lr_at(epoch, **options)  # by epoch


@pytest.mark.parametrize("epoch, rate", [(0, 5e-5), (59, 3.18e-4), (60, 3.2e-5), (80, 4.1e-6), (99, 5e-6)])
def test_rates_of_the_dark_report(epoch, rate):
    options = {**DARK, "policy": "warmup_times_steps", "base_lr": 5e-4, "warmup_start_lr": 5e-5, "lrs": [1, 0.1, 0.01]}
    assert lr_at(epoch, **options) == pytest.approx(rate, rel=0.01)


def test_steps_without_warm_up():
    options = {"policy": "warmup_times_steps", "base_lr": 2.0, "max_epoch": 9, "steps": [0, 5], "lrs": [1, 0.5]}
    assert [lr_at(epoch, **options) for epoch in (0, 4.9, 5)] == [2.0, 2.0, 1.0]


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {**COSINE, "policy": "cosin"},
            "SOLVER.LR_POLICY 'cosin' is not known; did you mean 'cosine'? Known: cosine, steps",
        ),
        ({**COSINE, "end_lr": 2.0}, "SOLVER.COSINE_END_LR 2.0 is above SOLVER.BASE_LR 1.0; allowed: at most BASE_LR"),
        (STEPS, "SOLVER.STEPS [] with a LR_POLICY of steps; allowed: rising epochs, the first of them 0"),
        # early epochs would get the last rate
        (
            {**STEPS, "steps": [5, 10], "lrs": [1, 0.1]},
            "SOLVER.STEPS [5, 10] with",
        ),
        ({**STEPS, "steps": [0, 20, 10], "lrs": [1, 0.1, 0.01]}, "SOLVER.STEPS [0, 20, 10] with"),
        (
            {**STEPS, "steps": [0, 10], "lrs": [1]},
            "SOLVER.LRS [1] has 1 factors for the 2 epochs of SOLVER.STEPS [0, 10]; allowed:",
        ),
    ],
)
def test_errors(options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        lr_at(0.0, **options)
