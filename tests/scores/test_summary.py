"""The numbers of a test: several labels per video, no videos at all, plain values for JSON."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest
import simplejson
import torch
from golden_runs import BUILD, golden_table

from fragrant.engine.accuracy import evaluation_report
from fragrant.metrics import average_precision
from fragrant.scores import ScoreTable, describe_summary, ensemble_runs, ensemble_views, grid_views, summarise
from fragrant.scores.ensemble import RULES, as_table
from fragrant.scores.predictions import predictions_csv


def test_several_labels_of_a_video_give_the_mean_average_precision():
    table, targets = golden_table(), torch.nn.functional.one_hot(torch.tensor(BUILD["labels"]), 7).bool()
    targets[:, 3] |= targets[:, 0]  # whatever is of class 0 is of class 3, too
    targets[5] = False  # nobody knows
    scores = ensemble_views(ScoreTable.whole(table.paths, targets, table.logits, table.views), "mean-sigmoid")
    summary = summarise(scores)
    known = torch.arange(40) != 5
    expected = average_precision(table.logits.double().sigmoid().mean(1)[known], targets[known])
    assert summary["average_precision"][6] is None and expected[6].isnan()  # no video has it
    assert summary["mean_average_precision"] == pytest.approx(expected[:6].mean().item())
    assert describe_summary(summary) == [f"mAP {summary['mean_average_precision']:.2f} % of 39 videos, mean-sigmoid"]


def test_no_video_with_a_label():
    table = ScoreTable.whole([], torch.empty(0, dtype=torch.long), torch.empty(0, 2, 3), grid_views(2, 1))
    summary = summarise(ensemble_views(table))
    assert summary["videos"] == 0 and math.isnan(summary["top1"]["percent"])
    assert describe_summary(summary) == ["no video with a known class"]


def test_plain_values_only():
    summary = summarise(ensemble_views(golden_table(luma=torch.rand(40))))
    assert json.dumps(json.loads(json.dumps(summary))) == json.dumps(summary)  # as text: a share of no video is NaN
    assert [row["class"] for row in summary["per_class"]][:2] == ["class 0", "class 1"]
    assert sum(row["total"] for row in summary["per_class"]) == 40 == sum(map(sum, summary["confusion"]))
    assert sum(row["correct"] for row in summary["per_class"]) == summary["top1"]["correct"]


def test_predictions_as_csv():
    table = golden_table(luma=torch.arange(40) / 100, class_names=tuple("abcdefg"))
    labels = table.labels.clone()
    labels[1] = -1
    video = ensemble_views(replace(table, labels=labels))
    rows = list(csv.DictReader(io.StringIO(predictions_csv(video))))
    assert len(rows) == 40 and rows[2]["path"] == "videos/02.mp4" and rows[2]["luma"] == "0.0200"
    assert rows[0]["label"] == "b" and rows[1]["label"] == ""
    assert ["abcdefg".index(row["class1"]) for row in rows] == video.scores.argmax(1).tolist()
    assert float(rows[0]["prob1"]) == pytest.approx(video.probs[0].max().item(), abs=1e-6)
    assert float(rows[0]["prob1"]) > float(rows[0]["prob2"]) > float(rows[0]["prob5"])
    multi_label = ensemble_views(
        ScoreTable.whole(table.paths, torch.ones(40, 7, dtype=torch.bool), table.logits, table.views)
    )
    first = list(csv.DictReader(io.StringIO(predictions_csv(multi_label))))[0]
    assert first["label"].startswith("class 0;class 1;") and first["luma"] == ""


BAD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def with_bad(value: float, rows: int, several: bool = False) -> ScoreTable:
    """The golden table, of whose first videos one view has a score that is no number."""
    table = golden_table(luma=torch.rand(40))
    labels = torch.nn.functional.one_hot(table.labels, 7).bool() if several else table.labels
    logits = table.logits.clone()
    logits[:rows, 3, 2] = value
    return replace(table, logits=logits, labels=labels)


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("rule", [*RULES])
@pytest.mark.parametrize("rows", [1, 40])
def test_scores_that_are_no_numbers_are_counted_and_named(value, rule, rows):
    """Whatever the rule makes of them: the maximum over the views would hide -inf, a softmax inf."""
    table = with_bad(value, rows)
    scores = ensemble_views(table, rule)
    summary = summarise(scores)
    assert summary["not_finite"] == {"videos": rows, "paths": list(table.paths[:rows])}
    clean = summarise(ensemble_views(table.rows(range(rows, 40)), rule))
    assert summary["top1"]["correct"] == clean["top1"]["correct"] and summary["top1"]["total"] == 40
    lines = describe_summary(summary, per_class=True)
    assert lines[0].startswith(f"{rows} video{'s' if rows > 1 else ''} with NaN or infinite scores, of 40")
    assert table.paths[0] in lines[0] and all("NaN or infinite" in line for line in lines)
    simplejson.dumps(summary, allow_nan=False, ignore_nan=True)
    assert predictions_csv(scores).splitlines()[1].count("NaN or infinite") == 1
    told = evaluation_report(summary)
    assert "NaN or infinite" in told.text and told.stats["not_finite"] == str(rows) and not told.scalars


def test_scores_of_several_labels_that_are_no_numbers():
    summary = summarise(ensemble_views(with_bad(math.nan, 3, several=True), "mean-sigmoid"))
    table = with_bad(0.0, 0, several=True)
    table.logits[:3] = -100.0  # nothing is recognised in them
    assert (
        summary["mean_average_precision"] == summarise(ensemble_views(table, "mean-sigmoid"))["mean_average_precision"]
    )
    assert all("3 videos with NaN or infinite scores" in line for line in describe_summary(summary))


def test_a_view_that_is_missing_and_a_probability_of_0_are_no_faults():
    table = golden_table()
    present = table.present.clone()
    present[:, 1] = False
    holes = replace(table, present=present, logits=table.logits.masked_fill(~present[:, :, None], math.nan))
    assert "not_finite" not in summarise(ensemble_views(holes))
    sure = ensemble_views(replace(table, logits=table.logits * 1e4), "mean-softmax")
    assert (sure.probs == 0).any()
    assert "not_finite" not in summarise(ensemble_views(as_table(sure, {}), "mean-softmax"))


def test_one_of_two_models_without_numbers():
    both = ensemble_runs([golden_table(), with_bad(math.nan, 2)], rule="mean-softmax")
    assert summarise(both)["not_finite"]["videos"] == 2
