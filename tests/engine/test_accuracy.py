"""What a validation says, and which epoch is the best."""

import math

import pytest
import torch

from fragrant.engine.accuracy import best_fields, best_so_far, evaluation_report, in_words, measure, scalars
from fragrant.scores import ScoreTable, ensemble_views, grid_views, summarise

SCORES = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
SEVERAL = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.bool)


def test_one_label():
    numbers = measure(SCORES, torch.tensor([0, 1, 0, 2]))
    assert numbers == {"top1_err": 25.0, "top5_err": 0.0} and in_words(numbers) == "top-1 75.00 %"
    assert scalars("Val", numbers) == {"Val/Top1_err": 25.0, "Val/Top5_err": 0.0}


def test_several_labels():
    numbers = measure(SCORES, SEVERAL)
    # class 1: one of two equally good videos has it, then two of two that follow
    of_class = [
        1.0,
        (1 / 2 + 2 / 4) / 2,
        1.0,
    ]
    assert numbers == {"map": pytest.approx(100 * sum(of_class) / 3)} and scalars("Val", numbers) == {
        "Val/mAP": numbers["map"]
    }
    assert in_words(numbers) == "mAP 83.33 %"


EPOCHS = {
    "one label": [
        {"top1_err": 50.0, "top5_err": 9.0},
        {"top1_err": 40.0, "top5_err": 12.0},
        {"top1_err": 40.0, "top5_err": 8.0},
    ],
    "several": [{"map": 20.0}, {"map": 30.0}, {"map": 30.0}],
}
BEST = {
    "one label": ({"epoch": 1, "top1_err": 40.0, "top5_err": 8.0}, {"min_top1_err": 40.0, "min_top5_err": 8.0}),
    "several": ({"epoch": 1, "map": 30.0}, {"max_map": 30.0}),
}


@pytest.mark.parametrize("kind", EPOCHS)
def test_the_best_epoch(kind):
    best = {}
    for epoch, numbers in enumerate(EPOCHS[kind]):
        best = best_so_far(best, epoch, numbers)
    expected, fields = BEST[kind]
    assert best == expected and best_fields(best) == fields
    other = next(numbers for name, numbers in EPOCHS.items() if name != kind)[0]
    assert best_so_far(best, 7, other)["epoch"] == 7  # a run that goes on with labels of another kind begins anew


@pytest.mark.parametrize("name, good", [("loss", 0.5), ("map", 30.0), ("top1_err", 40.0)])
def test_what_is_no_number_is_never_the_best(name, good):
    top5 = {"top5_err": 8.0} if name == "top1_err" else {}
    best = best_so_far({}, 0, {name: math.nan, **top5})
    best = best_so_far(best, 1, {name: good, **top5})
    assert best["epoch"] == 1 and best_so_far(best, 2, {name: math.nan, **top5})["epoch"] == 1


def test_the_last_line_of_a_test():
    logits = SCORES[:, None]
    for labels, text, stats in (
        (
            torch.tensor([0, 1, 0, 2]),
            "top-1 75.00 % [30.1, 95.4] (3 of 4), top-3 100.00 %",
            {"top1_acc": "75.00", "top5_acc": "100.00"},
        ),
        (SEVERAL, "mAP 83.33 % of 4 videos", {"map": "83.33"}),
    ):
        told = evaluation_report(summarise(ensemble_views(ScoreTable.whole("abcd", labels, logits, grid_views(1, 1)))))
        assert told.text.startswith(text) and told.stats == stats
        assert not any(math.isnan(value) for value in (*told.numbers.values(), *told.scalars.values()))


def test_a_validation_with_scores_that_are_no_numbers():
    scores, labels = torch.eye(4), torch.arange(4)
    scores[0, 1] = math.nan
    numbers = measure(scores, labels)
    assert numbers == {"top1_err": 25.0, "top5_err": 25.0, "not_finite": 1}
    assert in_words(numbers) == "top-1 75.00 % (1 video with NaN or infinite scores)" and scalars("Val", numbers) == {}
    best = best_so_far({}, 0, numbers)
    assert best_fields(best)["best_not_finite"] == 1
    best = best_so_far(best, 1, measure(torch.eye(4), labels))
    assert best == {"epoch": 1, "top1_err": 0.0, "top5_err": 0.0} and "best_not_finite" not in best_fields(best)
    several = measure(scores, torch.eye(4).bool())
    assert several["map"] == 75 + 25 * 0.25 and several["not_finite"] == 1
