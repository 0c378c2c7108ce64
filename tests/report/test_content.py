"""What the report says, by value."""

import pytest
import torch
from small_test import NAMES, SURE, many_classes, small_choices, small_scores, small_table

from fragrant.metrics import ScoreError
from fragrant.report import content as content_room
from fragrant.report.content import Mistake, Strip, charts, confident_mistakes, report_content, thumbnail_rows
from fragrant.scores import ScoreTable, ensemble_views, grid_views


@pytest.fixture
def content() -> dict:
    strip = Strip("as the network gets it", "data:,")
    return report_content(
        small_scores(), title="Small", mistakes=[Mistake(7, [strip]), Mistake(6, why="No frames: gone")]
    )


def test_headline_has_counts_and_intervals(content):
    top1, top5, mean, calibration = content["headline"]
    assert (top1["value"], top1["correct"], top1["total"]) == ("60.00 %", 6, 10)
    assert top1["notes"] == ["95 % interval 31.3 – 83.2 %", "6 of 10 videos; chance: 33.3 %"]  # Wilson
    assert (top5["name"], top5["value"]) == ("top-3 accuracy", "100.00 %")
    assert mean["value"] == f"{100 * (2 / 3 + 1 + 1 / 4) / 3:.2f} %" and "3 classes" in mean["notes"][0]
    assert calibration["name"] == "calibration error"
    assert content["chance"] == top1["chance"] == pytest.approx(100 / 3) and top5["chance"] == 100
    assert mean["notes"][0].endswith("chance: 33.3 %")


def test_in_short_names_what_is_confused(content):
    right, confused, hardest, light = content["short"]
    assert (
        right.startswith("6 of 10 test videos are recognised.") and "between 31.3 and 83.2 % (95 % interval)" in right
    )
    assert (
        confused
        == "Most often “sit” is taken for “jump” (3 of 4 videos), then “jump” is taken for “run” (1 of 3 videos)."
    )
    assert hardest == "The hardest class is “sit” (1 of 4), the easiest “run” (3 of 3)."
    assert light.startswith(
        "Of the 2 darkest videos it recognises 100.0 %, of the 2 brightest 50.0 %; the intervals overlap"
    )


def test_videos_have_label_guess_confidence_and_light(content):
    videos = content["videos"]
    assert videos["path"][6] == "videos/sit_6.mp4" and (videos["label"][6], videos["guess"][6]) == (2, 0)
    probability = torch.tensor([SURE[6], 0, 0]).softmax(0)[0].item()
    assert videos["confidence"][6] == pytest.approx(probability, abs=1e-5) and videos["luma"][0] == pytest.approx(0.01)
    assert content["perClass"][2] | {"low": 0, "high": 0} == dict(
        {"class": "sit", "predicted": 1, "correct": 1, "total": 4, "percent": 25.0}, low=0, high=0
    )
    assert [group["share"]["total"] for group in content["light"]] == [2, 3, 3, 2]


def test_mistakes(content):
    assert confident_mistakes(small_scores(), 3) == [7, 6, 8]  # logits 9, 2, 1.5; row 2 has 1
    assert [m["video"] for m in content["mistakes"]] == [7, 6]
    assert content["mistakes"][0]["strips"] == [{"title": "as the network gets it", "src": "data:,"}]
    assert content["mistakes"][0]["top"][0][0] == 0 and content["mistakes"][1]["why"] == "No frames: gone"


def test_thumbnails_are_of_every_cell_before_the_next_of_one():
    # sit taken for jump: 7, 6, 8 from the surest on; jump for run: 2; then what is right: run, jump, sit
    assert thumbnail_rows(small_scores(), 5) == [7, 2, 3, 0, 9]
    assert (
        thumbnail_rows(small_scores(), 100) == [7, 2, 3, 0, 9, 6, 4, 1, 8, 5]
        and thumbnail_rows(small_scores(), 0) == []
    )
    shown = report_content(small_scores(), title="Small", thumbnails={7: "data:,"})
    assert shown["thumbnails"] == {"7": "data:,"}


def test_without_light_and_names():
    table = small_table(luma=False)
    content = report_content(
        ensemble_views(ScoreTable.whole(table.paths, table.labels, table.logits, table.views)), title="Small"
    )
    assert (
        content["light"] == []
        and content["videos"]["luma"] is None
        and content["classes"] == ["class 0", "class 1", "class 2"]
    )
    assert not any("darkest" in line for line in content["short"])


def test_no_mistake():
    table = small_table().rows([0, 1, 3])
    content = report_content(ensemble_views(table), title="Small")
    assert "It makes no mistake." in content["short"] and not any("hardest" in line for line in content["short"])
    assert "the 2 of 3 classes that have videos" in content["headline"][2]["notes"][0]


def test_videos_of_unknown_class_do_not_count():
    table = small_table()
    table.labels[0] = -1
    content = report_content(ensemble_views(table), title="Small")
    assert len(content["videos"]["path"]) == 9 and content["headline"][0]["total"] == 9


def test_without_any_known_class():
    table = small_table()
    table.labels[:] = -1
    with pytest.raises(ScoreError, match="the class of no video is known"):
        report_content(ensemble_views(table), title="Small")


def test_several_labels():
    targets = torch.eye(3, dtype=torch.bool).repeat(2, 1)
    logits = torch.eye(3).repeat(2, 1)[:, None]
    logits[0, 0] = torch.tensor([0.0, 0.0, 5.0])
    table = ScoreTable.whole(list("abcdef"), targets, logits, grid_views(1, 1), class_names=NAMES)
    content = report_content(ensemble_views(table), title="Several")
    assert content["headline"][0]["name"] == "mean average precision" and "videos" not in content
    assert (
        content["precision"] == pytest.approx([200 / 3, 100, 200 / 3])
        and "the easiest “run” (100.0 %)" in content["short"][0]
    )
    assert confident_mistakes(ensemble_views(table), 5) == []


def test_choices_by_light(monkeypatch):
    (gamma,) = report_content(ensemble_views(small_choices()), title="Chosen")["choices"]
    assert (gamma["name"], gamma["values"], gamma["views"]) == ("gamma", [1.0, 1.5, 2.0, 2.5, 3.0], [5, 6, 5, 4, 0])
    assert gamma["correlation_with_darkness"] == pytest.approx(0.94, abs=0.02) and (
        gamma["videos"],
        gamma["known"],
    ) == (10, 10)
    assert gamma["dots"][4] == ["videos/run_4.mp4", pytest.approx(0.05), [1, 0, 1, 0, 0]] and len(gamma["dots"]) == 10
    monkeypatch.setattr(content_room, "MOST_DOTS", 4)
    (gamma,) = report_content(ensemble_views(small_choices()), title="Chosen")["choices"]
    assert [dot[0][-5] for dot in gamma["dots"]] == list("0369") and gamma["known"] == 10 and sum(gamma["views"]) == 20
    assert report_content(small_scores(), title="None")["choices"] == []


def test_choices_without_light():
    (gamma,) = report_content(ensemble_views(small_choices(luma=torch.full((10,), float("nan")))), title="Dark")[
        "choices"
    ]
    assert gamma["dots"] == [] and gamma["correlation_with_darkness"] is None and gamma["views"] == [5, 6, 5, 4, 0]


def test_charts_hold_what_was_logged():
    records = [{"_type": "train_epoch", "epoch": f"{epoch}/600", "loss": 1 / epoch} for epoch in range(1, 601)]
    (loss,) = charts(records)
    assert loss["title"] == "loss" and [series["name"] for series in loss["series"]] == ["mean of an epoch"]
    assert len(loss["series"][0]["x"]) == 300  # 600 points in pairs
    assert charts([]) == []


def test_chance_is_in_the_chart_of_accuracy():
    records = [{"_type": "train_epoch", "epoch": "1/2", "loss": 1.0, "lr": 0.1, "top1_err": 50.0}]
    loss, accuracy, rate = charts(records, 25.0)
    assert accuracy["chance"] == 25 and "chance" not in loss and "chance" not in rate
    assert rate["series"][0] | {"y": [0.1]} == rate["series"][0]  # the epoch's, where no step was logged


def test_many_classes_are_no_problem():
    content = report_content(many_classes(400, 2), title="Many", warning="optimistic")
    assert len(content["perClass"]) == 400 and content["warning"] == "optimistic"
