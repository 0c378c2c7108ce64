"""Pseudo-labels of an unlabelled list, training on them, and what the numbers are called."""

import json
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
import torch
from conftest import load_tool
from tiny import TINY, run_here

SHORT = "SOLVER.MAX_EPOCH 1 TEST.NUM_SPATIAL_CROPS 1".split()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A folder with a trained network (source), and the pseudo-labels that it gives four test and six training
    videos."""
    out = tmp_path_factory.mktemp("pseudo")
    data = ["DATA.PATH_TO_DATA_DIR", str(out / "demo")]
    done = run_here(*TINY, *SHORT, *data, "TEST.ENABLE", "False", "OUTPUT_DIR", str(out / "source"))
    assert done.returncode == 0, done.stderr
    rows = [
        f"{name.split()[0]} 77"
        for split, count in (("test", 4), ("train", 6))
        for name in (out / f"demo/{split}.csv").read_text().splitlines()[:count]
    ]
    (out / "demo/dark.csv").write_text("".join(f"{row}\n" for row in rows))
    return out


def label(run: Path, *more: str, out: str = "labels"):
    words = ["--checkpoint", str(run / "source/checkpoints/best.pyth"), "--list", str(run / "demo/dark.csv")]
    return run_here(tool="pseudo_label", arguments=(*words, "--out", str(run / out), *more))


def test_labels_then_training_then_a_transductive_number(run):
    before = (run / "demo/dark.csv").read_text()
    done = label(run, "--top-share", "0.6", "BN.ADAPT_LIST", "dark.csv")
    assert done.returncode == 0, done.stderr
    assert "the labels of 10 of its rows are not read" in done.stdout and (run / "demo/dark.csv").read_text() == before
    header, *rows = (run / "labels/pseudo.csv").read_text().splitlines()
    assert header == "path,p0,p1,p2,p3,p4,p5" and 0 < len(rows) < 10
    about = json.loads((run / "labels/pseudo.about.json").read_text())
    assert len(about["seen"]) == 10 and about["rule"] == "top share 0.6 of each predicted class"
    assert sum(of["kept"] for of in about["classes"]) == len(rows)
    assert f"{len(rows)} of 10 videos are in " in done.stdout and (run / "labels/scores.npz").is_file()

    data = ["DATA.PATH_TO_DATA_DIR", str(run / "demo"), "DATA.EXTRA_TRAIN_LIST", str(run / "labels/pseudo.csv")]
    mix = "MIXUP.ENABLE True MIXUP.PROB 1.0".split()
    done = run_here(*TINY, *SHORT, *data, *mix, "OUTPUT_DIR", str(run / "both"))
    assert done.returncode == 0, done.stderr
    assert f"{len(rows)} of {12 + len(rows)} training videos have probabilities as targets" in done.stdout
    note = "transductive: pseudo-labels that were trained on are made of 4 of the 6 test videos, without their labels"
    assert json.loads((run / "both/scores.json").read_text())["summary"]["protocol"] == note
    assert f"Test ({note})" in done.stdout and note in (run / "both/report.html").read_text()

    # what is fine-tuned from it, or labelled by it, has met them as well
    start = ["TRAIN.CHECKPOINT_FILE_PATH", str(run / "both/checkpoints/best.pyth")]
    done = run_here(*TINY, *SHORT, *data[:2], *start, "TRAIN.CHECKPOINT_EPOCH_RESET", "True", "OUTPUT_DIR", run / "on")
    assert done.returncode == 0 and f"Test ({note})" in done.stdout, done.stderr
    state = torch.load(run / "on/checkpoints/best.pyth", weights_only=True)
    assert len(state["pseudo_labelled"]) == 10 and "adapted_on" not in state
    (run / "demo/few.csv").write_text("".join(f"{row}\n" for row in before.splitlines()[8:]))
    words = ["--checkpoint", str(run / "on/checkpoints/best.pyth"), "--list", str(run / "demo/few.csv")]
    done = run_here(tool="pseudo_label", arguments=(*words, "--threshold", "0", "--out", str(run / "few")))
    assert done.returncode == 0, done.stderr
    assert len(json.loads((run / "few/pseudo.about.json").read_text())["seen"]) == 10


@pytest.mark.slow
def test_validation_on_guesses_is_called_so(run):
    assert label(run, "--threshold", "0", out="all").returncode == 0
    data = ["DATA.PATH_TO_DATA_DIR", str(run / "demo"), "DATA.TRAIN_LIST", str(run / "all/pseudo.csv")]
    words = ["DATA.HOLD_OUT", "0.4", "DATA.TEST_LIST", str(run / "all/pseudo.csv")]
    done = run_here(*TINY, *SHORT, *data, *words, "OUTPUT_DIR", str(run / "guess"))
    assert done.returncode == 0, done.stderr
    assert "validation: against guesses: the labels of" in done.stdout + done.stderr
    assert "; against guesses: the labels of 10 of the 10 videos are the likeliest class" in done.stdout


@pytest.mark.parametrize(
    "words, code, told",
    [
        (["--top-share", "2"], 2, "--top-share 2 is not between 0 and 1"),
        (["--threshold", "0.5,0.5"], 2, "--threshold has 2 numbers; allowed: 1, or one for each of the 6 classes"),
        (["--temperature", "inf"], 2, "--temperature inf must be above 0 and finite"),
        (["--threshold", "1"], 1, "no video passes the rule (threshold 1)"),
        (["--list", "none.csv"], 2, "none.csv' cannot be read: No such file"),
    ],
)
def test_what_cannot_be_is_one_line(run, words, code, told):
    done = label(run, *words, out="wrong")
    assert done.returncode == code and told in done.stderr.strip().splitlines()[-1], done.stderr


def test_a_list_is_not_written_over(run):
    (run / "own").mkdir()
    text = (run / "demo/dark.csv").read_text()
    (run / "own/pseudo.csv").write_text(text)
    done = label(run, "--list", str(run / "own/pseudo.csv"), out="own")
    told = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "is itself pseudo.csv of --out" in told, done.stderr
    assert (run / "own/pseudo.csv").read_text() == text


def test_thresholds_that_are_no_numbers(run):
    with pytest.raises(SystemExit) as stopped:
        label(run, "--threshold", "0.5,x")
    assert stopped.value.code == 2
    with pytest.raises(ArgumentTypeError, match="'0.5,x' is no number, nor numbers with commas between"):
        load_tool("pseudo_label")._numbers("0.5,x")


@pytest.mark.parametrize(
    "words, told",
    [
        (["BN.ADAPT_LIST", "none.csv"], "none.csv' cannot be read: No such file"),
        (["TEST.ADAPT", "vitta", "TEST.ADAPT_STATISTICS", "none.npz"], "TEST.ADAPT_STATISTICS 'none.npz' cannot be"),
    ],
)
def test_a_wrong_adaptation_is_found_before_the_training(run, words, told):
    out = run / f"early_{words[1]}"
    done = run_here(*TINY, *SHORT, "DATA.PATH_TO_DATA_DIR", str(run / "demo"), *words, "OUTPUT_DIR", str(out))
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert not list(out.glob("checkpoints/*.pyth"))
