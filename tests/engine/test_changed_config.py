"""The same OUTPUT_DIR with other values, two runs in one folder, a test of other clips: what is refused, what is said."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, command, environment, run_here

from fragrant.checkpoint import load_checkpoint
from fragrant.distributed.run_lock import RunLock

OTHER_VALUES = [
    (["SOLVER.BASE_LR", "5e-5"], "SOLVER.BASE_LR 5e-05 (before: 0.001)"),
    (["SOLVER.OPTIMIZING_METHOD", "sgd"], "SOLVER.OPTIMIZING_METHOD 'sgd' (before: 'adamw')"),
    (["SOLVER.OPTIMIZING_METHOD", "adam"], "SOLVER.OPTIMIZING_METHOD 'adam' (before: 'adamw')"),
    (["SOLVER.WEIGHT_DECAY", "0.5"], "SOLVER.WEIGHT_DECAY 0.5 (before: 0.05)"),
    (["MIXUP.ENABLE", "True", "RNG_SEED", "9"], "RNG_SEED 9 (before: 1), MIXUP.ENABLE True (before: False)"),
    (["DATA.GAMMA", "[2]"], "DATA.GAMMA [2.0] (before: [])"),
    (["DATA.NUM_FRAMES", "8"], "DATA.NUM_FRAMES 8 (before: 4)"),
    (["UNIFORMER.DEPTH", "[1,2,1,1]"], "UNIFORMER.DEPTH [1, 2, 1, 1] (before: [1, 1, 1, 1])"),
    (["SOLVER.MAX_EPOCH", "1"], "SOLVER.MAX_EPOCH 1 (before: 2)"),
    (["TRAIN.BATCH_SIZE", "2"], "TRAIN.BATCH_SIZE 2 (before: 4)"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = run_here(*pairs_of(folder / "out", folder))
    assert done.returncode == 0, done.stderr
    files = ["checkpoints", "config.yaml", "environment.json", "metrics.jsonl", "stdout.log"]
    assert sorted(os.listdir(folder / "out")) == files
    return folder


@pytest.fixture
def out(trained, tmp_path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(trained / "out", tmp_path / "out"))


def pairs_of(out: Path, folder: Path, *more: str) -> list[str]:
    return [*TINY, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(out), "TEST.ENABLE", "False", *more]


def score(folder: Path, out: Path, *more: str):
    """A test of the trained weights into ``out``."""
    alone = ["TRAIN.ENABLE", "False", "TEST.ENABLE", "True", "TEST.CHECKPOINT_FILE_PATH"]
    return run_here(*pairs_of(out, folder), *alone, str(folder / "out/checkpoints/best.pyth"), *more)


def content(folder: Path) -> dict[str, tuple]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("more, said", OTHER_VALUES)
def test_other_values_are_refused_and_no_file_changes(trained, out, more, said):
    before = content(out)
    done = run_here(*pairs_of(out, trained, *more))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f"checkpoint_epoch_00002.pyth was trained with other values than this run has: {said};" in done.stderr
    assert all(way in done.stderr for way in ("another OUTPUT_DIR", "TRAIN.AUTO_RESUME False", "--accept-changes"))
    assert content(out) == before and done.stdout == ""


def test_what_may_change_freely(trained, out):
    moved = shutil.copytree(trained / "demo", out.parent / "moved")
    more = [
        "LOG_PERIOD",
        "7",
        "DATA_LOADER.NUM_WORKERS",
        "1",
        "TRAIN.EVAL_PERIOD",
        "5",
        "DATA.PATH_TO_DATA_DIR",
        str(moved),
    ]
    done = run_here(*pairs_of(out, trained, *more, "TEST.NUM_ENSEMBLE_VIEWS", "1"))
    assert done.returncode == 0 and "WARN" not in done.stdout, done.stderr
    assert "LOG_PERIOD: 7" in (out / "config.yaml").read_text()


@pytest.mark.slow
def test_more_epochs_with_a_word(trained, out):
    done = run_here(*pairs_of(out, trained, "SOLVER.MAX_EPOCH", "3"))
    assert done.returncode == 0, done.stderr
    assert "goes on with SOLVER.MAX_EPOCH 3 (before: 2)" in done.stdout and '"epoch": "3/3"' in done.stdout


def test_accepted_changes_count_and_are_kept_in_mind(trained, out):
    more = ["SOLVER.MAX_EPOCH", "3", "SOLVER.WEIGHT_DECAY", "0.5", "TEST.ENABLE", "True"]
    done = run_here(*pairs_of(out, trained, *more), arguments=("--accept-changes",))
    assert done.returncode == 0, done.stderr
    assert "goes on with SOLVER.WEIGHT_DECAY 0.5 (before: 0.05)" in done.stdout
    state = load_checkpoint(out / "checkpoints/checkpoint_epoch_00003.pyth")
    assert 0.5 in {group["weight_decay"] for group in state["optimizer_state"]["param_groups"]}
    assert 0.05 not in {group["weight_decay"] for group in state["optimizer_state"]["param_groups"]}
    assert state["accepted_changes"] == ["after 2 epochs: SOLVER.WEIGHT_DECAY 0.5 (before: 0.05)"]
    assert "WEIGHT_DECAY: 0.5" in (out / "config.yaml").read_text()
    text = "config changed in the training: after 2 epochs: SOLVER.WEIGHT_DECAY 0.5"
    assert json.loads((out / "scores.json").read_text())["header"]["accepted_changes"].startswith(text)
    assert text in (out / "report.html").read_text()
    again = run_here(*pairs_of(out, trained, *more))  # its own values now
    assert again.returncode == 0 and "--accept-changes" not in again.stdout


def test_changes_that_nothing_is_trained_with_leave_the_config_of_the_weights(trained, out):
    """The run has finished: no step is left for the new values."""
    before = (out / "config.yaml").read_bytes()
    more = ["SOLVER.BASE_LR", "5e-5", "RNG_SEED", "9"]
    done = run_here(*pairs_of(out, trained, *more), arguments=("--accept-changes",))
    assert done.returncode == 0, done.stderr
    assert "nothing is left to train, so they count for the test alone: RNG_SEED 9 (before: 1)" in done.stdout
    assert (out / "config.yaml").read_bytes() == before
    best = load_checkpoint(out / "checkpoints/best.pyth")  # the last validation was done again
    assert best["cfg"].encode() == before and not best["accepted_changes"]
    assert run_here(*pairs_of(out, trained, *more)).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_another_optimiser_starts_without_averages(trained, out, method):
    more = ["SOLVER.MAX_EPOCH", "3", "SOLVER.OPTIMIZING_METHOD", method]
    done = run_here(*pairs_of(out, trained, *more), arguments=("--accept-changes",))
    assert done.returncode == 0 and "it starts without its averages" in done.stdout, done.stderr
    state = load_checkpoint(out / "checkpoints/checkpoint_epoch_00003.pyth")["optimizer_state"]["state"][0]
    assert "momentum_buffer" in state if method == "sgd" else int(state["step"]) == 3


@pytest.mark.slow
def test_a_new_start_beside_old_checkpoints_tests_its_own_weights(trained, out):
    more = ["TRAIN.AUTO_RESUME", "False", "SOLVER.MAX_EPOCH", "1", "RNG_SEED", "9", "TEST.ENABLE", "True"]
    done = run_here(*pairs_of(out, trained, *more))
    assert done.returncode == 0, done.stderr
    assert "random weights" in done.stdout and "Testing" in done.stdout
    assert json.loads((out / "scores.json").read_text())["header"]["checkpoint"].endswith("checkpoint_epoch_00001.pyth")


def test_a_named_checkpoint_is_continued_with_its_own_values(trained, tmp_path):
    more = ["SOLVER.MAX_EPOCH", "3", "SOLVER.BASE_LR", "5e-4", "TRAIN.CHECKPOINT_FILE_PATH"]
    more += [str(trained / "out/checkpoints/checkpoint_epoch_00002.pyth")]
    done = run_here(*pairs_of(tmp_path / "next", trained, *more))
    assert done.returncode == 2 and "SOLVER.BASE_LR 0.0005 (before: 0.001)" in done.stderr
    assert "TRAIN.CHECKPOINT_EPOCH_RESET True to fine-tune" in done.stderr
    assert not (tmp_path / "next/config.yaml").exists()


# a continuation that is refused: what else is on the command line, what is said
OTHER_CONTINUATIONS = [
    (["SOLVER.MAX_EPOCH", "3", "DATA.SAMPLING_RATE", "1"], "trained with other values"),
    (["SOLVER.MAX_EPOCH", "3", "SOLVER.OPTIMIZING_METHOD", "sgd"], "trained with other values"),
    (["SOLVER.MAX_EPOCH", "2"], "has finished 2 of SOLVER.MAX_EPOCH 2 epochs"),
    (["SOLVER.MAX_EPOCH", "1", "--accept-changes"], "has finished 2 of SOLVER.MAX_EPOCH 1 epochs"),
    (["TRAIN.CHECKPOINT_FILE_PATH", "missing.pyth"], "TRAIN.CHECKPOINT_FILE_PATH 'missing.pyth' is no file"),
]


@pytest.mark.parametrize("more, said", OTHER_CONTINUATIONS)
def test_a_refused_continuation_changes_no_file(trained, out, more, said):
    """In a folder with the files of an earlier run."""
    named = ["TRAIN.CHECKPOINT_FILE_PATH", str(trained / "out/checkpoints/checkpoint_epoch_00002.pyth")]
    before = content(out)
    done = run_here(*pairs_of(out, trained, "TRAIN.AUTO_RESUME", "False", *named, *more))
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert content(out) == before and done.stdout == ""


def test_a_file_that_fits_only_in_part_is_fine_tuned_whatever_its_values(trained, tmp_path):
    more = ["SOLVER.MAX_EPOCH", "1", "SOLVER.BASE_LR", "5e-4", "UNIFORMER.DEPTH", "[1,2,1,1]"]
    more += ["TRAIN.CHECKPOINT_FILE_PATH", str(trained / "out/checkpoints/checkpoint_epoch_00002.pyth")]
    done = run_here(*pairs_of(tmp_path / "next", trained, *more))
    assert done.returncode == 0 and "it does not fit completely" in done.stdout


@pytest.mark.slow
def test_a_checkpoint_with_a_config_that_cannot_be_read_is_continued_with_a_word(trained, tmp_path):
    state = torch.load(trained / "out/checkpoints/checkpoint_epoch_00002.pyth", weights_only=True)
    torch.save(state | {"cfg": "MEAN: !!python/tuple [1, 2]"}, tmp_path / "foreign.pyth")
    more = ["SOLVER.MAX_EPOCH", "3", "TRAIN.CHECKPOINT_FILE_PATH", str(tmp_path / "foreign.pyth")]
    done = run_here(*pairs_of(tmp_path / "next", trained, *more))
    assert done.returncode == 0 and "foreign.pyth was trained with the values of this run is not known" in done.stdout


def test_a_test_leaves_the_config_of_the_weights(trained, out):
    before = (out / "config.yaml").read_bytes()
    done = run_here(*pairs_of(out, trained, "TRAIN.ENABLE", "False", "TEST.ENABLE", "True", "SOLVER.BASE_LR", "1.0"))
    assert done.returncode == 0 and (out / "config.yaml").read_bytes() == before
    assert "BASE_LR: 1.0" in str(np.load(out / "scores.npz")["header"])  # that of the test
    assert "SOLVER.BASE_LR 1.0 (before: 0.001)" in (out / "report.html").read_text()


def test_a_folder_in_use(trained, out):
    """By another process: this one would take its own for an ended one's."""
    said, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        RunLock(out).take()
        os.write(ready, b"x")
        os.read(os.pipe()[0], 1)
    os.read(said, 1)
    before = {path: value for path, value in content(out).items() if ".run.lock" not in path}
    try:
        done = run_here(*pairs_of(out, trained))
        assert done.returncode == 2 and f"in use by process {pid} on" in done.stderr and done.stdout == ""
        assert {path: value for path, value in content(out).items() if ".run.lock" not in path} == before
        plot = run_here(str(out / "metrics.jsonl"), tool="ensemble")  # tools that read are not kept out
        assert "in use" not in plot.stderr
        for tool in ("extract_features", "classify_features"):
            features = run_here(*pairs_of(out, trained), tool=tool)
            assert features.returncode == 2 and f"in use by process {pid} on" in features.stderr
        assert {path: value for path, value in content(out).items() if ".run.lock" not in path} == before
        copy = Path(shutil.copytree(out, out.parent / "copy"))
        done = run_here(*pairs_of(copy, trained))
        assert done.returncode == 0 and "holds a copy of the lock of process" in done.stdout
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert run_here(*pairs_of(out, trained)).returncode == 0
    assert not (out / ".run.lock").exists()


@pytest.mark.slow
def test_two_ranks_share_the_folder(trained, tmp_path):
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    line += command(*pairs_of(tmp_path / "two", trained))[1:]
    for _ in range(2):
        done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=600)
        assert done.returncode == 0, done.stderr
    refused = subprocess.run(
        [*line, "SOLVER.BASE_LR", "1"], capture_output=True, text=True, env=environment(), timeout=600
    )
    assert refused.returncode and "SOLVER.BASE_LR 1.0 (before: 0.001)" in refused.stderr


# --------------------------------------------------------------------------------------------------------- other clips
def test_clips_made_otherwise(trained, tmp_path):
    more = ["DATA.SAMPLING_RATE", "1", "DATA.ENHANCE", "equalize", "TEST.NUM_SPATIAL_CROPS", "1"]
    done = score(trained, tmp_path, *more)
    assert done.returncode == 0, done.stderr
    text = "DATA.SAMPLING_RATE 1 (before: 2), DATA.ENHANCE 'equalize' (before: 'none')"
    assert f"clips are not made as for the weights {trained / 'out/checkpoints/best.pyth'}: {text}\n" in done.stdout
    assert json.loads((tmp_path / "scores.json").read_text())["header"]["clips_differ"].endswith(text)
    assert "DATA.SAMPLING_RATE 1 (before: 2)" in (tmp_path / "report.html").read_text()
    combined = run_here(str(tmp_path / "scores.npz"), tool="ensemble")
    assert text in combined.stdout


@pytest.mark.slow
def test_clips_made_alike(trained, tmp_path):
    done = score(trained, tmp_path, "TEST.NUM_ENSEMBLE_VIEWS", "1", "DATA.TEST_CROP_SIZE", "40", "SOLVER.BASE_LR", "3")
    assert done.returncode == 0 and "not made as" not in done.stdout
    assert "clips_differ" not in json.loads((tmp_path / "scores.json").read_text())["header"]


@pytest.mark.parametrize("tool", ["predict", pytest.param("extract_features", marks=pytest.mark.slow)])
def test_other_tools_say_it_too(trained, tmp_path, tool, caplog):
    best = str(trained / "out/checkpoints/best.pyth")
    video = next((trained / "demo").rglob("*.mp4"))
    for more in (["DATA.MEAN", "[0.1,0.1,0.1]"], []):
        caplog.clear()
        if tool == "predict":
            arguments = ("--checkpoint", best, "--device", "cpu", "--workers", "0", str(video), "--opts", *more)
            done = run_here(tool=tool, arguments=arguments)
        else:
            pairs = pairs_of(tmp_path, trained, "TEST.CHECKPOINT_FILE_PATH", best, *more)
            done = run_here(*pairs, tool=tool, arguments=("--clips",))
        assert done.returncode == 0, done.stderr
        said = "DATA.MEAN [0.1, 0.1, 0.1] (before: [0.45, 0.45, 0.45])"
        assert (said in caplog.text) is bool(more)


# --------------------------------------------------------------------------------------------------- NaN and infinite
@pytest.fixture(scope="module", params=["nan", pytest.param("inf", marks=pytest.mark.slow)])
def lost(trained, tmp_path_factory, request) -> Path:
    """A checkpoint that gives class 0 a score that is no number."""
    state = torch.load(trained / "out/checkpoints/best.pyth", weights_only=True)
    state["model_state"]["head.weight"] = state["model_state"]["head.weight"].clone()
    state["model_state"]["head.bias"] = state["model_state"]["head.bias"].clone()
    state["model_state"]["head.bias"][0] = float(request.param)
    path = tmp_path_factory.mktemp("lost") / "lost.pyth"
    torch.save(state, path)
    return path


def strict(text: str):
    def refuse(token: str):
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_test_without_numbers(trained, lost, tmp_path):
    done = score(trained, tmp_path, "TEST.CHECKPOINT_FILE_PATH", str(lost))
    assert done.returncode == 1
    assert "stopped: 6 videos with NaN or infinite scores, of 6: videos/test/" in done.stderr.replace(
        f"{trained}/demo/", ""
    )
    numbers = [line for line in done.stdout.splitlines() if " % [" in line or "class " in line and " %" in line]
    assert numbers and all("NaN or infinite" in line for line in numbers)
    summary = strict((tmp_path / "scores.json").read_text())["summary"]
    assert summary["not_finite"]["videos"] == 6 == len(summary["not_finite"]["paths"])
    assert [strict(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()][-1]["not_finite"] == 6
    assert "NaN or infinite" in (tmp_path / "report.html").read_text()
    assert "NaN or infinite" in (tmp_path / "scores.csv").read_text()
    combined = run_here(str(tmp_path / "scores.npz"), "--json", str(tmp_path / "numbers.json"), tool="ensemble")
    assert combined.returncode == 1 and "6 videos with NaN or infinite scores" in combined.stderr
    assert strict((tmp_path / "numbers.json").read_text())["not_finite"]["videos"] == 6


@pytest.mark.parametrize("more", [(), ("--csv",), ("--json", "--sliding", "0.1")])
def test_predict_without_numbers(trained, lost, more):
    videos = sorted(map(str, (trained / "demo").rglob("*.mp4")))[:2]
    words = ("--checkpoint", str(lost), "--device", "cpu", "--workers", "0", *videos, *more)
    done = run_here(tool="predict", arguments=words)
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if "NaN or infinite, so nothing can be said" in line]) == 2
    assert "2 of 2 videos have NaN or infinite scores" in done.stderr
    if "--json" in more:
        assert [set(strict(line)) for line in done.stdout.splitlines()] == [{"path", "error"}] * 2


def test_a_validation_without_numbers(trained, lost, tmp_path):
    more = ["TRAIN.CHECKPOINT_FILE_PATH", str(lost), "TRAIN.CHECKPOINT_EPOCH_RESET", "True", "SOLVER.BASE_LR", "1e-9"]
    more += ["TRAIN.MAX_BAD_STEPS", "100", "SOLVER.MAX_EPOCH", "1"]
    done = run_here(*pairs_of(tmp_path / "out", trained, *more))
    assert done.returncode == 1 and "last validation:" in done.stderr and "NaN or infinite scores" in done.stderr
    row = [strict(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()][-1]
    assert row["not_finite"] and row["best_not_finite"]
