"""The same command several times: every run once, numbers over seeds and folds, a choice by validation alone."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from small_test import small_table
from tiny import environment

from fragrant.distributed.run_lock import RunLock
from fragrant.early import last_line
from fragrant.errors import RunStopped, UserError
from fragrant.experiments import command
from fragrant.experiments.command import Ways, experiment
from fragrant.launch.stages import StageStopped
from fragrant.report.run_folders import find_runs
from fragrant.scores import save_table

RUN_NET = '''
"""Notes its words; writes the validation that do.py says, and the score table that lies beside it."""
import json, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
with open(here / "calls.txt", "a") as file:
    file.write(json.dumps(words) + "\\n")
given = {}
for key, value in zip(words, words[1:]):
    given[key] = value
out = pathlib.Path(given["OUTPUT_DIR"])
out.mkdir(parents=True, exist_ok=True)
top1, protocol = 50.0, None
exec((here / "do.py").read_text())
if given["TRAIN.ENABLE"] == "True":
    with open(out / "metrics.jsonl", "w") as file:
        for epoch, value in ((1, top1 / 2), (2, top1)):
            record = {"_type": "val_epoch", "epoch": f"{epoch}/2", "top1_err": 100 - value, "time_diff": 1.5}
            record |= {"protocol": protocol} if protocol else {}
            file.write(json.dumps(record) + "\\n")
if given["TEST.ENABLE"] == "True":
    table = here / f"fold{given.get('DATA.FOLD', '')}.npz"
    shutil.copy(table if table.exists() else here / "whole.npz", out / "scores.npz")
    (out / "scores.json").write_text(json.dumps({"summary": {"top1": {"percent": 60.0}}}))
print("Results are in", out)
'''

NOTHING = dict(seeds=[], folds=0, varied=[], random=0, draw_seed=1)
LR = ["SOLVER.BASE_LR", "0.1", "0.01"]


@pytest.fixture(scope="session")
def tables(tmp_path_factory) -> Path:
    """Score tables of a test: of all videos, and of two folds."""
    folder = tmp_path_factory.mktemp("tables")
    table = small_table()
    save_table(folder / "whole.npz", table)
    for fold, rows in enumerate((slice(0, 4), slice(4, 10))):
        parts = {name: getattr(table, name)[rows] for name in ("ids", "labels", "logits", "present", "luma", "paths")}
        save_table(folder / f"fold{fold}.npz", replace(table, **parts))
    return folder


@pytest.fixture
def tools(tmp_path, tables) -> Path:
    folder = tmp_path / "tools"
    shutil.copytree(tables, folder)
    (folder / "run_net.py").write_text(RUN_NET)
    (folder / "do.py").write_text("")
    return folder


@pytest.fixture
def repeat(tools, tmp_path):
    """Runs an experiment with the tools of the test; the lines that it says."""

    def run(*more: str, ways: Ways = Ways(), out: str = "out", **asked) -> list[str]:  # noqa: B008 (a tuple)
        lines: list[str] = []
        words = ["SOLVER.MAX_EPOCH", "2", *more, "OUTPUT_DIR", str(tmp_path / out)]
        experiment(words, ["--seeds", "1"], NOTHING | asked, ways, tools, lines.append)
        return lines

    return run


def calls(tools) -> list[dict]:
    if not (tools / "calls.txt").exists():
        return []
    words = [json.loads(line) for line in (tools / "calls.txt").read_text().splitlines()]
    return [dict(zip(one, one[1:], strict=False)) for one in words]


def content(tmp_path) -> dict:
    return json.loads((tmp_path / "out/repeat.json").read_text())


# ---------------------------------------------------------------------------------------------------- seeds and folds
def test_seeds(repeat, tools, tmp_path):
    (tools / "do.py").write_text("top1 = 40.0 + 10 * int(given['RNG_SEED'])")
    lines = repeat(seeds=[1, 2, 3])
    assert [(call["RNG_SEED"], call["OUTPUT_DIR"], call["TEST.ENABLE"]) for call in calls(tools)] == [
        (str(seed), str(tmp_path / f"out/seed{seed}"), "True") for seed in (1, 2, 3)
    ]
    found = content(tmp_path)["settings"][0]
    assert found["validation"] == {"kind": "top-1", "mean": 60.0, "deviation": 10.0, "values": [50.0, 60.0, 70.0]}
    assert found["test"]["values"] == [60.0] * 3 and found["test"]["deviation"] == 0 and found["test"]["videos"] == 10
    assert [round(end, 1) for end in found["test"]["interval"]] == [31.3, 83.2]  # of ten videos, not of thirty
    assert [run["folder"] for run in found["runs"]] == ["seed1", "seed2", "seed3"]
    assert any(re.match(r" +3 +60.00 ± 10.00 % +top-1 60.00 ± 0.00 % +31.3 to 83.2 % +10$", line) for line in lines)
    assert 'href="seed2/"' in (tmp_path / "out/report.html").read_text()


def test_a_killed_command_leaves_no_run_behind_in_the_folder_of_all(tmp_path, monkeypatch):
    monkeypatch.setattr(RunLock, "release", lambda self: None)
    with command._alone(tmp_path, print):
        pass
    assert list(tmp_path.glob(".run*.lock")) and find_runs(tmp_path) == []


def test_what_is_finished_is_not_done_again(repeat, tools):
    repeat(seeds=[1, 2])
    lines = repeat("DATA_LOADER.NUM_WORKERS", "3", seeds=[1, 2])
    assert len(calls(tools)) == 2 and "[1/2] seed1: finished before: validation top-1 50.00 % (epoch 2)" in lines[0]
    assert repeat(seeds=[1, 2, 5])[0] == "seeds added: 5" and len(calls(tools)) == 3


def test_folds_are_pooled(repeat, tools, tmp_path):
    repeat(seeds=[1, 2], folds=2)
    assert [(c["RNG_SEED"], c["DATA.FOLDS"], c["DATA.FOLD"]) for c in calls(tools)] == [
        ("1", "2", "0"),
        ("1", "2", "1"),
        ("2", "2", "0"),
        ("2", "2", "1"),
    ]
    test = content(tmp_path)["settings"][0]["test"]
    assert test["videos"] == 10 and test["values"] == [60.0, 60.0]  # 2 of 4 and 4 of 6; not the mean of 50 and 66.7


# ---------------------------------------------------------------------------------------------------------- a search
def test_a_search_tests_the_chosen_setting_alone(repeat, tools, tmp_path):
    (tools / "do.py").write_text("top1 = 80.0 if given['SOLVER.BASE_LR'] == '0.01' else 40.0")
    lines = repeat(varied=[LR], seeds=[1, 2])
    told = [(c["SOLVER.BASE_LR"], c["RNG_SEED"], c["TRAIN.ENABLE"], c["TEST.ENABLE"]) for c in calls(tools)]
    trained = [(rate, seed, "True", "False") for rate in ("0.1", "0.01") for seed in "12"]
    assert told == [*trained, ("0.01", "1", "False", "True"), ("0.01", "2", "False", "True")]
    assert "chosen on validation (*): SOLVER.BASE_LR 0.01" in lines
    found = content(tmp_path)
    assert found["chosen"] == {"SOLVER.BASE_LR": "0.01"} and found["optimistic"] is None
    assert [setting["test"] is None for setting in found["settings"]] == [False, True]  # the best first
    repeat(varied=[LR], seeds=[1, 2])
    assert len(calls(tools)) == 6


def test_a_choice_on_test_videos_says_so(repeat, tools, tmp_path):
    (tools / "do.py").write_text("protocol = 'optimistic: the best epoch was picked on 3 of the 9 test videos'")
    lines = repeat(varied=[LR])
    note = "optimistic: the setting was picked on 3 of the 9 test videos"
    assert content(tmp_path)["optimistic"] == note and f"careful: {note}" in lines
    assert note in (tmp_path / "out/report.html").read_text()


def test_a_setting_that_cannot_be_trained_is_left_out(repeat, tools, tmp_path):
    (tools / "do.py").write_text(
        "if given['SOLVER.BASE_LR'] == '0.1': sys.exit('stopped: the loss was not finite for 10 steps')"
    )
    lines = repeat(varied=[LR])
    assert "[1/2] 01-BASE_LR_0.1: failed: the loss was not finite for 10 steps" in lines
    assert content(tmp_path)["chosen"] == {"SOLVER.BASE_LR": "0.01"} and lines[-1] == "failed: 01-BASE_LR_0.1"
    again = repeat(varied=[LR])
    assert "failed before" in again[0] and "delete it to try again" in again[0] and len(calls(tools)) == 3


def test_a_run_that_was_ended_is_no_failure(repeat, tools):
    (tools / "do.py").write_text(f"sys.exit({last_line(signal.SIGTERM)!r})")
    with pytest.raises(StageStopped, match="the same command goes on"):
        repeat(varied=[LR])
    (tools / "do.py").write_text("")
    assert repeat(varied=[LR])[-1].startswith("All runs") and len(calls(tools)) == 4


def test_without_a_search_a_failure_ends_the_command(repeat, tools):
    (tools / "do.py").write_text("if given['RNG_SEED'] == '2': sys.exit('stopped: it is broken')")
    with pytest.raises(StageStopped, match="stage seed2: stopped: it is broken"):
        repeat(seeds=[1, 2, 3])
    assert len(calls(tools)) == 2
    with pytest.raises(RunStopped, match="not trained yet: seed2, seed3"):
        repeat(seeds=[1, 2, 3], ways=Ways(collect=True))
    (tools / "do.py").write_text("")
    repeat(seeds=[1, 2, 3])
    assert [call["RNG_SEED"] for call in calls(tools)] == ["1", "2", "2", "3"]


# -------------------------------------------------------------------------------------------------------- what differs
@pytest.mark.parametrize(
    "more, asked, told",
    [
        (["SOLVER.BASE_LR", "0.2"], dict(seeds=[1, 2]), r"SOLVER.BASE_LR 0.2 \(before: 0.1\)"),
        (["TEST.NUM_SPATIAL_CROPS", "1"], dict(seeds=[1, 2]), r"TEST.NUM_SPATIAL_CROPS 1 \(before: 3\)"),
        ([], dict(seeds=[2, 3]), r"seeds \[2, 3\] \(before: \[1, 2\]\)"),
        ([], dict(seeds=[1, 2], folds=2), r"--folds 2 \(before: 0\)"),
        ([], dict(seeds=[1, 2], varied=[LR]), r"--vary SOLVER.BASE_LR \[\"0.1\", \"0.01\"\] \(before: none\)"),
    ],
)
def test_another_command_in_the_folder_is_refused(repeat, tools, tmp_path, more, asked, told):
    with pytest.raises(RunStopped, match="not trained yet"):
        repeat(seeds=[1, 2], ways=Ways(collect=True))
    before = (tmp_path / "out/experiment.json").read_bytes()
    with pytest.raises(UserError, match=f"holds another experiment: .*{told}.*; take another OUTPUT_DIR") as error:
        repeat(*more, **asked)
    assert "\n" not in str(error.value) and (tmp_path / "out/experiment.json").read_bytes() == before
    assert calls(tools) == []


def test_a_key_that_is_new_in_the_code_makes_no_other_experiment(repeat, tools, tmp_path):
    repeat(seeds=[1])
    record = tmp_path / "out/experiment.json"
    found = json.loads(record.read_text())
    del found["config"]["TRAIN.EARLY_STOP"]
    record.write_text(json.dumps(found))
    repeat("TRAIN.KEEP_LAST", "2", seeds=[1])
    assert len(calls(tools)) == 1
    record.write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"TRAIN.EARLY_STOP 3 \(before: 0\)"):
        repeat("TRAIN.EARLY_STOP", "3", seeds=[1])


@pytest.mark.parametrize(
    "more, asked, told",
    [
        ([], {}, "nothing to repeat: give --seeds, --folds or --vary"),
        ([], dict(seeds=[1, 1]), "--seeds 1 1: give different numbers"),
        ([], dict(folds=1), "--folds 1 must be 2 or more"),
        ([], dict(random=3), "--random 3: give a number above 0, and --vary"),
        ([], dict(varied=[LR, LR]), "--vary SOLVER.BASE_LR is given twice"),
        ([], dict(varied=[["SOLVER.BASE_LR", "-1"]]), "SOLVER.BASE_LR -1.0 must be above 0"),
        (["TRAIN.ENABLE", "False"], dict(seeds=[1]), "TRAIN.ENABLE False: the runs of an experiment train"),
        (["--weird"], dict(seeds=[1]), "behind --: unrecognized arguments: --weird"),
        (["--shard_id", "1"], dict(seeds=[1]), "--shard_id is for run_net.py alone"),
        ([], dict(seeds=list(range(1001))), "more than 1000 runs"),
    ],
)
def test_what_cannot_be(repeat, tools, more, asked, told):
    with pytest.raises(UserError, match=told):
        repeat(*more, **asked)
    assert calls(tools) == []


# ---------------------------------------------------------------------------------------------------------- a cluster
SRUN = '#!/usr/bin/env bash\nshift\nexec "$@"\n'
SBATCH = """#!/usr/bin/env bash
# runs what it is given at once, an array task by task; an srun without a cluster
echo "$@" >>"$HERE/sbatch.txt"
script="${@: -1}"
number=$(wc -l <"$HERE/sbatch.txt")
for word in "$@"; do case $word in --array=*) tasks=${word#--array=} ;; esac; done
if [[ -n ${tasks:-} ]]; then
    for ((i = ${tasks%-*}; i <= ${tasks#*-}; i++)); do SLURM_ARRAY_TASK_ID=$i bash "$script" >>"$HERE/log" 2>&1; done
else
    bash "$script" >>"$HERE/log" 2>&1
fi
echo "$number"
"""


def test_jobs(repeat, tools, tmp_path, monkeypatch):
    """submit.sh with an sbatch that runs the jobs at once; the step that collects is noted, and done here."""
    for name, text in (("sbatch", SBATCH), ("srun", SRUN)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tools / "repeat.py").write_text("import sys; open(__file__ + '.txt', 'a').write(repr(sys.argv[1:]) + '\\n')")
    for name, value in (("PATH", f"{tools}:{os.environ['PATH']}"), ("HERE", str(tools)), ("PYTHON", sys.executable)):
        monkeypatch.setenv(name, value)
    lines = repeat(varied=[LR], seeds=[1, 2], ways=Ways(slurm="submit", sbatch=["--partition", "g p u"]))
    assert lines[0].startswith("4 runs as jobs") and lines[1:] == [
        "runs: job 1",
        "collect: job 2",
        "tests: job 3",
        "collect: job 4",
    ]
    handed = (tools / "sbatch.txt").read_text().splitlines()
    assert handed[0] == "--parsable --array=0-3 --partition g p u runs.sbatch"
    assert handed[1] == "--parsable --dependency=afterany:1 --kill-on-invalid-dep=yes collect.sbatch"
    assert "--array=0-1 --dependency=afterok:2" in handed[2] and "afterany:3" in handed[3]
    assert [c["TEST.ENABLE"] for c in calls(tools)] == ["False"] * 4 and calls(tools)[0]["TRAIN.REQUEUE"] == "True"
    collect = eval((tools / "repeat.py.txt").read_text().splitlines()[0])
    assert collect[:4] == ["--seeds", "1", "--collect", "--"] and "OUTPUT_DIR" in collect
    repeat(varied=[LR], seeds=[1, 2], ways=Ways(collect=True))  # the first collection chooses, before the tests
    tests = (tmp_path / "out/slurm/tests.txt").read_text().splitlines()
    assert len(tests) == 2 and all("TRAIN.ENABLE False TEST.ENABLE True" in line for line in tests)
    for script in ("runs", "tests", "collect"):
        subprocess.run(["bash", "-n", str(tmp_path / f"out/slurm/{script}.sbatch")], check=True)


def test_only_what_is_left_is_submitted(repeat, tmp_path):
    repeat(seeds=[1, 2])
    with pytest.raises(RunStopped):
        repeat(seeds=[1, 2, 3, 4, 6], ways=Ways(collect=True))
    lines = repeat(seeds=[1, 2, 3, 4, 6], ways=Ways(slurm="write"))
    assert lines[-1].startswith("submit them with: bash ")
    assert "--array=2-4" in (tmp_path / "out/slurm/submit.sh").read_text()


# ------------------------------------------------------------------------------------------------------- the real thing
@pytest.mark.slow
@pytest.mark.parametrize("hard", [False, True])
def test_killed_and_gone_on(tmp_path, hard):
    """A search over two rates on two folds, ended in its second run: by SIGTERM, and so that nobody could tidy up."""
    words = """--vary SOLVER.BASE_LR 1e-4 1e-3 --folds 2 -- --cfg configs/demo/uniformer_xs.yaml SOLVER.MAX_EPOCH 1
        DEMO_SET.VIDEOS_PER_CLASS 4 DEMO_SET.TEST_VIDEOS_PER_CLASS 2 TRAIN.BATCH_SIZE 8 DATA_LOADER.NUM_WORKERS 0
        DATA.HOLD_OUT 0.5 TEST.NUM_ENSEMBLE_VIEWS 1 TEST.NUM_SPATIAL_CROPS 1 LOG_PERIOD 1""".split()
    places = ["DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    line = [sys.executable, str(ROOT / "tools/repeat.py"), *words, *places]
    options = dict(cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process = subprocess.Popen(line, **options)
    second = tmp_path / "out/01-BASE_LR_1e-4-fold1/stdout.log"
    deadline = time.monotonic() + 900
    while not (second.exists() and "train_iter" in second.read_text()):
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == (-signal.SIGKILL if hard else 1)
    done = subprocess.run(line, timeout=1800, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "01-BASE_LR_1e-4-fold0: finished before" in done.stdout and "chosen on validation (*)" in done.stdout
    found = json.loads((tmp_path / "out/repeat.json").read_text())
    assert found["settings"][0]["test"]["videos"] == 24 and found["settings"][1]["test"] is None
