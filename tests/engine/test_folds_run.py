"""Runs on folds, and with adapted networks: what is trained and tested, what the numbers are called, what goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, run_here

ONE_VIEW = "SOLVER.MAX_EPOCH 1 TEST.NUM_SPATIAL_CROPS 1 DATA.FOLDS 2".split()


@pytest.fixture(scope="module")
def folds(tmp_path_factory) -> Path:
    """A folder with the runs of both folds of the demo set's twelve training videos."""
    out = tmp_path_factory.mktemp("folds")
    for fold in (0, 1):
        places = ["DATA.PATH_TO_DATA_DIR", str(out / "demo"), "OUTPUT_DIR", str(out / f"fold{fold}")]
        done = run_here(*TINY, *ONE_VIEW, *places, "DATA.FOLD", str(fold))
        assert done.returncode == 0, done.stderr
        told = f"fold {fold} of 2 (0 .. 1), each video by itself: training 6 videos; test 6 videos"
        assert told in done.stdout and "6 training and 6 validation videos" in done.stdout
    return out


def test_each_video_is_tested_by_the_network_that_never_saw_it(folds):
    tables = [np.load(folds / f"fold{fold}/scores.npz") for fold in (0, 1)]
    paths = [path for table in tables for path in table["paths"].tolist()]
    assert len(paths) == 12 == len(set(paths)) and all("/train/" in path for path in paths)
    assert json.loads(str(tables[1]["header"]))["fold"] == {"fold": 1, "folds": 2, "group_by": "", "seed": 1}
    pooled = run_here(str(folds / "fold*/scores.npz"), "--pool", tool="ensemble")
    assert pooled.returncode == 0 and "2 folds pooled, every one of 12 videos once:" in pooled.stdout, pooled.stderr


@pytest.mark.parametrize(
    "words, told",
    [
        ("DATA.FOLD 2", "DATA.FOLD 2 must be below DATA.FOLDS 2: folds are counted from 0"),
        ("DATA.FOLDS 1", "DATA.FOLDS 1 leaves nothing to train on"),
        ("DATA.FOLDS 13", "12 videos cannot be drawn into 13 parts"),
        ("DATA.GROUP_BY (\\d)x", "finds a group in none of 12 paths"),
        ("DATA.GROUP_BY scene", "has no column 'scene'"),
        ("DATA.GROUP_BY (demo)", "1 groups cannot be drawn into 2 parts"),
        ("TEST.DATASET arid", "TEST.DATASET 'arid' must be TRAIN.DATASET 'demo'"),
        ("TEST.TEST_BEST True", "6 of the 6 test videos are validation videos"),
        (
            "DATA.FOLDS 0 DATA.FOLD 0 TRAIN.ENABLE False BN.ADAPT_LIST none.csv",
            "none.csv' cannot be read: No such file",
        ),
    ],
)
def test_what_cannot_be_is_one_line(folds, tmp_path, words, told):
    weights = ["TEST.CHECKPOINT_FILE_PATH", str(folds / "fold0/checkpoints/checkpoint_epoch_00001.pyth")]
    places = ["DATA.PATH_TO_DATA_DIR", str(folds / "demo"), "OUTPUT_DIR", str(tmp_path)]
    more = weights if "ADAPT" in words else []
    done = run_here(*TINY, *ONE_VIEW, *places, *more, *words.split())
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr


def test_a_class_of_one_group(folds, tmp_path):
    """The demo set's videos by their class: each is one group, so that its training part would be empty."""
    rule = r"(\w+)_\d+\.mp4$"  # jump_000.mp4
    words = ["DATA.PATH_TO_DATA_DIR", str(folds / "demo"), "OUTPUT_DIR", str(tmp_path), "DATA.GROUP_BY", rule]
    done = run_here(*TINY, *ONE_VIEW, *words)
    assert done.returncode == 2, done.stdout
    assert "has no video of class" in done.stderr and "whose 2 videos are 1 group" in done.stderr


def test_an_adapted_network(folds, tmp_path):
    """Statistics of an unlabelled list, then a step for each video: the note says which test videos were measured on."""
    rows = [line.split()[0] for line in (folds / "demo/test.csv").read_text().splitlines()]
    (folds / "demo/dark.csv").write_text("".join(f"{row} 99\n" for row in rows[:4]))
    weights = str(folds / "fold0/checkpoints/checkpoint_epoch_00001.pyth")
    places = ["DATA.PATH_TO_DATA_DIR", str(folds / "demo"), "OUTPUT_DIR", str(tmp_path), "TRAIN.ENABLE", "False"]
    test = ["TEST.CHECKPOINT_FILE_PATH", weights, "BN.ADAPT_LIST", "dark.csv", "TEST.ADAPT", "vitta"]
    done = run_here(*TINY, *ONE_VIEW, "DATA.FOLDS", "0", *places, *test)
    assert done.returncode == 0, done.stderr
    assert "measured on 4 videos of " in done.stdout and "the labels of 4 of its rows are not read" in done.stdout
    note = "transductive: BatchNorm statistics were measured on 4 of the 6 test videos, without their labels"
    assert json.loads((tmp_path / "scores.json").read_text())["summary"]["protocol"] == note
    before, after = (torch.load(path, weights_only=True) for path in (weights, tmp_path / "checkpoints/adapted.pyth"))
    moved = {n for n, value in after["model_state"].items() if not torch.equal(value, before["model_state"][n])}
    assert moved and all(name.endswith(("running_mean", "running_var")) for name in moved)
    assert (tmp_path / "norm_statistics.npz").is_file()
    later = ["TEST.CHECKPOINT_FILE_PATH", str(tmp_path / "checkpoints/adapted.pyth"), "TEST.ADAPT", "bn"]
    places[3] = str(tmp_path / "later")
    done = run_here(*TINY, *ONE_VIEW, "DATA.FOLDS", "0", *places, *later, "TEST.ADAPT_MODE", "online")
    assert done.returncode == 0 and f"{note}; transductive: TEST.ADAPT bn online" in done.stdout, done.stderr


def test_adaptation_alone_and_training_from_it(folds, tmp_path):
    weights = str(folds / "fold0/checkpoints/checkpoint_epoch_00001.pyth")
    data = ["DATA.PATH_TO_DATA_DIR", str(folds / "demo"), "DATA.FOLDS", "0"]
    stage = ["TEST.CHECKPOINT_FILE_PATH", weights, "BN.ADAPT_LIST", "train.csv", "TRAIN.ENABLE", "False"]
    done = run_here(*TINY, *ONE_VIEW, *data, *stage, "TEST.ENABLE", "False", "OUTPUT_DIR", str(tmp_path / "a"))
    assert done.returncode == 0 and not (tmp_path / "a/scores.npz").exists(), done.stderr
    start = ["TRAIN.CHECKPOINT_FILE_PATH", str(tmp_path / "a/checkpoints/adapted.pyth"), "TEST.ENABLE", "False"]
    done = run_here(*TINY, *ONE_VIEW, *data, *start, "DATA.HOLD_OUT", "0.5", "OUTPUT_DIR", str(tmp_path / "b"))
    assert done.returncode == 0 and "Fine-tuning from" in done.stdout, done.stderr
