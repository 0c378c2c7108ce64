"""What a model chose for every view, from the score table to numbers: counted, merged, told, and held against the
light."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_runs import golden_table
from test_table import same

from fragrant.metrics import ScoreError
from fragrant.scores import (
    ScoreTable,
    describe_summary,
    ensemble_runs,
    ensemble_views,
    grid_views,
    load_table,
    merge,
    pick_views,
    save_table,
    summarise,
)
from fragrant.scores.choices import count_choices, summarise_choices
from fragrant.scores.predictions import predictions_csv

NAN = float("nan")
GAMMA = torch.tensor([[3.0, 3.0, 2.0], [2.0, 2.0, 2.0], [1.3, NAN, 1.3], [NAN, NAN, NAN]])
LUMA = torch.tensor([0.02, 0.05, 0.2, 0.1])
VALUES = {"gamma": [1.0, 1.3, 2.0, 3.0]}


def table(**changes) -> ScoreTable:
    """Four videos of three views, and what was chosen for them."""
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]])[:, None].repeat(1, 3, 1)
    more = {
        "luma": LUMA,
        "choices": {"gamma": GAMMA},
        "class_names": ("run", "sit"),
        "header": {"choices": VALUES, "num_videos": 4},
    }
    return ScoreTable.whole(list("abcd"), torch.tensor([0, 1, 1, 1]), logits, grid_views(1, 3), **(more | changes))


def same_choices(one: ScoreTable, other: ScoreTable) -> None:
    same(one, other)
    assert one.choices.keys() == other.choices.keys()
    for name in one.choices:
        torch.testing.assert_close(one.choices[name], other.choices[name], rtol=0, atol=0, equal_nan=True)


def test_views_are_counted_by_value():
    (chosen,) = count_choices({"gamma": GAMMA}, VALUES).values()
    assert chosen.values == (1.0, 1.3, 2.0, 3.0)  # as they are named: float32 has no 1.3
    assert chosen.counts.tolist() == [[0, 0, 1, 2], [0, 0, 3, 0], [0, 2, 0, 0], [0, 0, 0, 0]]
    assert chosen.mean()[:3].tolist() == pytest.approx([8 / 3, 2, 1.3]) and chosen.mean()[3].isnan()


@pytest.mark.parametrize("values, found", [({}, [1.3, 2.0, 3.0]), ({"gamma": [4.0]}, [1.3, 2.0, 3.0, 4.0])])
def test_values_that_nobody_named_are_found(values, found):
    assert count_choices({"gamma": GAMMA}, values)["gamma"].values == pytest.approx(found)


def test_numbers():
    (numbers,) = summarise(ensemble_views(table()))["choices"].values()
    assert (numbers["values"], numbers["views"], numbers["videos"]) == ([1.0, 1.3, 2.0, 3.0], [0, 2, 4, 2], 3)
    assert numbers["median_luma"] == [None, *map(pytest.approx, (0.2, 0.05, 0.02))]
    assert numbers["correlation_with_darkness"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "gamma, luma, correlation",
    [
        (GAMMA, 1 - LUMA, -1.0),  # brighter videos, larger gammas
        (torch.full((4, 3), 1.1), LUMA, None),  # one for all
        (GAMMA, torch.full((4,), NAN), None),  # no light
    ],
)
def test_correlation_with_darkness(gamma, luma, correlation):
    (numbers,) = summarise_choices(count_choices({"gamma": gamma}, {}), luma).values()
    assert numbers["correlation_with_darkness"] == (correlation if correlation is None else pytest.approx(correlation))


def test_a_line_for_people():
    line = "gamma: 1 in 0, 1.3 in 2, 2 in 4, 3 in 2 views of 3 videos; rank correlation with darkness 1.00"
    assert describe_summary(summarise(ensemble_views(table())))[-1] == line
    multi_label = replace(table(), labels=torch.eye(2, dtype=torch.bool)[[0, 1, 1, 1]])
    assert describe_summary(summarise(ensemble_views(multi_label, "mean-sigmoid")))[1:] == [line]
    assert "choices" not in summarise(ensemble_views(table(choices={})))


def test_a_column_of_means():
    rows = list(csv.DictReader(io.StringIO(predictions_csv(ensemble_views(table())))))
    assert [row["gamma"] for row in rows] == ["2.66667", "2", "1.3", ""] and list(rows[0])[:5] == [
        "path",
        "label",
        "luma",
        "gamma",
        "class1",
    ]


def test_videos_of_unknown_class_are_left_out():
    video = ensemble_views(replace(table(), labels=torch.tensor([0, -1, 1, 1]))).labelled()
    assert video.choices["gamma"].counts.sum(1).tolist() == [3, 2, 0]


def test_several_models_together_chose_nothing():
    assert ensemble_runs([table()]).choices and not ensemble_runs([table(), table(choices={})]).choices


# ------------------------------------------------------------------------------------------------------------ the table
def test_round_trip(tmp_path):
    save_table(tmp_path / "scores.npz", table())
    same_choices(load_table(tmp_path / "scores.npz"), table())
    with np.load(tmp_path / "scores.npz") as file:
        np.testing.assert_array_equal(file["choice_gamma"], GAMMA.numpy())


def test_a_file_without_choices(tmp_path):
    save_table(tmp_path / "old.npz", golden_table())
    assert load_table(tmp_path / "old.npz").choices == {}


def test_parts_clips_and_tables_without_choices_merge():
    same_choices(merge([table().rows([2, 0]), table().rows([3, 1])]), table())
    crops = [pick_views(table(), crops=[crop]) for crop in ("left", "centre", "right")]
    assert crops[1].choices["gamma"].shape == (4, 1)
    same_choices(merge(crops), table())
    same_choices(merge([table(choices={}), table()]), table())
    half = merge([table(choices={}).rows([0, 1]), table().rows([2, 3])])
    assert half.choices["gamma"].isnan().tolist() == [[True] * 3, [True] * 3, [False, True, False], [True] * 3]


def test_choices_that_do_not_fit():
    with pytest.raises(ScoreError, match=re.escape("(4, 3, 2) (videos, views, classes) does not fit gamma (4, 2)")):
        table(choices={"gamma": GAMMA[:, :2]})


def test_a_contradiction_names_the_table():
    other = table()
    other.logits[2, 1] += 1
    with pytest.raises(ScoreError, match="B: clip 0 centre of 'c' was scored twice with different logits"):
        merge([table(), other], names=["A", "B"])
