"""Top-k, ensembles and completeness of score tables, by value."""

import re

import numpy as np
import pytest
import torch
from conftest import golden

from fragrant.errors import UserError
from fragrant.metrics import ScoreError, complete_order, ensemble, topk_accuracy, topk_correct

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
        ({"space": "logit"}, "TEST.ENSEMBLE_SPACE 'logit' is not known; did you mean 'logits'? Known: logits, softmax, relu"),
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
