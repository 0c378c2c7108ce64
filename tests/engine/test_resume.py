"""Killed anywhere and started again, a run ends in the same weights."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from tiny import TINY, command, environment, run_here

LONGER = ["SOLVER.MAX_EPOCH", "4", "TEST.ENABLE", "False", "UNIFORMER.DROPOUT_RATE", "0.1"]  # dropout: the random state must come back too


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """The uninterrupted run."""
    folder = tmp_path_factory.mktemp("straight")
    done = run_here(*TINY, *LONGER, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / "out"))
    assert done.returncode == 0, done.stderr
    return folder


def final_state(out: Path) -> dict:
    return torch.load(out / "checkpoints" / "checkpoint_epoch_00004.pyth", weights_only=True)


def assert_same_end(left: Path, right: Path) -> None:
    a, b = final_state(left), final_state(right)
    assert a["model_state"].keys() == b["model_state"].keys()
    for name, value in a["model_state"].items():
        assert torch.equal(value, b["model_state"][name]), name
    for index, moments in a["optimizer_state"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, b["optimizer_state"]["state"][index][name]), (index, name)
    assert a["best"] == b["best"] and a["step"] == b["step"]


def kill_in_epoch(epoch: int, step: int, pairs: list[str], out: Path) -> None:
    """Starts a run and sends SIGKILL as soon as its log shows this step."""
    process = subprocess.Popen(command(*pairs), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    log = out / "stdout.log"
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and re.search(rf'"epoch": "{epoch}/4".*"iter": "{step}/3"', log.read_text()):
                break
            time.sleep(0.002)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("workers", [0, 2])
def test_sigkill_in_the_middle_of_an_epoch(straight, tmp_path, workers):
    pairs = [*TINY, *LONGER, "DATA.PATH_TO_DATA_DIR", str(straight / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    pairs += ["DATA_LOADER.NUM_WORKERS", str(workers)]
    kill_in_epoch(3, 1, pairs, tmp_path / "out")
    assert not (tmp_path / "out/checkpoints/checkpoint_epoch_00004.pyth").exists()
    resumed = run_here(*pairs)
    assert resumed.returncode == 0, resumed.stderr
    assert "Resuming" in resumed.stdout and "2 of 4 epochs are done" in resumed.stdout
    assert_same_end(straight / "out", tmp_path / "out")


def test_a_truncated_newest_checkpoint_is_skipped(straight, tmp_path):
    """The file before it is used, and the end is the same again."""
    pairs = [*TINY, *LONGER, "DATA.PATH_TO_DATA_DIR", str(straight / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    folder = tmp_path / "out" / "checkpoints"
    folder.mkdir(parents=True)
    for epoch in (1, 2, 3):
        name = f"checkpoint_epoch_{epoch:05d}.pyth"
        content = (straight / "out" / "checkpoints" / name).read_bytes()
        (folder / name).write_bytes(content if epoch < 3 else content[: len(content) // 2])
    resumed = run_here(*pairs)
    assert resumed.returncode == 0, resumed.stderr
    assert "checkpoint_epoch_00003.pyth is damaged" in resumed.stdout and "2 of 4 epochs are done" in resumed.stdout
    assert_same_end(straight / "out", tmp_path / "out")


def test_fine_tuning_is_not_resuming(straight, tmp_path):
    """Other classes: weights only, epoch 1, the head is new."""
    for split in ("train", "val"):
        rows = [line.split(" ") for line in (straight / "demo" / f"{split}.csv").read_text().splitlines()]
        (tmp_path / f"{split}.csv").write_text("".join(f"{straight / 'demo' / path} {int(label) % 2}\n" for path, label in rows))
    pairs = [*TINY, *LONGER, "TRAIN.DATASET", "kinetics", "DATA.PATH_TO_DATA_DIR", str(tmp_path), "MODEL.NUM_CLASSES", "2"]
    pairs += ["SOLVER.MAX_EPOCH", "1", "TRAIN.CHECKPOINT_FILE_PATH", str(straight / "out/checkpoints/checkpoint_epoch_00004.pyth")]
    done = run_here(*pairs, "OUTPUT_DIR", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "Fine-tuning from" in done.stdout and "epoch 1 of 1" in done.stdout and "head.weight (6, 16) does not fit (2, 16)" in done.stdout


@pytest.mark.parametrize("reset", [False, True])
def test_a_finished_checkpoint_needs_epoch_reset(straight, tmp_path, reset):
    pairs = [*TINY, *LONGER, "DATA.PATH_TO_DATA_DIR", str(straight / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    pairs += ["TRAIN.CHECKPOINT_FILE_PATH", str(straight / "out/checkpoints/checkpoint_epoch_00004.pyth")]
    done = run_here(*pairs, "TRAIN.CHECKPOINT_EPOCH_RESET", str(reset))
    if reset:
        assert done.returncode == 0 and "Fine-tuning from" in done.stdout and "epoch 1 of 4" in done.stdout
    else:
        assert done.returncode == 2 and "finished 4 of SOLVER.MAX_EPOCH 4 epochs" in done.stderr


def test_a_checkpoint_of_another_model_is_an_error(straight, tmp_path):
    pairs = [*TINY, *LONGER, "DATA.PATH_TO_DATA_DIR", str(straight / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    wrong = tmp_path / "wrong.pyth"
    torch.save({"model_state": {"conv1.weight": torch.zeros(3, 3)}}, wrong)
    done = run_here(*pairs, "TRAIN.CHECKPOINT_FILE_PATH", str(wrong))
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert str(wrong) in done.stderr and "at least half must" in done.stderr


def test_killed_between_saving_and_validating(straight, tmp_path):
    """The best epoch's validation, and best.pyth with it, are made up for."""
    best = torch.load(straight / "out" / "checkpoints" / "best.pyth", weights_only=True)
    folder = tmp_path / "out" / "checkpoints"
    folder.mkdir(parents=True)
    for epoch in range(1, best["epoch"] + 2):
        name = f"checkpoint_epoch_{epoch:05d}.pyth"
        (folder / name).write_bytes((straight / "out" / "checkpoints" / name).read_bytes())
    pairs = [*TINY, *LONGER, "DATA.PATH_TO_DATA_DIR", str(straight / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    resumed = run_here(*pairs)
    assert resumed.returncode == 0, resumed.stderr
    again = torch.load(folder / "best.pyth", weights_only=True)
    assert again["best"] == best["best"] and again["epoch"] == best["epoch"]
    for name, value in best["model_state"].items():
        assert torch.equal(value, again["model_state"][name]), name
    assert_same_end(straight / "out", tmp_path / "out")
