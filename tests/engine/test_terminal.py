"""A run as a person sees it: bars on a terminal, lines in a file, Ctrl-C."""

import os
import re
import signal
from pathlib import Path

import pytest
import torch
from conftest import load_tool
from support.screen import terminal
from tiny import TINY, command, environment, run_here

from fragrant.optim.step import Stepper

RUN = [*TINY, "TEST.ENABLE", "False", "UNIFORMER.DROPOUT_RATE", "0.1"]
EPOCH = (  # the line of an epoch, a part for each of its facts
    r"epoch 1/2: loss \d+\.\d{4}, lr \d\.\d\de-\d\d, \d+\.\d s, train top-1 \d+\.\d\d %; "
    r"validation top-1 (\d+\.\d\d) %, best (\d+\.\d\d) %; ETA 0:00:\d\d"
)


def pairs_of(folder: Path, out: Path, *more: str) -> list[str]:
    return [*RUN, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(out), *more]


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[Path, list[str]]:
    """An uninterrupted run whose output is redirected, and its lines."""
    folder = tmp_path_factory.mktemp("straight")
    done = run_here(*pairs_of(folder, folder / "out"))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_redirected_output_has_a_readable_line_per_epoch_beside_the_json(straight):
    folder, lines = straight
    readable = [line for line in lines if re.search(r"epoch \d/2: ", line)]
    assert len(readable) == 2 and re.search(EPOCH + "$", readable[0]), readable
    assert "ETA" not in readable[1]
    records = [line for line in lines if "json_stats" in line]
    assert sum('"_type": "train_epoch"' in line for line in records) == 2
    assert sum('"_type": "val_epoch"' in line for line in records) == 2
    assert lines.index(readable[0]) > lines.index(next(line for line in records if "val_epoch" in line))
    assert lines == (folder / "out/stdout.log").read_text().splitlines()
    assert not any("%|" in line or "\r" in line for line in lines)


def test_a_terminal_shows_bars_and_keeps_lines_alone(straight, tmp_path, monkeypatch):
    folder, _ = straight
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    with terminal() as (file, screen, pieces):
        monkeypatch.setattr("sys.stdout", file)
        code = load_tool("run_net").start([*pairs_of(folder, tmp_path / "out"), "LOG_PERIOD", "1"])
        monkeypatch.undo()
    left = [line for line in screen.lines() if line]
    assert code == 0 and left[-1] == f"Results are in {tmp_path / 'out'}", left
    epochs = [line for line in left if line.startswith("epoch ")]
    assert len(epochs) == 2 and re.fullmatch(EPOCH, epochs[0]), epochs
    assert not any("%|" in line or "json_stats" in line for line in left)
    text = "".join(pieces)
    assert screen.most_bars == 2 and "epoch 2/2: " in text and "validation: " in text
    assert re.search(r"run .*1/2 epochs, ETA 0:00:\d\d, loss \d\.\d{4}, val top-1 \d+\.\d\d %, best ", text)


def pressed_at(step: int, times: int = 1):
    """A ``Stepper.backward`` that has Ctrl-C pressed in the middle of a step."""
    backward, count = Stepper.backward, []

    def pressed(self, loss, ids):
        count.append(1)
        if len(count) == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return backward(self, loss, ids)

    return pressed


@pytest.mark.parametrize("step, resumes", [(2, "0 of 2 epochs and 2 batches"), (6, "2 of 2 epochs")])
def test_ctrl_c_saves_and_the_command_that_it_names_goes_on(straight, tmp_path, monkeypatch, capfd, step, resumes):
    folder, _ = straight
    pairs = pairs_of(folder, tmp_path / "out")
    words = command(*pairs)[1:]
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "backward", pressed_at(step))
        patch.setattr("sys.argv", words)
        stopped = run_here(*pairs)
    assert stopped.returncode == 130
    assert stopped.stderr == "stopped: interrupted from the keyboard; the last checkpoint stays\n"
    assert capfd.readouterr().err == "Ctrl-C: finishing this step and saving; once more ends at once, without saving\n"
    assert "Stopped by Ctrl-C after" in stopped.stdout and "the same command goes on from there" in stopped.stdout
    (line,) = [line for line in stopped.stdout.splitlines() if "to go on: python " in line]
    assert line.endswith(" ".join(words[-8:])) and "AUTO_RESUME" not in line
    resumed = run_here(*pairs)
    assert resumed.returncode == 0 and f"{resumes}" in resumed.stdout, resumed.stderr
    name = "checkpoints/checkpoint_epoch_00002.pyth"
    a, b = (torch.load(out / name, weights_only=True) for out in (folder / "out", tmp_path / "out"))
    assert a["best"] == b["best"] and all(
        torch.equal(a["model_state"][key], b["model_state"][key]) for key in b["model_state"]
    )


def test_the_command_says_what_it_needs_beside(straight, tmp_path, monkeypatch):
    """A run that would begin anew, in a folder that the command does not name."""
    from fragrant.config import load_cfg
    from fragrant.engine.run import command_to_go_on

    cfg = load_cfg(None, ["TRAIN.AUTO_RESUME", "False", "OUTPUT_DIR", "out put"])
    told = command_to_go_on(cfg, ["tools/run_net.py", "--cfg", "x.yaml"])
    assert told == "python tools/run_net.py --cfg x.yaml TRAIN.AUTO_RESUME True OUTPUT_DIR 'out put'"
    words = ["tools/run_net.py", "--opts", "OUTPUT_DIR", "runs/{n}", "TRAIN.AUTO_RESUME", "False", "--cfg", "x.yaml"]
    told = command_to_go_on(cfg, words)  # what stands behind --opts would count more than words at the end
    assert told == "python tools/run_net.py --opts OUTPUT_DIR 'out put' TRAIN.AUTO_RESUME True --cfg x.yaml"
