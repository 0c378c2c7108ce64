"""Fields in OUTPUT_DIR: what stands in their place, and which run a command begins or goes on with."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from tiny import TINY, command, environment, run_here

from fragrant.config import ConfigError, load_cfg
from fragrant.config.run_folder import fields_of, filled, fixed_values, folders_of, moment
from fragrant.engine.run import run
from fragrant.errors import UserError
from fragrant.launch import argument_parser, choose_folder, config_and_environments, config_of
from fragrant.launch.run_folder import RECORD

WORDS = ["--cfg", "a.yaml", "SOLVER.BASE_LR", "0.1"]
ARID = str(ROOT / "configs/arid/uniformer_s.yaml")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")):
            monkeypatch.delenv(name)


# --------------------------------------------------------------------------------------------------------------- fields
def test_fields():
    assert fields_of("runs/{config}/{date}-{n}") == ["config", "date", "n"]
    assert fields_of("runs/${HOME}/x") == []  # a variable of the shell is none
    assert filled("{seed}/{n}", {"seed": "3"}) == "3/{n}"


@pytest.mark.parametrize(
    "field, hint", [("dat", "did you mean 'date'? "), ("", ""), ("config ", "did you mean 'config'? ")]
)
def test_an_unknown_field(field, hint):
    line = f"OUTPUT_DIR 'runs/{{{field}}}': {{{field}}} is not known; {hint}Known: {{config}}, {{seed}}, {{date}}, "
    with pytest.raises(ConfigError, match=re.escape(line + "{time}, {n}, {job}")):
        fields_of(f"runs/{{{field}}}")


def test_fixed_values():
    values = fixed_values("{config}/{seed}/{job}", "configs/arid/x3d{m}.yaml", 7, {"SLURM_JOB_ID": "41"})
    assert values == {"config": "x3d_m_", "seed": "7", "job": "41"}
    assert fixed_values("{job}", None, 7, {})["job"] == "local"
    with pytest.raises(ConfigError, match=re.escape("{config} is the name of the --cfg file, and none is given")):
        fixed_values("{config}", None, 7, {})


def test_moment():
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", moment()["date"]) and re.fullmatch(r"\d\d-\d\d-\d\d", moment()["time"])


def test_folders_are_found_in_the_order_in_which_they_were_made(tmp_path):
    for name in ("2026-01-02-2", "2026-01-02-10", "2025-12-31-11", "2026-01-02", "2026-1-2-3", "x2026-01-02-1"):
        (tmp_path / "runs" / name / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "2026-01-03-1").touch()
    found = [path.name for _, path in folders_of(f"{tmp_path}/runs/{{date}}-{{n}}")]
    assert found == ["2025-12-31-11", "2026-01-02-2", "2026-01-02-10"]
    assert [path for _, path in folders_of(f"{tmp_path}/{{date}}/{{n}}")] == []
    (tmp_path / "twice" / "3" / "3").mkdir(parents=True)
    (tmp_path / "twice" / "3" / "4").mkdir()
    assert [path.parts[-2:] for _, path in folders_of(f"{tmp_path}/twice/{{n}}/{{n}}")] == [("3", "3")]


def test_the_command_line_fills_what_stays_the_same(monkeypatch):
    words = ["--cfg", ARID, "OUTPUT_DIR", "runs/{config}-{seed}/{date}-{n}", "RNG_SEED", "5", "NUM_GPUS", "0"]
    arguments = argument_parser("", many=True).parse_intermixed_args(words)
    assert config_of(arguments).OUTPUT_DIR == "runs/uniformer_s-5/{date}-{n}"
    arguments.pairs += ["TEST.NUM_PARTS", "2", "TEST.PART", "0", "TRAIN.ENABLE", "False"]
    with pytest.raises(UserError, match="makes a folder for each of the TEST.NUM_PARTS 2 parts"):
        config_and_environments(arguments)


# --------------------------------------------------------------------------------------------------------------- choice
def chosen(template: str, **options) -> str:
    return Path(choose_folder(template, WORDS, **options).path).name


def test_every_start_is_a_new_run(tmp_path):
    template = f"{tmp_path}/runs/{{n}}"
    assert [chosen(template) for _ in range(3)] == ["1", "2", "3"]
    (tmp_path / "runs" / "2").rmdir()  # a number is not given again
    assert chosen(template) == "4"
    (tmp_path / "runs" / "5").touch()  # somebody else's
    assert chosen(template) == "6"
    folder = choose_folder(template, WORDS)
    assert folder.note == f"OUTPUT_DIR {tmp_path}/runs/7: a new run of {template}"
    assert folder.again.endswith(f"add --resume to go on with the newest, or give OUTPUT_DIR {tmp_path}/runs/7")
    assert chosen(f"{tmp_path}/{{n}}/x") == "x" and (tmp_path / "1" / "x").is_dir()


def test_two_starts_at_once_get_two_folders(tmp_path):
    code = "from fragrant.launch import choose_folder as c; [print(c('runs/{date}-{n}', []).path) for _ in range(20)]"
    starts = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    names = [name for start in starts for name in start.communicate(timeout=120)[0].split()]
    assert len(names) == 40 == len(set(names))


def test_resume_takes_the_newest(tmp_path):
    template = f"{tmp_path}/{{date}}-{{n}}"
    with pytest.raises(UserError, match="has made no folder yet; without --resume a run begins"):
        choose_folder(template, WORDS, resume=True)
    for name in ("2020-01-01-9", "2020-01-02-1"):
        (tmp_path / name).mkdir()
    assert chosen(template, resume=True) == "2020-01-02-1"


def test_a_requeued_job_goes_on_with_its_run(tmp_path, monkeypatch):
    template = f"{tmp_path}/{{n}}"
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    assert [chosen(template), Path(choose_folder(template, ["other"]).path).name] == ["1", "2"]
    assert chosen(template) == "3"  # the same command again in a shell of this job
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    assert chosen(template) == "4"
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert [chosen(template), chosen(template), chosen(template)] == ["3", "1", "5"]  # each of its runs, then a new one
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert Path(choose_folder(template, ["other"]).path).name == "2"
    for text in (
        "",
        "[]",
        '{"job": 1}',
        '{"job": "slurm  41", "words": ["other"], "attempt": ["x"]}',
    ):  # damaged: not its own
        (tmp_path / "2" / RECORD).write_text(text)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "3")
        assert Path(choose_folder(template, ["other"]).path).name not in ("1", "2", "3")


def test_torchrun_starts_fallen_processes_again(tmp_path, monkeypatch):
    template = f"{tmp_path}/{{n}}"
    for run_id, name in (("none", "1"), ("abc", "2")):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run_id)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
        assert chosen(template) == name
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
        assert chosen(template) == name


def test_a_place_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/{n}' cannot be written: File exists"):
        choose_folder(f"{tmp_path}/file/{{n}}", WORDS)


# ------------------------------------------------------------------------------------------------------------------ run
def test_the_folder_is_chosen_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = load_cfg(None, [*TINY, "OUTPUT_DIR", "runs/{n}", "TRAIN.ENABLE", "False"])
    seen = []
    for resume in (False, False, True):
        place = lambda: choose_folder("runs/{n}", WORDS, resume=resume)  # noqa: B023, E731
        run(cfg, torch.device("cpu"), work=lambda job: seen.append(job.cfg.OUTPUT_DIR), place=place)
    assert seen == ["runs/1", "runs/2", "runs/2"] and os.listdir(tmp_path) == ["runs"]
    assert load_cfg("runs/2/config.yaml").OUTPUT_DIR == "runs/2"
    assert "OUTPUT_DIR runs/2: the newest of runs/{n}" in Path("runs/2/stdout.log").read_text()
    with pytest.raises(ConfigError, match=re.escape("{n} is filled by tools/run_net.py alone; here name the folder")):
        run(cfg, torch.device("cpu"), work=lambda job: None)


@pytest.mark.slow
def test_a_training_goes_on_with_resume(tmp_path):
    template, folder = str(tmp_path / "out" / "{seed}-{n}"), tmp_path / "out"
    words = [*TINY, "TEST.ENABLE", "False", "DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo"), "OUTPUT_DIR", template]
    for more in (["SOLVER.MAX_EPOCH", "1"], ["SOLVER.MAX_EPOCH", "1"]):
        done = run_here(*words, *more)
        assert done.returncode == 0, done.stderr
    done = run_here(*words, "SOLVER.MAX_EPOCH", "2", arguments=("--resume",))
    assert done.returncode == 0 and "1 of 2 epochs are done" in done.stdout, done.stderr
    epochs = {name: sorted(os.listdir(folder / name / "checkpoints")) for name in ("1-1", "1-2")}
    assert "checkpoint_epoch_00002.pyth" in epochs["1-2"] and "checkpoint_epoch_00002.pyth" not in epochs["1-1"]
    done = run_here("--cfg", folder / "1-2" / "config.yaml", "SOLVER.MAX_EPOCH", "3")  # the saved config names its run
    assert done.returncode == 0 and "2 of 3 epochs are done" in done.stdout, done.stderr
    assert sorted(os.listdir(folder)) == ["1-1", "1-2"]


@pytest.mark.slow
def test_all_processes_have_one_folder_and_stop_early_together(tmp_path):
    words = [*TINY, "SOLVER.MAX_EPOCH", "5", "SOLVER.BASE_LR", "1e-9", "TRAIN.EARLY_STOP", "1", "TEST.ENABLE", "False"]
    words += ["DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo")]
    words += ["OUTPUT_DIR", str(tmp_path / "out" / "{date}" / "{time}-{n}")]
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*line, *command(*words)[1:]], env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Stopped early after epoch 2 of 5") == 1
    (day,) = (tmp_path / "out").iterdir()
    (run_folder,) = day.iterdir()
    checkpoints = sorted(path.name for path in (run_folder / "checkpoints").iterdir())
    assert checkpoints == ["best.pyth", "checkpoint_epoch_00001.pyth", "checkpoint_epoch_00002.pyth"]
    assert json.loads((run_folder / RECORD).read_text())["attempt"] == [0, 0]
