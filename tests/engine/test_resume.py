"""Killed anywhere and started again, a run ends in the same weights."""

import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import TINY, command, environment, run_here

from fragrant.distributed import free_address

# dropout: the random state must come back too
LONGER = [
    "SOLVER.MAX_EPOCH",
    "4",
    "TEST.ENABLE",
    "False",
    "UNIFORMER.DROPOUT_RATE",
    "0.1",
]


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


def started(line: list[str], **more: str) -> subprocess.Popen:
    """In a process group of its own, so that a signal reaches its workers too, as a cluster's does."""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(line, env={**environment(), **more}, start_new_session=True, **pipes)


def send_at(
    processes: list[subprocess.Popen], out: Path, epoch: int, step: int, number: int, to: int = 0, group: bool = False
) -> None:
    """Sends a signal to one of the processes as soon as the log shows this step."""
    log, deadline = out / "stdout.log", time.monotonic() + 120
    while processes[to].poll() is None and time.monotonic() < deadline:
        if log.exists() and re.search(rf'"epoch": "{epoch}/4".*"iter": "{step}/3"', log.read_text()):
            break
        time.sleep(0.002)
    alive = processes[to].poll() is None
    if alive:
        (os.killpg if group else os.kill)(processes[to].pid, number)
    else:
        raise AssertionError(f"the run ended before the signal: {processes[to].communicate()}")


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def some_step() -> tuple[int, int]:
    """Any but the last two, lest the run be over before it can be killed."""
    return divmod(random.randrange(10), 3)


def pairs_of(folder: Path, out: Path, *more: str) -> list[str]:
    return [*TINY, *LONGER, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(out), *more]


@pytest.mark.parametrize("workers, every_steps", [(2, 0), pytest.param(0, 1, marks=pytest.mark.slow)])
def test_sigkill_anywhere(straight, tmp_path, workers, every_steps):
    out, (epoch, step) = tmp_path / "out", some_step()
    pairs = pairs_of(straight, out, "DATA_LOADER.NUM_WORKERS", str(workers), "TRAIN.SAVE_EVERY_STEPS", str(every_steps))
    process = started(command(*pairs))
    send_at([process], out, epoch + 1, step + 1, signal.SIGKILL)
    ended(process)
    assert not (out / "checkpoints/checkpoint_epoch_00004.pyth").exists()
    resumed = run_here(*pairs)
    assert resumed.returncode == 0, resumed.stderr
    assert ("Resuming" if epoch or every_steps else "Starting from random weights") in resumed.stdout
    assert_same_end(straight / "out", out)
    # the other of the last two is whole
    assert len([path for path in (out / "checkpoints").iterdir() if "_batch_" in path.name]) <= 1


@pytest.mark.parametrize(
    "number, workers",
    [
        (signal.SIGTERM, 2),
        pytest.param(signal.SIGUSR1, 0, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 2, marks=pytest.mark.slow),  # of the keyboard: all processes of the terminal get it
    ],
)
def test_a_signal_to_the_whole_job_saves_and_ends_well(straight, tmp_path, number, workers):
    """The step is finished although the reading processes hear of it too; the resumed run knows no interruption."""
    out, (epoch, step) = tmp_path / "out", some_step()
    process = started(command(*pairs_of(straight, out, "DATA_LOADER.NUM_WORKERS", str(workers))))
    send_at([process], out, epoch + 1, step + 1, number, group=True)
    code, said, err = ended(process)
    by_keyboard = number == signal.SIGINT
    assert code == (130 if by_keyboard else 0), (epoch, step, err)
    assert (
        f"Stopped by {'Ctrl-C' if by_keyboard else signal.Signals(number).name}" in said
        and "the same command goes on from there" in said
    )
    resumed = run_here(*pairs_of(straight, out))
    assert resumed.returncode == 0 and "Resuming" in resumed.stdout, resumed.stderr
    assert_same_end(straight / "out", out)


@pytest.mark.slow
def test_torchrun_is_asked_to_end(straight, tmp_path):
    """torchrun hands SIGTERM on; both ranks save and end. One process takes over and says what that means."""
    out = tmp_path / "out"
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    process = started([*line, *command(*pairs_of(straight, out, "TEST.ENABLE", "True"))[1:]])
    send_at([process], out, 1, 3, signal.SIGTERM)
    _, said, err = ended(process)
    assert "Stopped by SIGTERM" in said, err
    resumed = run_here(*pairs_of(straight, out))
    assert resumed.returncode == 0, resumed.stderr
    assert "2 processes before, 1 now" in resumed.stdout and '"epoch": "4/4"' in resumed.stdout


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_and_both_resume(straight, tmp_path):
    """Started as SlowFast starts several machines: the other rank says what happened, and the end is that of an
    unbroken run."""

    def run_two(out: Path) -> list[subprocess.Popen]:
        address = free_address()
        pairs = pairs_of(straight, out, "TRAIN.SAVE_EVERY_STEPS", "1", "DIST.TIMEOUT", "30", "TRAIN.BATCH_SIZE", "2")
        flags = ["--num_shards", "2", "--init_method", address]
        return [started(command(*pairs, arguments=(*flags, "--shard_id", str(rank)))) for rank in range(2)]

    out, (epoch, step) = tmp_path / "killed", some_step()
    processes = run_two(out)
    send_at(processes, out, epoch + 1, step + 1, signal.SIGKILL, to=1)
    assert ended(processes[1])[0] == -signal.SIGKILL
    code, _, err = ended(processes[0])
    assert (
        code == 1
        and "stopped: rank 0 of 2 lost contact: another rank ended or hangs" in err
        and "DIST.TIMEOUT 30 s" in err
    ), err
    assert not (out / "checkpoints/checkpoint_epoch_00004.pyth").exists()
    runs = [run_two(out), run_two(tmp_path / "unbroken")]
    for process in sum(runs, []):
        code, _, err = ended(process)
        assert code == 0, err
    assert_same_end(tmp_path / "unbroken", out)


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
        (tmp_path / f"{split}.csv").write_text(
            "".join(f"{straight / 'demo' / path} {int(label) % 2}\n" for path, label in rows)
        )
    pairs = [
        *TINY,
        *LONGER,
        "TRAIN.DATASET",
        "kinetics",
        "DATA.PATH_TO_DATA_DIR",
        str(tmp_path),
        "MODEL.NUM_CLASSES",
        "2",
    ]
    pairs += [
        "SOLVER.MAX_EPOCH",
        "1",
        "TRAIN.CHECKPOINT_FILE_PATH",
        str(straight / "out/checkpoints/checkpoint_epoch_00004.pyth"),
    ]
    done = run_here(*pairs, "OUTPUT_DIR", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert (
        "Fine-tuning from" in done.stdout
        and "epoch 1 of 1" in done.stdout
        and "head.weight (6, 16) does not fit (2, 16)" in done.stdout
    )


def test_the_advice_on_a_prefix_is_followed_once(straight, tmp_path):
    """A whole checkpoint whose tensors stand below another module: its optimiser belongs to other names."""
    state = torch.load(straight / "out/checkpoints/checkpoint_epoch_00004.pyth", weights_only=True)
    state["model_state"] = {f"backbone.{name}": value for name, value in state["model_state"].items()}
    torch.save(state, tmp_path / "below.pyth")
    pairs = pairs_of(straight, tmp_path / "out", "SOLVER.MAX_EPOCH", "1")
    pairs += ["TRAIN.CHECKPOINT_FILE_PATH", str(tmp_path / "below.pyth")]
    advised = run_here(*pairs)
    assert advised.returncode == 2 and "without 'backbone.' 93 names would match: TRAIN." in advised.stderr
    done = run_here(*pairs, *shlex.split(advised.stderr.rpartition("would match: ")[2]))
    assert done.returncode == 0, done.stderr
    assert "(its tensors have other names, so its epoch and optimiser are not taken over), epoch 1 of 1" in done.stdout


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
