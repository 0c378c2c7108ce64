"""Stages of a recipe: in order, each once, the same command goes on; what is wrong is one line."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, load_tool

from fragrant.errors import RunStopped, UserError
from fragrant.launch.stages import Stage, read_stages, run_stages

RECIPE = """\
VALUES: {seed: 1, fold: [0, 1], name: a b}
STAGES:
  draw: write --seed {seed} --to {out}/drawn
  train: >
    write --name '{name}' --fold {fold} --by '_(\\d{2})\\.mp4$'
    --to {out}/fold_{fold}
  end: write --to {out}/end
"""
# a tool: notes its words, and does what the file beside it says
WRITE = """\
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
with open(here / "calls.txt", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
print("some lines")
exec((here / "do.py").read_text())
"""


@pytest.fixture
def tools(tmp_path):
    folder = tmp_path / "tools"
    folder.mkdir()
    for tool in ("write", "run_net"):
        (folder / f"{tool}.py").write_text(WRITE)
    (folder / "do.py").write_text("")
    (folder / "recipe.yml").write_text(RECIPE)
    return folder


def calls(tools) -> list[list[str]]:
    return [json.loads(line) for line in (tools / "calls.txt").read_text().splitlines()]


def stages(tools, *given, out="out"):
    return read_stages(str(tools / "recipe.yml"), given, out=out)


# -------------------------------------------------------------------------------------------------------------- reading
def test_fields_are_filled_and_several_values_make_several_stages(tools):
    found = stages(tools, "name=c d")
    assert [stage.name for stage in found] == ["draw", "train_fold0", "train_fold1", "end"]
    assert found[0].words == "write --seed 1 --to out/drawn".split()
    by = ["--by", r"_(\d{2})\.mp4$"]
    assert found[2].words == ["write", "--name", "c d", "--fold", "1", *by, "--to", "out/fold_1"]


def test_values_of_the_command_line(tools):
    assert [stage.name for stage in stages(tools, "fold=2,3,4")][1:-1] == ["train_fold2", "train_fold3", "train_fold4"]
    assert len(stages(tools, "fold=7")) == 3
    assert [stage.words[2] for stage in stages(tools, "seed=1,2")[:2]] == ["1", "2"]


ROUNDS = """\
VALUES: {rounds: 2, fold: [0, 1]}
STAGES:
  source: write --to 0
ROUNDS:
  label: write --by {last} --to {round}
  train: write --to {round}.{fold}
AFTER:
  test: write --of {rounds}
"""


def test_rounds_run_as_a_whole(tools):
    (tools / "recipe.yml").write_text(ROUNDS)
    lines = [f"{stage.name}: {' '.join(stage.words[1:])}" for stage in stages(tools, "fold=7")]
    two = [
        "label_round1: --by 0 --to 1",
        "train_round1: --to 1.7",
        "label_round2: --by 1 --to 2",
        "train_round2: --to 2.7",
    ]
    assert lines == ["source: --to 0", *two, "test: --of 2"]
    assert len(stages(tools, "rounds=3")) == 1 + 3 * 3 + 1
    names = [stage.name for stage in stages(tools)]
    assert names[2:4] == ["train_round1_fold0", "train_round1_fold1"] and len(set(names)) == len(names)


@pytest.mark.parametrize(
    "text, given, message",
    [
        (RECIPE, ["sede=2"], "'sede=2' is no value of .*; write NAME=VALUE; did you mean 'seed'"),
        (RECIPE, ["seed"], "'seed' is no value of"),
        (ROUNDS, ["rounds=0"], "the value rounds is 0; allowed: a whole number from 1 to 50"),
        (ROUNDS, ["rounds=2,3"], "the value rounds is 2,3; allowed"),
        (ROUNDS.replace("rounds: 2, ", ""), [], "the value rounds is nothing; allowed"),
        (ROUNDS.replace("--of {rounds}", "--of {round}"), [], r"stage test has \{round\}; did you mean 'rounds'"),
        (ROUNDS.replace("test:", "label:"), [], "two stages are called label"),
        (RECIPE.replace("{seed}", "{sede}"), [], r"stage draw has \{sede\}; did you mean 'seed'"),
        (RECIPE.replace("'{name}'", "'{name}"), [], "recipe.yml:4: stage train: No closing quotation"),
        ("VALUES: {a: 1}\n", [], "the block STAGES is empty"),
        ("", [], "expected keys and values"),
        (
            "STAGE: {a: b}\n",
            [],
            "recipe.yml:1: 'STAGE.a' is no name in the blocks VALUES and STAGES .nor ROUNDS and AFTER.",
        ),
        ("STAGES: {a: {b: c}}\n", [], "'STAGES.a.b' is no name"),
        ("STAGES: {a/b: c}\n", [], "'STAGES.a/b' is no name"),
    ],
)
def test_a_recipe_that_is_wrong(text, given, message, tools):
    (tools / "recipe.yml").write_text(text)
    with pytest.raises(UserError, match=message):
        stages(tools, *given)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_stages(str(tmp_path / "x.yml"), [], out="out")


@pytest.mark.parametrize(
    "recipe", [path for path in sorted((ROOT / "configs").glob("*/*.yml")) if "STAGES:" in path.read_text()], ids=str
)
def test_the_shipped_recipes_name_tools_and_configs(recipe):
    for stage in read_stages(str(recipe), [], out="out"):
        paths = [word for word in stage.words if word.startswith("configs/")]
        assert all((ROOT / path).is_file() for path in paths), stage
        assert stage.words[0] == "make_videos" or (ROOT / "tools" / f"{stage.words[0]}.py").is_file(), stage


# -------------------------------------------------------------------------------------------------------------- running
def test_each_stage_once_in_order(tools, tmp_path):
    lines: list[str] = []
    for _ in range(2):
        run_stages(stages(tools), tmp_path / "marks", tools, lines.append)
    assert [words[-1] for words in calls(tools)] == ["out/drawn", "out/fold_0", "out/fold_1", "out/end"]
    names = ["draw", "train_fold0", "train_fold1", "end"]
    assert [line.split(" in ")[0] for line in lines] == [
        *(f"{name}: done" for name in names),
        *(f"{name}: finished before," for name in names),
    ]
    assert "some lines" in (tmp_path / "marks" / "draw.log").read_text()


def test_it_goes_on_with_the_stage_that_failed(tools, tmp_path):
    (tools / "do.py").write_text("if '--fold' in sys.argv and '1' in sys.argv: sys.exit('error: no room')")
    with pytest.raises(RunStopped, match="stage train_fold1: error: no room .exit code 1; .*the same command goes on"):
        run_stages(stages(tools), tmp_path / "marks", tools)
    (tools / "do.py").write_text("")
    run_stages(stages(tools), tmp_path / "marks", tools)
    assert [words[-1] for words in calls(tools)][2:] == ["out/fold_1", "out/fold_1", "out/end"]


def test_wrong_input_of_a_tool_is_wrong_input(tools, tmp_path):
    (tools / "do.py").write_text("print('error: no such key', file=sys.stderr); sys.exit(2)")
    with pytest.raises(UserError, match=r"stage draw: no such key \(.*draw.log\)"):
        run_stages(stages(tools), tmp_path / "marks", tools)


def test_a_run_that_a_signal_has_ended_well_is_not_finished(tools, tmp_path):
    stage = [Stage("train", ["run_net"])]
    (tools / "do.py").write_text("print('Stopped by SIGTERM, saved; the same command goes on from there')")
    with pytest.raises(RunStopped, match="Stopped by SIGTERM, saved"):
        run_stages(stage, tmp_path / "marks", tools)
    (tools / "do.py").write_text("print('Results are in out')")
    run_stages(stage, tmp_path / "marks", tools)
    assert len(calls(tools)) == 2


def test_a_finished_stage_with_other_words(tools, tmp_path):
    run_stages(stages(tools), tmp_path / "marks", tools)
    with pytest.raises(UserError, match=r"stage draw is finished with other words \(now: 2\); take another --out"):
        run_stages(stages(tools, "seed=2"), tmp_path / "marks", tools)
    (tmp_path / "marks" / "end.done").write_text("{")
    with pytest.raises(UserError, match="end.done cannot be read: .*; delete it to do the stage again"):
        run_stages(stages(tools), tmp_path / "marks", tools)


@pytest.mark.parametrize("words", [["wirte"], ["../write"], ["write.py"], []])
def test_only_tools_are_run(words, tools, tmp_path):
    with pytest.raises(UserError, match="stage x: no tool '"):
        run_stages([Stage("x", words)], tmp_path / "marks", tools)
    assert not (tools / "calls.txt").exists()


@pytest.mark.slow
def test_a_killed_command_ends_its_tool_and_goes_on(tools, tmp_path):
    """SIGTERM to the command alone: its tool hears it, and no mark is left."""
    (tools / "do.py").write_text("time.sleep(60)")
    code = (
        "import sys; from pathlib import Path; from fragrant.launch import exit_code; "
        "from fragrant.launch.stages import *; a, b = map(Path, sys.argv[1:]); "
        "sys.exit(exit_code(lambda: run_stages(read_stages(str(a / 'recipe.yml'), [], out='o'), b, a), debug=False))"
    )
    line = [sys.executable, "-c", code, str(tools), str(tmp_path / "marks")]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 120
    while not (tools / "calls.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1 and error.startswith("stopped: by SIGTERM") and error.count("\n") == 1
    assert not list((tmp_path / "marks").glob("*.done"))
    (tools / "do.py").write_text("")
    run_stages(stages(tools, out="o"), tmp_path / "marks", tools)
    assert len(calls(tools)) == 5


def test_the_command(tmp_path, capsys):
    tool = load_tool("curriculum")
    recipe = ["--recipe", str(ROOT / "configs/dark6/curriculum.yml"), "--out", str(tmp_path / "out")]
    assert tool.start([*recipe, "--list", "clips=4", "fold=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("draw: make_videos --out ") and "--clips 4" in lines[0]
    assert any(line.startswith("finetune_fold3: ") or "DATA.FOLD 3" in line for line in lines)
    assert tool.start([*recipe, "clip=4"]) == 2 and "did you mean 'clips'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
