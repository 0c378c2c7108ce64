"""What a new user types wrongly first: one line that says what to type."""

import pytest
from conftest import ROOT
from tiny import run_here

from fragrant.config import load_cfg
from fragrant.errors import UserError
from fragrant.launch import argument_parser, config_and_environments
from fragrant.launch.config_path import likely

DEMO = "configs/demo/uniformer_xs.yaml"
LINES = [
    (["--cfg", "demo/uniformer_xs.yaml"], f"there is no such file; type: --cfg {DEMO}"),
    (["--cfg", "uniformer_xs"], f"there is no such file; type: --cfg {DEMO}"),
    (["--cfg", "configs/demo/unifomer_xs.yaml"], f"there is no such file; type: --cfg {DEMO} (or "),
    (["--cfg", "configs/demo/nothing_like_it_at_all.yaml"], f"a file ends in .yaml, as --cfg {DEMO}"),
    (["--cfg", "configs/demo"], "is a folder; type one of its files: --cfg configs/demo/"),
    ([DEMO], f"'{DEMO}' stands where a key should be; for a config type: --cfg {DEMO}"),
    ([DEMO, "SOLVER.MAX_EPOCH", "2"], f"for a config type: --cfg {DEMO}"),
    (["SOLVER.MAX_EPOCH", "2", DEMO], f"for a config type: --cfg {DEMO}"),
    ([], f"nothing says what to train; type --cfg and a config, for the demo: --cfg {DEMO}"),
]
FLAGS = [
    (["--config", DEMO], f"--config is not known; type: --cfg {DEMO}"),
    ([f"--config-file={DEMO}"], f"--config-file is not known; type: --cfg {DEMO}"),
    (["-c", DEMO], f"-c is not known; type: --cfg {DEMO}"),
    (["--config"], "--config is not known; type: --cfg FILE"),
    (
        ["--cfg", DEMO, "--SOLVER.MAX_EPOCH", "3"],
        "--SOLVER.MAX_EPOCH is a key of the config, not a flag; type without the dashes: SOLVER.MAX_EPOCH 3",
    ),
    (["--cfg", DEMO, "--acept-changes"], "did you mean --accept-changes? --help shows all"),
    (["--cfg"], "argument --cfg: expected one argument; --help shows all"),
]


@pytest.mark.parametrize("words, said", LINES, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_configs(monkeypatch, words, said):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError) as caught:
        config_and_environments(argument_parser("", many=True).parse_intermixed_args(words))
    assert said in str(caught.value)


@pytest.mark.parametrize("words, said", FLAGS, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_flags(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        argument_parser("", many=True, resumes=True).parse_intermixed_args(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2 and line.startswith("error: ") and said in line


def test_what_is_there_is_taken(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    for words in (["--cfg", DEMO, "--print-config"], ["--cfg", "zoo:dark6-xs", "--print-config"], ["--print-config"]):
        config_and_environments(argument_parser("", many=True).parse_intermixed_args(words))
    (tmp_path / "own.yaml").write_text("NUM_GPUS: 0\n")
    words = ["--cfg", str(tmp_path / "own.yaml"), "--print-config"]
    assert config_and_environments(argument_parser("", many=True).parse_intermixed_args(words))[0].NUM_GPUS == 0


def test_shipped_configs_are_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (found,) = likely("demo/uniformer_xs.yaml")
    assert found.endswith(DEMO) and load_cfg(found).MODEL.MODEL_NAME == "Uniformer"


@pytest.mark.parametrize("here, told", [(0, "NUM_GPUS 0 (the CPU)"), (2, "add to the command: NUM_GPUS 2")])
def test_too_many_gpus(monkeypatch, tmp_path, here, told):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: here)
    done = run_here("NUM_GPUS", "4", "TRAIN.BATCH_SIZE", "8", "OUTPUT_DIR", str(tmp_path))
    assert done.returncode == 2 and f"this machine has {here} CUDA GPU(s)" in done.stderr and told in done.stderr
