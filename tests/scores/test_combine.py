"""tools/ensemble.py as a user types it: shards, views, weights, other projects' files, comparison, wrong input."""

import contextlib
import io
import json
import pickle
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from golden_runs import BUILD, case_of, golden_logits, golden_table

from fragrant.metrics import ScoreError
from fragrant.scores import ensemble_views, load_table, pick_views, save_table
from fragrant.scores.inputs import load_runs, parse_input

NAMES = tuple("bend jack jump run walk wave none".split())


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    a, b = (
        golden_table(
            run,
            luma=torch.arange(40) / 100,
            class_names=NAMES,
            header={"checkpoint_hash": run, "num_videos": 40, "rule": "sum-logits"},
        )
        for run in "ab"
    )
    save_table(folder / "a.npz", a)
    save_table(folder / "b.npz", b)
    for number in range(3):
        save_table(folder / f"a.{number}-of-3.npz", a.rows(range(number * 40 // 3, (number + 1) * 40 // 3)))
    save_table(folder / "centre.npz", pick_views(a, clips=[0], crops=["centre"]))
    labels = torch.tensor(BUILD["labels"])
    (folder / "uniformer.pkl").write_bytes(
        pickle.dumps({"video_preds": golden_logits("b").flatten(1, 2).sum(1).numpy(), "video_labels": labels.numpy()})
    )
    (folder / "list.txt").write_text(
        "".join(f"{path} {label}\n" for path, label in zip(a.paths, BUILD["labels"], strict=True))
    )
    (folder / "videos").mkdir()
    return folder


def ensemble(*words, code: int = 0) -> str:
    """What the tool prints, on stderr where it fails."""
    start = runpy.run_path(str(ROOT / "tools/ensemble.py"))["start"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert start(list(map(str, words))) == code
    return out.getvalue() if code == 0 else err.getvalue()


def test_one_table_in_numbers(files):
    out = ensemble(files / "a.npz", "--per-class")
    assert "sum-logits over the views of 40 videos with a label:" in out
    assert "top-1 67.50 % [52.0, 79.9] (27 of 40)" in out and "top-5 97.50 % [87.1, 99.6] (39 of 40)" in out
    assert "mean class 65.69 % of 6 classes, 1 classes without a video left out" in out
    assert "mean luma 0.000 .. 0.090: top-1 " in out and "mean luma 0.300 .. 0.390: top-1 " in out
    assert re.search(r"none +no video, predicted 2 times", out)


def test_shards_are_one_run(files, tmp_path):
    out = ensemble(files / "a.*-of-3.npz", "--out", tmp_path / "whole.npz")
    assert "a.0-of-3.npz and 2 more: 40 videos, 12 views" in out
    assert torch.equal(load_table(tmp_path / "whole.npz").logits, load_table(files / "a.npz").logits)


def test_a_missing_shard_is_an_error_unless_allowed(files):
    shards = files / "a.0-of-3.npz", files / "a.2-of-3.npz"
    error = ensemble(*shards, code=2)
    assert "13 videos are missing or lack views" in error and "video 13 of the list" in error and error.count("\n") == 1
    assert "27 videos with a label" in ensemble(*shards, "--allow-missing")


def test_one_view_out_of_many(files):
    assert "clip" not in (out := ensemble(files / "a.npz", "--views", "0", "centre")) and "40 videos, 1 views" in out
    assert out.splitlines()[1:] == ensemble(files / "centre.npz").splitlines()[1:]
    assert "no view has clip 9" in ensemble(files / "a.npz", "--views", "9", code=2)


def test_weights(files, tmp_path):
    out = ensemble(
        files / "a.npz",
        f"{files / 'b.npz'}:0.5",
        "--rule",
        "mean-softmax",
        "--json",
        tmp_path / "n.json",
        "--out",
        tmp_path / "e.npz",
    )
    expected = case_of("two runs, mean of probabilities")["result"]
    assert f"top-1 {expected['top1_percent']:.2f} %" in out and "b.npz: 40 videos, 12 views, weight 0.5" in out
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert numbers["mean_class"] == pytest.approx(expected[[key for key in expected if "occur" in key][0]], abs=1e-5)
    again = load_table(tmp_path / "e.npz")
    assert ensemble_views(again, "mean-softmax").scores.argmax(1).tolist() == expected["predicted"]
    assert [run["weight"] for run in again.header["runs"]] == [1.0, 0.5]


def test_two_models_are_compared(files):
    out = ensemble(files / "a.npz", files / "b.npz", "--compare", "--rule", "mean-softmax")
    right = [
        torch.tensor(case_of(f"TDN pkl_to_results, {which}")["result"]["predicted"]) == torch.tensor(BUILD["labels"])
        for which in ("one run", "second")
    ]
    only_a, only_b = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    assert f"only the first {only_a}, only the second {only_b}" in out and re.search(
        r"McNemar, exact, two-sided: p = 0\.\d+", out
    )
    assert "takes two runs, got 1" in ensemble(files / "a.npz", "--compare", code=2)
    assert "McNemar" in ensemble(f"x={files / 'a.npz'}", f"y={files / 'centre.npz'}", "--compare")


def test_run_folders_are_their_tables(files, tmp_path):
    """As report.py and plot.py take them: the whole table, else the parts of a test, with weights and names."""
    for name in ("whole", "parts", "untested/checkpoints", "b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "whole/scores.npz").write_bytes((files / "a.npz").read_bytes())
    (tmp_path / "b/scores.npz").write_bytes((files / "b.npz").read_bytes())
    for number in range(3):
        shard = (files / f"a.{number}-of-3.npz").read_bytes()
        (tmp_path / f"parts/scores.{number}-of-3.npz").write_bytes(shard)
    one = ensemble(files / "a.npz").splitlines()[1:]
    assert ensemble(tmp_path / "whole").splitlines()[1:] == ensemble(tmp_path / "parts").splitlines()[1:] == one
    two = ensemble(f"{files / 'a.npz'}:0.5", files / "b.npz").splitlines()[2:]
    assert ensemble(f"x={tmp_path / 'whole'}:0.5", tmp_path / "b").splitlines()[2:] == two
    assert "McNemar" in ensemble(tmp_path / "parts", tmp_path / "b", "--compare")
    error = ensemble(tmp_path / "untested", code=2)
    assert "is a run without scores.npz: it was not tested" in error and error.count("\n") == 1


def test_other_videos_name_the_way_out(files, tmp_path):
    part = load_table(files / "b.npz").rows(range(30))
    save_table(tmp_path / "b.npz", replace(part, header={**part.header, "num_videos": 30}))
    words = f"x={files / 'a.npz'}", f"y={tmp_path / 'b.npz'}", "--compare"
    assert "10 of its 40 videos are not; --allow-missing takes those that all have" in ensemble(*words, code=2)
    assert "McNemar" in ensemble(*words, "--allow-missing")


def test_a_published_pickle_joins_by_the_list(files):
    out = ensemble(files / "a.npz", files / "uniformer.pkl", "--list", files / "list.txt")
    assert "uniformer.pkl: 40 videos, 1 views" in out and "40 videos with a label" in out
    assert "have no video in common" in ensemble(files / "a.npz", files / "uniformer.pkl", "--allow-missing", code=2)


WRONG = [
    (["nowhere.npz"], "'nowhere.npz' is no file; give score tables as FILE, FILE:WEIGHT or NAME=FILE"),
    (["a.npz:0"], "weight '0' of '"),
    (["a.npz:nan"], "must be a number above 0"),
    (["a.npz", "centre.npz:2"], "are of one model but have weights (1.0, 2.0); name them"),
    (["a.npz", "--rule", "mean"], None),
    (["a.npz", "--rule", "median"], "rule 'median' is not known"),
    (["list.txt"], "is no score table"),
]


@pytest.mark.parametrize("words, message", WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_input(words, message, files):
    words = [str(files / word) if ".npz" in word or ".txt" in word else word for word in words]
    if message is None:
        ensemble(*words)
        return
    error = ensemble(*words, code=2)
    assert (
        error.startswith("error: ")
        and error.count("\n") == 1
        and message.replace("'nowhere", f"'{files}/nowhere") in error
    )


def test_names_and_weights_are_told_apart(files):
    path = str(files / "a.npz")
    assert parse_input(path) == ("", [path], 1.0)
    assert parse_input(f"rgb={path}:0.25") == ("rgb", [path], 0.25)
    odd = files / "x=1:2.npz"
    odd.write_bytes((files / "a.npz").read_bytes())
    assert parse_input(str(odd)) == ("", [str(odd)], 1.0)


def test_two_runs_of_one_model_that_differ_have_to_be_named(files, tmp_path):
    table = load_table(files / "a.npz")
    save_table(tmp_path / "other.npz", replace(table, logits=table.logits + 1))
    with pytest.raises(ScoreError, match="was scored twice with different logits"):
        load_runs([str(files / "a.npz"), str(tmp_path / "other.npz")])
    runs = load_runs([f"one={files / 'a.npz'}", f"two={tmp_path / 'other.npz'}:3"])
    assert [(run.name, run.weight) for run in runs] == [("one", 1.0), ("two", 3.0)]
