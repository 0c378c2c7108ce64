"""Plug-ins from the command line, each in a process of its own: what they register is gone when it ends."""

import json
import os
from pathlib import Path

import pytest
import torch
from conftest import load_tool
from forked import run_forked
from tiny import TINY

from fragrant.checkpoint import best_path

FILES = Path(__file__).parent / "files"
SHORT = [
    *TINY,
    *"SOLVER.MAX_EPOCH 1 DATA.HOLD_OUT 0.5 TEST.NUM_ENSEMBLE_VIEWS 1 TEST.NUM_SPATIAL_CROPS 1".split(),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The folder of the tiny demo set; the first run draws it."""
    return tmp_path_factory.mktemp("demo") / "set"


def run(folder: Path, demo: Path, name: str, *pairs: str, code: int = 0):
    done = run_forked(
        "--import", FILES / f"{name}.py", *SHORT, "OUTPUT_DIR", folder, "DATA.PATH_TO_DATA_DIR", demo, *pairs
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demo) -> Path:
    folder = tmp_path_factory.mktemp("net")
    run(folder, demo, "net", "MODEL.MODEL_NAME", "TinyNet", "TINY_NET.WIDTH", "6")
    return folder


def test_network_is_trained_and_tested_with_its_key(trained):
    state = torch.load(best_path(trained), weights_only=True)
    assert state["model_state"]["stem.weight"].shape[0] == 6
    assert state["plugins"] == [str(FILES / "net.py")]
    assert (trained / "scores.npz").is_file()
    assert "TINY_NET:\n  WIDTH: 6" in (trained / "config.yaml").read_text()


def test_network_predicts(trained, demo):
    video = next(demo.rglob("*.mp4"))
    arguments = (
        "--import",
        str(FILES / "net.py"),
        "--checkpoint",
        str(best_path(trained)),
        "--workers",
        "0",
        "--json",
        str(video),
    )
    done = run_forked(tool="predict", arguments=arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize("what", ["checkpoint", "config"])
def test_the_missing_import_is_named(trained, demo, what):
    if what == "checkpoint":
        arguments = ("--checkpoint", str(best_path(trained)), str(next(demo.rglob("*.mp4"))))
        done = run_forked(tool="predict", arguments=arguments)
    else:
        done = run_forked("--cfg", trained / "config.yaml")
    assert done.returncode == 2
    assert f"add --import {FILES / 'net.py'}" in done.stderr and len(done.stderr.splitlines()) == 1
    assert "did you mean" not in done.stderr


def test_the_config_of_a_run_reads_back(trained):
    done = run_forked("--import", FILES / "net.py", "--cfg", trained / "config.yaml", "--print-config")
    assert done.stdout == (trained / "config.yaml").read_text()


KINDS = {
    "transform": ["DATA.TRANSFORMS", "[still]"],
    "enhancement": ["DATA.ENHANCE", "twice"],
    "objective": ["TRAIN.OBJECTIVE", "calm", "CALM.WEIGHT", "0.5"],
    "loss": ["MODEL.LOSS_FUNC", "brier"],
    "schedule": ["SOLVER.LR_POLICY", "halving", "SOLVER.MAX_EPOCH", "2"],
    "data_set": ["TRAIN.DATASET", "own_set", "TEST.DATASET", "own_set"],
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_trained_and_tested(trained, tmp_path, demo, name):
    done = run(tmp_path, demo, name, *KINDS[name])
    assert (tmp_path / "scores.npz").is_file()
    log = (tmp_path / "metrics.jsonl").read_text()
    if name == "transform":
        assert "still was here" in done.stdout
    if name == "objective":
        assert "logit_size" in log
    if name == "schedule":
        rates = {json.loads(line).get("lr") for line in log.splitlines()}
        assert {0.001, 0.0005} <= rates


def test_an_unknown_name_is_refused_with_the_names_of_plugins(tmp_path, demo):
    done = run(tmp_path, demo, "schedule", "SOLVER.LR_POLICY", "halvin", code=2)
    assert "SOLVER.LR_POLICY 'halvin' is not known; did you mean 'halving'?" in done.stderr


@pytest.mark.parametrize(
    "pairs, message",
    [
        (["TRAIN.OBJECTIVE", "clasify"], "TRAIN.OBJECTIVE 'clasify' is not known; did you mean 'classify'?"),
        (["DATA.TRANSFORMS", "[reverse]"], "DATA.TRANSFORMS 'reverse' is not known; did you mean 'reverse_half'?"),
        (
            ["TRAIN.OBJECTIVE", "svmix"],
            "TRAIN.OBJECTIVE svmix contradicts the keys MIXUP and DISTILL, which say classify",
        ),
    ],
)
def test_wrong_names(tmp_path, demo, pairs, message):
    done = run(tmp_path, demo, "schedule", *pairs, code=2)
    assert message in done.stderr


BROKEN = {
    "syntax": ("def f(:\n", "cannot be imported: SyntaxError"),
    "raises": ("x = 1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero"),
    "exits": ("raise SystemExit(0)\n", "cannot be imported: SystemExit"),
    "taken": (
        'from fragrant.config import declare_key\ndeclare_key("MODEL.ARCH", "x", "y")\n',
        "MODEL.ARCH is a key or a block of keys already",
    ),
    "missing": (None, "there is no such file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_one_line(tmp_path, name):
    text, message = BROKEN[name]
    path = tmp_path / f"{name}.py"
    if text is not None:
        path.write_text(text)
    done = run_forked("--import", path, "--print-config")
    assert done.returncode == 2
    assert message in done.stderr and str(path) in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_environment_names_plugins(monkeypatch):
    monkeypatch.setenv("FRAGRANT_IMPORT", os.pathsep.join(str(FILES / f"{name}.py") for name in ("net", "objective")))
    done = run_forked("--print-config")
    assert "TINY_NET:" in done.stdout and "CALM:" in done.stdout


def test_every_tool_takes_them(capsys):
    for tool in ("ensemble", "export", "plot", "report", "predict", "prepare_data", "model_info", "check_data"):
        with pytest.raises(SystemExit):
            load_tool(tool).start(["curves", "--help"] if tool == "plot" else ["--help"])
        assert "--import" in capsys.readouterr().out, tool


def test_a_range_is_held(tmp_path, demo):
    done = run(tmp_path, demo, "net", "TINY_NET.WIDTH", "-3", code=2)
    assert "TINY_NET.WIDTH -3 must be from 1 to 4096" in done.stderr
