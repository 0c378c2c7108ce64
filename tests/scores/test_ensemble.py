"""Rules that turn the views of one or more models into one score per video: golden values, weights, order of the
videos."""

import re
from dataclasses import replace

import pytest
import torch
from golden_runs import BUILD, case_of, golden_table

from fragrant.metrics import ScoreError, class_counts, mean_class_accuracy, predicted
from fragrant.scores import ensemble_runs, ensemble_views, pick_views, split_rule, summarise
from fragrant.scores.ensemble import RULES, as_table, probabilities

A, B = golden_table("a"), golden_table("b")


def of_both(rule: str, weights=(1.0, 1.0)):
    return ensemble_runs([A, B], weights=weights, rule=rule)


# rule of the golden file, our scores, what the file's first row is in units of ours
GOLDEN_RULES = [
    ("TDN pkl_to_results, one run", lambda: ensemble_views(A, "mean-softmax"), 1),
    ("TDN pkl_to_results, second model", lambda: ensemble_views(B, "mean-softmax"), 1),
    ("TDN pkl_to_results, clip 0", lambda: ensemble_views(pick_views(A, clips=[0], crops=["left"]), "mean-softmax"), 1),
    ("TDN pkl_to_results --multi_segments", lambda: of_both("mean-relu"), 1),
    ("mean of logits over views", lambda: ensemble_views(A, "mean-logits"), 1),
    ("mean of logits over views", lambda: ensemble_views(A, "sum-logits"), 1 / 12),
    ("sum of probabilities over views", lambda: ensemble_views(A, "sum-softmax"), 1),
    ("max of probabilities over views", lambda: ensemble_views(A, "max-softmax"), 1),
    ("max of probabilities over views", lambda: ensemble_views(A, "max"), 1),
    ("two runs, mean of probabilities", lambda: of_both("mean-softmax", (1.0, 0.5)), 1),
]


@pytest.mark.parametrize(
    "beginning, compute, unit", GOLDEN_RULES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_golden_rule(beginning, compute, unit):
    case, video = case_of(beginning), compute()
    expected = case["result"]
    assert predicted(video.scores).tolist() == expected["predicted"]
    if "scores_row0" in case:
        torch.testing.assert_close(
            video.scores[0] * unit, torch.tensor(case["scores_row0"], dtype=torch.float64), rtol=1e-6, atol=1e-6
        )
    summary = summarise(video)
    assert summary["top1"]["percent"] == pytest.approx(expected["top1_percent"])
    assert summary["top5"]["percent"] == pytest.approx(expected["top5_percent"])
    means = {key: value for key, value in expected.items() if key.startswith("mean_class")}
    ours = [summary["mean_class"], summary["mean_class_predicted_empty_as_0"]]
    assert ours == pytest.approx(list(means.values()), abs=1e-5)


def test_golden_empty_class_is_counted_three_ways():
    counts = class_counts(predicted(ensemble_views(A, "mean-softmax").scores), torch.tensor(BUILD["labels"]), 7)
    left_out, is_predicted, always = (
        mean_class_accuracy(counts, empty=how) for how in ("left out", "is predicted", "always")
    )
    assert (
        counts.videos[6] == 0 < counts.predicted[6]
        and left_out == pytest.approx(is_predicted * 7 / 6)
        and is_predicted == always
    )


@pytest.mark.parametrize("rule", RULES)
def test_probabilities_are_in_the_order_of_the_scores(rule):
    for video in (ensemble_views(A, rule), ensemble_runs([A, B], weights=[1.0, 0.5], rule=rule)):
        torch.testing.assert_close(video.probs.sum(1), torch.ones(40, dtype=torch.float64))
        assert torch.equal(video.probs.argsort(1), video.scores.argsort(1))


def test_sum_and_mean_of_logits_are_equally_sure():
    torch.testing.assert_close(ensemble_views(A, "sum-logits").probs, ensemble_views(A, "mean-logits").probs)


def test_videos_are_found_by_their_path():
    shuffled = B.rows(torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist())
    assert torch.equal(ensemble_runs([A, shuffled]).scores, of_both("sum-logits").scores)
    elsewhere = replace(shuffled, ids=torch.arange(40))  # another list with the same videos
    assert torch.equal(ensemble_runs([A, elsewhere]).scores, of_both("sum-logits").scores)


def test_a_path_that_the_list_names_twice_is_two_videos():
    paths = ("x.mp4", *A.paths[1:39], "x.mp4")
    twice, other = replace(A, paths=paths), replace(B, paths=paths)
    assert torch.equal(ensemble_runs([twice, other.rows(range(39, -1, -1))]).scores, of_both("sum-logits").scores)


def test_only_the_common_videos():
    few = B.rows([3, 1, 7])
    with pytest.raises(
        ScoreError, match=re.escape("'videos/00.mp4' of table 1 is not in all tables, 37 of its 40 videos are not")
    ):
        ensemble_runs([A, few])
    video = ensemble_runs([A, few], common=True)
    assert video.paths == ("videos/01.mp4", "videos/03.mp4", "videos/07.mp4")
    assert torch.equal(video.scores, of_both("sum-logits").scores[[1, 3, 7]])


def test_a_video_uses_the_views_that_it_has():
    present = A.present.clone()
    present[5, 3:] = False
    logits = A.logits.masked_fill(~present[:, :, None], float("nan"))
    scores = ensemble_views(replace(A, present=present, logits=logits), "mean-logits").scores
    torch.testing.assert_close(scores[5], A.logits[5, :3].double().mean(0))
    assert torch.equal(scores[6:], ensemble_views(A, "mean-logits").scores[6:])


def test_unknown_labels_do_not_count():
    labels = A.labels.clone()
    labels[:10] = -1
    summary = summarise(ensemble_views(replace(A, labels=labels)))
    assert summary["videos"] == 30 and sum(map(sum, summary["confusion"])) == 30


def test_of_several_labels_each_has_a_probability_of_its_own():
    multi_label = replace(A, labels=torch.rand(40, 7, generator=torch.Generator().manual_seed(0)) > 0.7)
    for rule, probs in (
        ("mean-logits", A.logits.double().mean(1).sigmoid()),
        ("mean-sigmoid", A.logits.double().sigmoid().mean(1)),
    ):
        video = ensemble_views(multi_label, rule)
        torch.testing.assert_close(video.probs, probs)
        torch.testing.assert_close(probabilities(A.logits, rule, multi_label=True), probs)
        again = ensemble_views(as_table(video, {}), "mean-sigmoid")
        torch.testing.assert_close(again.scores, probs, rtol=0, atol=1e-6)
        assert torch.equal(again.labels, multi_label.labels)


WRONG = [
    (
        lambda: ensemble_views(replace(A, labels=A.labels[:, None] == torch.arange(7)), "mean-softmax"),
        "table 1 is of videos with several labels; a rule on softmax does not fit, allowed: sum-logits, "
        "mean-logits, max-logits, sum-sigm",
    ),
    (
        lambda: split_rule("mean-logit"),
        "rule 'mean-logit' is not known; did you mean 'mean-logits'? Known: sum-logits, mean-logits",
    ),
    (
        lambda: ensemble_runs([A, replace(B, paths=tuple(f"b/{path}" for path in B.paths))], common=True),
        "no video in common",
    ),
    (
        lambda: ensemble_runs([A, replace(B, labels=B.labels.flip(0))]),
        "label of 'videos/00.mp4' differs between table 1 and table 2",
    ),
    (
        lambda: ensemble_runs(
            [replace(A, class_names=tuple("abcdefg")), replace(B, class_names=tuple("abdcefg"))],
            names=["A.npz", "B.npz"],
        ),
        "class 2 is 'c' in A.npz, but 'd' in B.npz; the orders must agree",
    ),
    (
        lambda: ensemble_views(replace(A, present=A.present & (torch.arange(40) != 4)[:, None])),
        "'videos/04.mp4' has no view",
    ),
]


@pytest.mark.parametrize("compute, message", WRONG, ids=[message[:20] for _, message in WRONG])
def test_wrong_input(compute, message):
    with pytest.raises(ScoreError, match=re.escape(message)):
        compute()
