"""Which list picks the best epoch: never the test list, unless it is said, and then every output says so."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, run_here


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return [
        "DATA.PATH_TO_DATA_DIR",
        str(tmp_path_factory.mktemp("select") / "demo"),
        "SOLVER.MAX_EPOCH",
        "1",
        "TEST.TEST_BEST",
        "True",
    ]


def test_the_test_list_as_validation_list_is_refused(demo, tmp_path):
    done = run_here(*TINY, *demo, "DATA.VAL_LIST", "test.csv", "OUTPUT_DIR", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "error: TEST.TEST_BEST True, but 6 of the 6 test videos are validation videos: the best epoch would be "
        "picked on them; "
        "give another validation list or DATA.HOLD_OUT 0.2, or say it with TEST.SELECT_ON test"
    )


def test_selection_by_name_is_labelled_everywhere(demo, tmp_path):
    done = run_here(*TINY, *demo, "TEST.SELECT_ON", "test", "OUTPUT_DIR", str(tmp_path))
    assert done.returncode == 0, done.stderr
    label = "optimistic: the best epoch was picked on the test list"
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    evaluated = [record for record in records if record.get("_type") == "val_epoch" or "split" in record]
    assert len(evaluated) == 2 and all(record["protocol"] == label for record in evaluated)
    results = json.loads((tmp_path / "scores.json").read_text())
    assert results["header"]["protocol"] == results["summary"]["protocol"] == label
    assert label in str(np.load(tmp_path / "scores.npz")["header"])
    assert done.stdout.count(label) >= 2  # validation and test lines
    assert label in (tmp_path / "report.html").read_text()
    combined = run_here(str(tmp_path / "scores.npz"), tool="ensemble")
    assert combined.returncode == 0 and f"views; {label}" in combined.stdout
    best = tmp_path / "checkpoints/best.pyth"
    assert torch.load(best, weights_only=True)["selected_on"] == "test"
    later = tmp_path / "later"  # the label stays with the weights
    test_only = [
        "TRAIN.ENABLE",
        "False",
        "TEST.TEST_BEST",
        "False",
        "TEST.CHECKPOINT_FILE_PATH",
        str(best),
        "OUTPUT_DIR",
        str(later),
    ]
    assert run_here(*TINY, *demo, *test_only).returncode == 0
    assert json.loads((later / "scores.json").read_text())["summary"]["protocol"] == label


def test_an_honest_run_has_no_label(demo, tmp_path):
    done = run_here(*TINY, *demo, "DATA.HOLD_OUT", "0.5", "OUTPUT_DIR", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "6 training and 6 validation videos" in done.stdout
    assert "protocol" not in json.loads((tmp_path / "scores.json").read_text())["summary"]
    assert "optimistic" not in done.stdout + (tmp_path / "metrics.jsonl").read_text()


def test_validation_videos_of_the_test_list_by_another_name(demo, tmp_path):
    """Nobody tests while training, so nothing is refused; whoever tests the best epoch later, hears it."""
    made, folder, rows = Path(demo[1]), tmp_path / "lists", []
    if not made.exists():  # by the tests above
        assert run_here(*TINY, *demo, "TEST.TEST_BEST", "False", "OUTPUT_DIR", str(tmp_path / "x")).returncode == 0
    folder.mkdir()
    for split in ("train", "test"):
        lines = (made / f"{split}.csv").read_text().splitlines()
        (folder / f"{split}.csv").write_text("".join(f"{made}/{line}\n" for line in lines))
    for number, row in enumerate(lines[:2]):
        path, label = row.split(" ")
        (folder / f"val{number}.mp4").symlink_to(made / path)
        rows.append(f"val{number}.mp4 {label}\n")
    (folder / "own.csv").write_text("".join(rows))
    lists = ["TRAIN.DATASET", "kinetics", "TEST.DATASET", "kinetics", "DATA.PATH_TO_DATA_DIR", str(folder)]
    run = [*TINY, *lists, "DATA.VAL_LIST", "own.csv", "SOLVER.MAX_EPOCH", "1", "OUTPUT_DIR", str(tmp_path / "out")]
    refused = run_here(*run, "TEST.TEST_BEST", "True")
    assert refused.returncode == 2 and "2 of the 6 test videos are validation videos" in refused.stderr
    label = "optimistic: the best epoch was picked on 2 of the 6 test videos"
    trained = run_here(*run, "TEST.ENABLE", "False")
    assert trained.returncode == 0 and label in trained.stdout, trained.stderr
    for name, picked in (("best", True), ("checkpoint_epoch_00001", False)):
        weights = ["TEST.CHECKPOINT_FILE_PATH", str(tmp_path / f"out/checkpoints/{name}.pyth"), "TRAIN.ENABLE", "False"]
        more = [*TINY, *lists, *weights, "OUTPUT_DIR", str(tmp_path / name), "DATA.VAL_LIST", "missing.csv"]
        done = run_here(*more)
        assert done.returncode == 0 and (f"Test ({label}): top-1" in done.stdout) is picked, done.stderr
        summary = json.loads((tmp_path / name / "scores.json").read_text())["summary"]
        assert summary.get("protocol") == (label if picked else None)
