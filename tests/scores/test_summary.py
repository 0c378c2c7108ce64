"""The numbers of a test: several labels per video, no videos at all, plain values for JSON."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest
import torch
from golden_runs import BUILD, golden_table

from fragrant.metrics import average_precision
from fragrant.scores import ScoreTable, describe_summary, ensemble_views, grid_views, summarise
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
