"""What a test says before it starts, and the check of the class names."""

import re

import pytest

from fragrant.engine.announce import compare_class_names, evaluation_lines
from fragrant.errors import UserError
from fragrant.models.weights import LoadReport

PLAN = {
    "num_videos": 7,
    "frames": 16,
    "crops": 3,
    "clips": 4,
    "short_side": 256,
    "crop_size": 224,
    "method": "sum",
    "space": "logits",
}


def test_everything_that_decides_the_number_is_said():
    lines = evaluation_lines("best.pyth", LoadReport(["a", "b", "c"], ["d"], [], []), classes="fine", **PLAN)
    assert lines == [
        "Testing best.pyth: 75.0 % of the model's tensors matched; 3 of 4 tensors loaded; keep their initial "
        "values: 1: d",
        "7 test videos, #Frame = 16 x 3 x 4: 12 forward passes per video",
        "short side 256, crop 224 (left, centre, right)",
        "sum of logits over the views (DATA.ENSEMBLE_METHOD sum, TEST.ENSEMBLE_SPACE logits)",
        "classes: fine",
    ]
    one = evaluation_lines(
        "x",
        LoadReport(["a"], [], [], []),
        classes="",
        **PLAN | {"crops": 1, "clips": 1, "space": "softmax", "method": "max"},
    )
    assert one[1].endswith("#Frame = 16 x 1 x 1: 1 forward pass per video") and one[2].endswith("crop 224 (centre)")
    assert one[3].startswith("maximum of softmax probabilities over the views")


@pytest.mark.parametrize(
    "trained, listed, outcome",
    [
        (["a", "b"], ["a", "b"], "the 2 names and their order agree with the checkpoint's (a, b)"),
        (list("abcde"), list("abcde"), "the 5 names and their order agree with the checkpoint's (a, b, c, d, ...)"),
        (["a+b", "Wave1"], ["a_b", "wave1"], "the 2 names and their order agree with the checkpoint's (a_b, wave1)"),
        (
            ["Holding [something]"],
            ["Holding something"],
            "the 1 names and their order agree with the checkpoint's (Holding something)",
        ),
        (None, ["a"], "w.pyth names no classes, so their order cannot be checked"),
        (["a"], None, "the test list names no classes, so their order cannot be checked"),
        ([], None, "w.pyth and the test list name no classes, so their order cannot be checked"),
    ],
)
def test_class_names_that_agree_or_are_not_known(trained, listed, outcome):
    assert compare_class_names(trained, listed, "w.pyth") == outcome


@pytest.mark.parametrize(
    "trained, listed, message",
    [
        ("abc", "acb", "class 1 is 'b' in w.pyth, but 'c' in the class names of the test list; the orders must agree"),
        (["wave1"], ["wave2"], "class 0 is 'wave1' in w.pyth, but 'wave2'"),
        ("ab", "abc", "w.pyth has 2 class names, the test list 3"),
    ],
)
def test_class_names_that_differ(trained, listed, message):
    with pytest.raises(UserError, match=re.escape(message)):
        compare_class_names(list(trained), list(listed), "w.pyth")
