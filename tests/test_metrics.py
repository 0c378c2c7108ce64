"""Top-k, ensembles, completeness, intervals, classes, calibration and brightness groups of score tables, by value."""

import math
import re

import numpy as np
import pytest
import torch
from conftest import golden

from fragrant.errors import UserError
from fragrant.metrics import (
    ScoreError,
    average_precision,
    by_quantile,
    calibration_error,
    class_counts,
    complete_order,
    confusion_matrix,
    ensemble,
    mcnemar,
    mean_class_accuracy,
    predicted,
    rank_correlation,
    share,
    topk_accuracy,
    topk_correct,
)

CASES = {case["name"]: case for case in golden("framework/test_meter")["cases"]}
COMPLETE = ["complete, sum of softmax", "complete, max of softmax", "3 crops x 2 clips"]
COMPLETE.append("complete, sum of raw logits (what UniFormer/FRAGRANT do: their head has no softmax in eval)")
MAX_LOGITS = "max of raw logits: scores start at 0, so negative logits are lost (bug)"
MISSING = "one view missing in video 2, all views missing in video 5"
DOUBLED = "rows 0 and 5 delivered twice (DistributedSampler padding)"


def view_logits(case: dict) -> torch.Tensor:
    """(videos, views, classes), by the recipe of the golden file."""
    videos, views, classes, labels = case["videos"], case["views"], case["classes"], case["labels"]
    rng = np.random.RandomState(case["scores"]["seed"])
    z = rng.standard_normal((videos * views, classes)).astype(np.float32) * 2
    z[np.arange(videos * views), np.repeat(labels, views)] += 2
    return torch.from_numpy(z.reshape(videos, views, classes))


def scores_of(case: dict, logits: torch.Tensor) -> torch.Tensor:
    return ensemble(logits, space="softmax" if case["softmax_before_sum"] else "logits", method=case["method"])


def accuracies(scores: torch.Tensor, labels: list[int]) -> dict[str, str]:
    top1, top5 = topk_accuracy(scores, torch.tensor(labels))
    return {"split": "test_final", "top1_acc": f"{top1:.2f}", "top5_acc": f"{top5:.2f}"}


@pytest.mark.parametrize("name", COMPLETE)
def test_golden_test_meter(name):
    case = CASES[name]
    scores = scores_of(case, view_logits(case))
    torch.testing.assert_close(scores, torch.tensor(case["video_scores"]), rtol=1e-6, atol=2e-6)
    assert scores.argmax(1).tolist() == case["prediction"]
    assert accuracies(scores, case["labels"]) == case["stats"]


def test_max_keeps_negative_logits():
    """The published maximum starts at 0; ours is the maximum."""
    case = CASES[MAX_LOGITS]
    logits, published = view_logits(case), torch.tensor(case["video_scores"])
    scores = scores_of(case, logits)
    assert torch.equal(scores, logits.max(1).values)
    torch.testing.assert_close(scores.clamp(min=0), published, rtol=1e-6, atol=2e-6)
    assert (scores[published == 0] < 0).all() and (published == 0).any()


def test_a_missing_view_or_video_is_an_error_not_a_zero():
    case = CASES[MISSING]
    logits = view_logits(case)
    three_views = scores_of(case, logits[2:3, [0, 2, 3]])  # what the published sum made of video 2
    torch.testing.assert_close(three_views[0], torch.tensor(case["video_scores"][2]), rtol=1e-6, atol=2e-6)
    message = "score table of 5 rows for 6 videos: 1 missing (ids 5); allowed: every video exactly once"
    with pytest.raises(ScoreError, match=re.escape(message)):
        complete_order(torch.tensor([0, 1, 2, 3, 4]), 6)


def test_a_doubled_video_is_an_error_not_a_larger_score():
    assert CASES[DOUBLED]["clip_count"] == [5, 5, 4, 4, 4, 4]
    with pytest.raises(ScoreError, match=re.escape("8 rows for 6 videos: 2 scored more than once (ids 0, 1); allowed")):
        complete_order(torch.tensor([0, 1, 2, 3, 4, 5, 0, 1]), 6)


@pytest.mark.parametrize("ids", [[], [0], [3, 0, 2, 1], [0, 1, 2, 3, 4, 5, 6]])
def test_complete_order(ids):
    order = complete_order(torch.tensor(ids, dtype=torch.long), len(ids))
    assert torch.tensor(ids, dtype=torch.long)[order].tolist() == list(range(len(ids)))


@pytest.mark.parametrize(
    "ids, num_videos, faults",
    [
        ([], 2, "0 rows for 2 videos: 2 missing (ids 0, 1)"),
        ([0, 0], 2, "1 missing (ids 1); 1 scored more than once (ids 0)"),
        ([0, 1, 2], 2, "1 not in the list (ids 2)"),
        ([-1, 1], 2, "1 missing (ids 0); 1 not in the list (ids -1)"),
        ([1], 40, "39 missing (ids 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)"),
    ],
)
def test_incomplete_tables(ids, num_videos, faults):
    with pytest.raises(ScoreError, match=re.escape(faults)):
        complete_order(torch.tensor(ids, dtype=torch.long), num_videos)


@pytest.mark.parametrize("case", golden("framework/log_lines")["topk"], ids=lambda case: f"{case['C']} classes")
def test_golden_topk(case):
    scores = torch.from_numpy(np.random.RandomState(case["seed"]).standard_normal((case["N"], case["C"])))
    accuracy = topk_accuracy(scores, torch.tensor(case["labels"]))
    assert accuracy.dtype == torch.float64
    assert accuracy.tolist() == pytest.approx([case["top1_acc"], case["top5_acc"]], abs=5e-6)
    assert (100 - accuracy).tolist() == pytest.approx([case["top1_err"], case["top5_err"]], abs=1.5e-5)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "row, label, top1, top2",
    [
        ([3, 2, 1], 0, True, True),
        ([3, 2, 1], 1, False, True),
        ([3, 2, 1], 2, False, False),
        ([1, 1, 1], 0, True, True),  # equal scores rank by class number
        ([1, 1, 1], 1, False, True),
        ([1, 1, 1], 2, False, False),
        ([0, 5, 5], 2, False, True),
        ([-INF, -INF, INF], 2, True, True),
        ([-INF, -INF, INF], 1, False, False),
        ([1, NAN, 0], 0, False, False),  # a broken row is never correct
        ([NAN, NAN, NAN], 0, False, False),
    ],
)
def test_topk_of_a_row(row, label, top1, top2):
    scores = torch.tensor([row], dtype=torch.float32)
    assert topk_correct(scores, torch.tensor([label]), (1, 2)).tolist() == [[top1], [top2]]
    if top1:
        assert scores.argmax(1).item() == label


@pytest.mark.parametrize("num_classes", [1, 2, 3, 4, 5])
def test_top5_with_few_classes(num_classes):
    scores, labels = torch.randn(8, num_classes), torch.zeros(8, dtype=torch.long)
    assert topk_correct(scores, labels)[1].all()
    assert topk_accuracy(torch.full((1, num_classes), NAN), labels[:1]).tolist() == [0.0, 0.0]


def test_a_table_without_rows_has_no_accuracy():
    accuracy = topk_accuracy(torch.empty(0, 4), torch.empty(0, dtype=torch.long))
    assert accuracy.shape == (2,) and accuracy.isnan().all()


@pytest.mark.parametrize(
    "space, method, expected",
    [
        ("logits", "sum", [0.0, 2.0]),
        ("logits", "mean", [0.0, 1.0]),
        ("logits", "max", [3.0, 2.0]),
        ("softmax", "sum", [0.95257413 + 0.00669285, 0.04742587 + 0.99330715]),
        ("softmax", "mean", [0.47963349, 0.52036651]),
        ("softmax", "max", [0.95257413, 0.99330715]),
        ("sigmoid", "mean", [(0.95257413 + 0.04742587) / 2, (0.5 + 0.88079708) / 2]),
    ],
)
def test_ensemble_rules(space, method, expected):
    logits = torch.tensor([[[3.0, 0.0], [-3.0, 2.0]]])
    assert ensemble(logits, space=space, method=method)[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_ensemble_precision(dtype):
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert ensemble(torch.ones(2, 3, 4, dtype=dtype)).dtype == expected
    assert ensemble(torch.ones(0, 3, 4, dtype=dtype), space="softmax", method="max").shape == (0, 4)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"space": "logit"},
            "TEST.ENSEMBLE_SPACE 'logit' is not known; did you mean 'logits'? Known: logits, softmax, relu",
        ),
        ({"method": "avg"}, "DATA.ENSEMBLE_METHOD 'avg' is not known; Known: sum, mean, max"),
    ],
)
def test_unknown_rules(options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        ensemble(torch.ones(1, 1, 2), **options)


@pytest.mark.cuda
def test_the_same_on_the_gpu():
    torch.manual_seed(0)
    scores, labels = torch.randint(0, 4, (500, 7)).float(), torch.randint(0, 7, (500,))  # full of ties
    assert torch.equal(topk_correct(scores.cuda(), labels.cuda()).cpu(), topk_correct(scores, labels))
    assert complete_order(torch.tensor([1, 0]).cuda(), 2).tolist() == [1, 0]


# ----------------------------------------------------------------------------------------------------- intervals, tests
@pytest.mark.parametrize(
    "correct, total, low, high",
    [  # scipy.stats.binomtest(correct, total).proportion_ci(method="wilson")
        (8, 10, 49.0163, 94.3318),
        (0, 10, 0.0, 27.7533),
        (10, 10, 72.2467, 100.0),
        (1, 1, 20.6549, 100.0),
        (290, 300, 93.9738, 98.1795),
    ],
)
def test_wilson_interval(correct, total, low, high):
    result = share(correct, total)
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-3)
    assert result.percent == 100 * correct / total and (result.correct, result.total) == (correct, total)
    assert str(share(8, 10)) == "80.00 % [49.0, 94.3] (8 of 10)"


def test_a_share_of_nothing_is_unknown():
    assert math.isnan(share(0, 0).percent) and (share(0, 0).low, share(0, 0).high) == (0, 100)


@pytest.mark.parametrize(
    "only_first, only_second, p_value",
    [(1, 6, 0.125), (0, 10, 0.001953125), (5, 5, 1.0), (0, 0, 1.0), (3, 2, 1.0), (0, 1, 1.0), (600, 400, 2.7283e-10)],
)
def test_mcnemar(only_first, only_second, p_value):
    first = torch.tensor([True] * only_first + [False] * only_second + [True, True, False])
    second = torch.tensor([False] * only_first + [True] * only_second + [True, True, False])
    assert mcnemar(first, second) == pytest.approx((2, only_first, only_second, 1, p_value), rel=1e-4)


# ------------------------------------------------------------------------------------------------------------- by class
SCORES = torch.tensor([[3.0, 1, 0], [0, 2, 1], [1, 2, 0], [0, 1, 3], [2, 2, 1], [NAN, 1, 1]])
LABELS = torch.tensor([0, 0, 1, 1, 1, 0])


def test_confusion_matrix_and_counts():
    assert predicted(SCORES).tolist() == [0, 1, 1, 2, 0, -1]
    assert confusion_matrix(predicted(SCORES), LABELS, 3).tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]
    counts = class_counts(predicted(SCORES), LABELS, 3)
    assert [column.tolist() for column in counts] == [[3, 3, 0], [1, 1, 0], [2, 2, 1]]


@pytest.mark.parametrize("empty, expected", [("left out", 100 / 3), ("is predicted", 200 / 9), ("always", 200 / 9)])
def test_mean_class_accuracy(empty, expected):
    assert mean_class_accuracy(class_counts(predicted(SCORES), LABELS, 3), empty=empty) == pytest.approx(expected)


def test_empty_classes_that_nothing_predicts():
    counts = class_counts(torch.tensor([0, 1]), torch.tensor([0, 1]), 4)
    assert [mean_class_accuracy(counts, empty=how) for how in ("left out", "is predicted", "always")] == [100, 100, 50]
    with pytest.raises(UserError, match="empty classes 'skip' is not known; Known: left out, is predicted, always"):
        mean_class_accuracy(counts, empty="skip")


# ------------------------------------------------------------------------------------------- probabilities, many labels
def test_calibration_error_by_hand():
    probs = torch.tensor([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [1.0, 0.0]], dtype=torch.float64)
    right = torch.tensor([True, False, True, True])
    # ranges (0.5, 0.75] and (0.75, 1] of four: |1 - 0.6| of one video, |2/3 - 0.95| of three
    assert calibration_error(probs, right, bins=4) == pytest.approx(100 * (0.4 / 4 + abs(2 - 2.85) / 4))
    assert calibration_error(torch.tensor([[1.0, 0.0]]), torch.tensor([True])) == 0
    assert math.isnan(calibration_error(torch.empty(0, 2), torch.empty(0, dtype=torch.bool)))


@pytest.mark.parametrize(
    "scores, positive, expected",
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 100 * (0.5 + 0.5 * 2 / 3)),
        ([1, 2, 3], [1, 1, 1], 100),
        ([1, 1, 1, 1], [1, 0, 0, 0], 25),  # equal scores are one step, wherever the positive stands
        ([1, 1, 1, 1], [0, 0, 0, 1], 25),
        ([3, 2, 1], [0, 0, 1], 100 / 3),
        ([3, 2, 1], [0, 0, 0], NAN),
    ],
)
def test_average_precision(scores, positive, expected):
    result = average_precision(torch.tensor(scores)[:, None], torch.tensor(positive)[:, None])
    assert result.tolist() == pytest.approx([expected], nan_ok=True)


def test_average_precision_is_that_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed").average_precision_score
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 20, (60, 5), generator=generator).double()
    targets = torch.rand(60, 5, generator=generator) < 0.3
    assert average_precision(scores, targets).tolist() == pytest.approx(100 * reference(targets, scores, average=None))


# -------------------------------------------------------------------------------------------------------- by brightness
def test_by_quantile_makes_groups_of_equal_size():
    values = torch.tensor([0.5, 0.1, 0.3, NAN, 0.2, 0.4, 0.7, 0.6, 0.8])
    right = torch.tensor([False, True, True, True, False, True, False, False, True])
    groups = by_quantile(values, right, groups=4)
    assert [(group.share.correct, group.share.total) for group in groups] == [(1, 2), (2, 2), (0, 2), (1, 2)]
    assert [group.low for group in groups] == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert [group.high for group in groups] == pytest.approx([0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize(
    "values, sizes",
    [
        ([], []),
        ([NAN, NAN], []),
        ([0.1], [1]),
        ([0.1, 0.2, 0.3], [1, 1, 1]),
        ([0.5] * 7, [7]),
        ([0.1] * 6 + [0.2, 0.3], [6, 2]),  # equal values stay together
    ],
)
def test_by_quantile_of_few_or_equal_values(values, sizes):
    groups = by_quantile(torch.tensor(values), torch.ones(len(values), dtype=torch.bool))
    assert [group.share.total for group in groups] == sizes and sum(sizes) == sum(value == value for value in values)


@pytest.mark.parametrize(
    "first, second, expected",
    [
        ([1, 2, 3, 4], [10, 20, 25, 1000], 1),  # only the order counts
        ([1, 2, 3, 4], [4, 3, 2, 1], -1),
        ([0.1, 0.4, 0.2, 0.9, 0.5], [1, 1, 2, 3, 3], 0.7905694150420948),  # ties share a rank; scipy.stats.spearmanr
        ([5, 5, 1, 1, 3, 3], [2, 1, 2, 1, 2, 1], 0),
        ([1, 2, 3], [7, 7, 7], math.nan),
        ([1], [1], math.nan),
        ([], [], math.nan),
    ],
)
def test_rank_correlation(first, second, expected):
    assert rank_correlation(torch.tensor(first), torch.tensor(second)) == pytest.approx(
        expected, abs=1e-12, nan_ok=True
    )
