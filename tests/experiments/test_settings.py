"""Settings of a search: all combinations, random ones, ranges; what is wrong is one line."""

import pytest

from fragrant.errors import UserError
from fragrant.experiments.settings import draw, grid, read_varied

LR, DECAY = ["SOLVER.BASE_LR", "1e-4", "1e-3"], ["SOLVER.WEIGHT_DECAY", "0", "0.05"]


def varied(*words):
    return [read_varied(one) for one in words]


def test_a_grid_has_every_combination():
    found = grid(varied(LR, DECAY))
    values = [("1e-4", "0"), ("1e-4", "0.05"), ("1e-3", "0"), ("1e-3", "0.05")]
    assert [tuple(setting.values()) for setting in found] == values
    assert grid([]) == [{}]


def test_draws_repeat_and_grow():
    spans = varied(["SOLVER.BASE_LR", "log:1e-5:1e-2"], DECAY, ["SOLVER.MAX_EPOCH", "even:3:9"])
    drawn = draw(spans, 20, 1)
    assert drawn == draw(spans, 20, 1) and drawn[:5] == draw(spans, 5, 1) and drawn != draw(spans, 20, 2)
    rates = [float(setting["SOLVER.BASE_LR"]) for setting in drawn]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates) and sum(rate < 3.2e-4 for rate in rates) in range(4, 17)
    assert {setting["SOLVER.MAX_EPOCH"] for setting in drawn} <= set("3456789")
    assert len({tuple(setting.values()) for setting in drawn}) == 20


@pytest.mark.parametrize(
    "words, message",
    [
        (["SOLVER.BASE_LT", "1"], "--vary SOLVER.BASE_LT: no such key; did you mean 'SOLVER.BASE_LR'"),
        (["RNG_SEED", "1", "2"], "--vary RNG_SEED: an experiment sets this key by itself; give --seeds"),
        (["OUTPUT_DIR", "a"], "--vary OUTPUT_DIR: an experiment sets this key by itself"),
        (["SOLVER.BASE_LR"], "give values behind it, or a range .log:1e-5:1e-2, even:0:0.5"),
        (["SOLVER.BASE_LR", "1", "2", "1"], "1 comes twice"),
        (["SOLVER.BASE_LR", "log:1e-5"], "'log:1e-5' is no range; write it as log:1e-5:1e-2"),
        (["SOLVER.BASE_LR", "log:0:1"], "must rise from a lower to a higher number, both above 0"),
        (["SOLVER.BASE_LR", "even:1:1"], "must rise"),
        (["SOLVER.MAX_EPOCH", "even:1.2:1.8"], "no whole number in the range"),
    ],
)
def test_what_is_wrong(words, message):
    with pytest.raises(UserError, match=message):
        read_varied(words)


def test_ranges_need_a_number_and_values_have_an_end():
    with pytest.raises(UserError, match="names a range: say how many settings to draw, --random 20"):
        grid(varied(["SOLVER.BASE_LR", "log:1e-5:1e-2"]))
    with pytest.raises(UserError, match="--random 5: there are only 4 different settings"):
        draw(varied(LR, DECAY), 5, 1)
