"""Files of a run: a disk that fills up and frees again, places that nothing can be written to, what is read before the
training, a test list without classes."""

import contextlib
import errno
import json
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import torch
from support.full_disk import FullDisk
from tiny import TINY, command, environment, run_here

from fragrant.config import load_cfg
from fragrant.engine import testing, training
from fragrant.engine.outputs import Outputs
from fragrant.errors import UserError
from fragrant.logs import RunLog

RUN = [*TINY, "SOLVER.MAX_EPOCH", "3", "TEST.TEST_BEST", "True", "TENSORBOARD.ENABLE", "True", "SOLVER.BASE_LR", "1e-2"]
OUTPUTS = ["scores.npz", "scores.json", "scores.csv", "4x32x3x2.pkl", "report.html"]


@contextlib.contextmanager
def full_in(disk: FullDisk, epochs: set[int]):
    """The disk is full from the middle of these epochs (0-based) to their end, with the checkpoint and validation."""
    before = training.train_one_epoch

    def train_one_epoch(*parts, epoch, **options):
        before(*parts, epoch=epoch, **options)
        disk.full = epoch in epochs

    with disk, mock.patch.object(training, "train_one_epoch", train_one_epoch):
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run on a good disk ("good"), and one whose disk is full for two epochs ("full")."""
    folder = tmp_path_factory.mktemp("disk")
    words = [*RUN, "DATA.PATH_TO_DATA_DIR", folder / "demo"]
    done = {"good": run_here(*words, "OUTPUT_DIR", folder / "good")}
    with full_in(FullDisk(folder / "full"), {0, 1}):
        done["full"] = run_here(*words, "OUTPUT_DIR", folder / "full")
    return folder, done


def weights(folder, name):
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def test_training_goes_on_and_nothing_is_lost(runs):
    folder, done = runs
    assert [d.returncode for d in done.values()] == [0, 0], done["full"].stderr
    said = done["full"].stdout
    for name in ("stdout.log", "metrics.jsonl"):
        assert said.count(f"{name}' cannot be written: No space left on device; the run goes on") == 1
        assert said.count(f"{name}' is written again") == 1
    assert said.count("NOT SAVED: cannot write checkpoint") >= 2 and "No space left" in said
    kinds = [[json.loads(line).get("_type") for line in (folder / name / "metrics.jsonl").open()] for name in done]
    assert kinds[0] == kinds[1]
    names = [sorted(os.listdir(folder / name / "checkpoints")) for name in done]
    assert set(names[0]) - set(names[1]) == {"checkpoint_epoch_00001.pyth", "checkpoint_epoch_00002.pyth"}
    assert not [name for name in os.listdir(folder / "full") if name.endswith(".tmp")]


def test_the_weights_and_scores_are_those_of_a_good_disk(runs):
    folder, done = runs
    for name in ("best.pyth", "checkpoint_epoch_00003.pyth"):
        good, full = (weights(folder / run, name) for run in done)
        assert good["best"] == full["best"] and good["epoch"] == full["epoch"]
        assert all(torch.equal(good["model_state"][key], full["model_state"][key]) for key in good["model_state"])
    tables = [np.load(folder / run / "scores.npz") for run in done]
    assert np.array_equal(tables[0]["logits"], tables[1]["logits"])


@pytest.mark.slow
def test_a_best_checkpoint_that_waits_in_memory_is_that_of_its_epoch(tmp_path, runs):
    """Only best.pyth fails, until the end: the copy is not that of the weights which were trained on."""
    folder, _ = runs
    tried: list[int] = []
    before = training.Saver.keep_best

    def keep_best(saver, finished, best):
        with mock.patch("fragrant.engine.saving.save_best", side_effect=OSError(errno.ENOSPC, "No space left")):
            before(saver, finished, best)
        tried.append(finished)

    def too_early(saver):
        return None

    late = mock.patch.object(training.Saver, "_write_late_best", too_early)
    finish = training.Saver.finish

    def at_the_end(saver):
        late.stop()
        finish(saver)

    late.start()
    with (
        mock.patch.object(training.Saver, "keep_best", keep_best),
        mock.patch.object(training.Saver, "finish", at_the_end),
    ):
        done = run_here(*RUN, "DATA.PATH_TO_DATA_DIR", folder / "demo", "OUTPUT_DIR", tmp_path, "TEST.ENABLE", "False")
    assert done.returncode == 0 and tried and "best.pyth is written now" in done.stdout, done.stderr
    good, kept = weights(folder / "good", "best.pyth"), weights(tmp_path, "best.pyth")
    assert kept["epoch"] + 1 == tried[-1] and good["best"] == kept["best"]
    assert all(torch.equal(good["model_state"][key], kept["model_state"][key]) for key in good["model_state"])


def test_a_test_without_room_says_its_numbers_and_what_is_missing(tmp_path, runs):
    folder, done = runs
    before = testing.score

    def score(*parts, **options):
        disk.full = True
        return before(*parts, **options)

    checkpoint = folder / "good" / "checkpoints" / "best.pyth"
    words = ["DATA.PATH_TO_DATA_DIR", folder / "demo", "TEST.CHECKPOINT_FILE_PATH", checkpoint, "OUTPUT_DIR", tmp_path]
    with FullDisk(tmp_path) as disk, mock.patch.object(testing, "score", score):
        tested = run_here(*TINY, *words, "TRAIN.ENABLE", "False")
    assert tested.returncode == 1 and "Test: top-1" in tested.stdout
    assert tested.stderr.startswith("stopped: not written: ") and tested.stderr.count("\n") == 1
    assert all(name in tested.stderr for name in ("scores.npz", "scores.json", "scores.csv", "report.html"))
    assert "Results are in" not in tested.stdout
    assert not [name for name in os.listdir(tmp_path) if name.startswith(("scores", "report"))]


def test_what_waits_is_written_when_there_is_room(tmp_path):
    with RunLog() as log, FullDisk(tmp_path) as disk:
        outputs = Outputs(log)

        def write(name):
            return lambda: (tmp_path / name).write_text(name)

        disk.full = True
        outputs.write("a", write("a"))
        disk.full = False
        outputs.write("b", write("b"))
        assert (tmp_path / "a").read_text() == "a" and (tmp_path / "b").read_text() == "b"
        assert outputs.missing() == ""
        disk.full = True
        outputs.write("c", write("c"))
        assert outputs.missing().startswith("not written: c (") and "No space left" in outputs.missing()
        disk.full = False
        assert outputs.missing() == ""
        with pytest.raises(ZeroDivisionError):
            outputs.write("d", lambda: 1 / 0)


@pytest.mark.parametrize("name", ["scores.npz", "scores.json", "scores.csv", "report.html", "more/own.pkl"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_places_are_looked_at(tmp_path, name, make):
    cfg = load_cfg(None, [*map(str, TINY), "OUTPUT_DIR", str(tmp_path), "TEST.SAVE_RESULTS_PATH", "more/own.pkl"])
    testing.check_outputs(cfg)
    make(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}' cannot be written: "):
        testing.check_outputs(cfg)


@pytest.mark.parametrize("name", ["checkpoints/best.pyth", pytest.param("report.html", marks=pytest.mark.slow)])
def test_places_are_looked_at_before_the_training(tmp_path, runs, name):
    (tmp_path / name).mkdir(parents=True)
    with mock.patch.object(training, "one_epoch", side_effect=AssertionError("trained")):
        done = run_here(*TINY, "DATA.PATH_TO_DATA_DIR", runs[0] / "demo", "OUTPUT_DIR", tmp_path)
    assert done.returncode == 2 and f"{name}' cannot be written: " in done.stderr and done.stderr.count("\n") == 1


# -------------------------------------------------------------------------------------------- read first
LISTS = ["TRAIN.DATASET", "video_list", "TEST.DATASET", "video_list"]


@pytest.fixture
def demo(runs):
    """A folder with the demo set, and weights trained on it."""
    return runs[0]


@pytest.fixture
def lists(demo, tmp_path):
    """The set's lists, to be spoilt; the videos stay where they are."""
    for name in ("train.csv", "val.csv", "test.csv", "classes.txt"):
        (tmp_path / name).write_text((demo / "demo" / name).read_text())
    return tmp_path


def words(demo, lists, *more):
    where = ["DATA.PATH_TO_DATA_DIR", lists, "DATA.PATH_PREFIX", demo / "demo", "OUTPUT_DIR", lists / "out"]
    return [*TINY, *LISTS, *where, *more]


def in_place_of(make):
    def spoil(path):
        path.unlink()
        make(path)

    return spoil


SPOILT = {
    "missing": (lambda path: path.unlink(), "no test list '"),
    "empty": (lambda path: path.write_text("\n# nothing\n"), "test.csv' has no rows"),
    "a folder": (in_place_of(os.mkdir), "test.csv' cannot be read: Is a directory"),
    "a pipe": (in_place_of(os.mkfifo), "test.csv' cannot be read: it is a named pipe, not a file"),
    "a device": (in_place_of(lambda path: path.symlink_to("/dev/zero")), "it is a device, not a file"),
    "a class too many": (lambda path: path.write_text("videos/x.mp4 6\n"), "test.csv:1: label 6 is not in 0..5"),
    "elsewhere": (lambda path: path.write_text("nowhere/x.mp4 1\n"), "the videos of this list are not there"),
    "binary": (lambda path: path.write_bytes(b"\x00\x01 1\n"), "test.csv:1: the path holds a NUL byte"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_test_list_is_read(demo, lists, kind):
    spoil, message = SPOILT[kind]
    cfg = load_cfg(None, [str(word) for word in words(demo, lists)])
    testing.check_test(cfg, None)
    spoil(lists / "test.csv")
    with pytest.raises(UserError) as error:
        testing.check_test(cfg, None)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [[*SPOILT][0], *(pytest.param(k, marks=pytest.mark.slow) for k in [*SPOILT][1:])])
def test_a_test_list_is_read_before_the_training(demo, lists, kind):
    spoil, message = SPOILT[kind]
    spoil(lists / "test.csv")
    with mock.patch.object(training, "one_epoch", side_effect=AssertionError("trained")):
        done = run_here(*words(demo, lists))
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("kind", ["missing", "a folder", "a pipe", "damaged", "of another model"])
def test_weights_to_test_are_read(demo, lists, kind):
    path = lists / "weights.pyth"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "damaged":
        path.write_bytes(b"PK\x03\x04")
    elif kind == "of another model":
        torch.save({"model_state": {"a.weight": torch.zeros(2, 2)}}, path)
    cfg = load_cfg(None, [str(word) for word in words(demo, lists, "TEST.CHECKPOINT_FILE_PATH", path)])
    with pytest.raises(UserError, match="weights.pyth"):
        testing.check_test(cfg, None)


def test_other_classes_are_seen_before_the_training(demo, lists, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "test.csv").write_text((lists / "test.csv").read_text())
    (other / "classes.txt").write_text("\n".join(reversed((lists / "classes.txt").read_text().split())) + "\n")
    cfg = load_cfg(None, [str(word) for word in words(demo, lists, "DATA.TEST_LIST", other / "test.csv")])
    with pytest.raises(UserError, match="class 0 is 'jump' in the training list, but "):
        testing.check_test(cfg, (lists / "classes.txt").read_text().split())


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device"])
def test_class_names_are_not_waited_for(demo, lists, kind):
    SPOILT[kind][0](lists / "classes.txt")
    cfg = load_cfg(None, [str(word) for word in words(demo, lists)])
    with pytest.raises(UserError, match="classes.txt' .DATA.CLASSES_FILE. cannot be read: "):
        testing.check_test(cfg, None)


def unlabelled(text: str, form: str) -> str:
    return "".join(f"{line.split()[0]}{' -1' if form == '-1' else ''}\n" for line in text.splitlines())


@pytest.mark.parametrize("form", ["path", pytest.param("-1", marks=pytest.mark.slow)])
def test_a_list_without_classes_gets_scores(demo, lists, form):
    (lists / "test.csv").write_text(unlabelled((lists / "test.csv").read_text(), form))
    weights = demo / "good" / "checkpoints" / "best.pyth"
    given = words(demo, lists, "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights)
    done = run_here(*given)
    assert done.returncode == 0, done.stderr
    assert (
        "no labels, no report" in done.stdout and "Results are in" in done.stdout and "nan" not in done.stdout.lower()
    )
    out = lists / "out"
    with np.load(out / "scores.npz") as table:
        assert len(table["paths"]) == 6 and set(table["labels"]) == {-1} and np.isfinite(table["logits"]).all()
    assert len((out / "scores.csv").read_text().splitlines()) == 7 and not (out / "report.html").exists()
    assert json.loads((out / "scores.json").read_text())["summary"]["videos"] == 0
    record = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["split"] == "test_final" and record["labelled"] == 0 and record["videos"] == 6
    labelled = run_here(*words(demo, demo / "demo", "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights))
    assert labelled.returncode == 0
    with np.load(out / "scores.npz") as one, np.load(demo / "demo" / "out" / "scores.npz") as other:
        assert np.array_equal(one["logits"], other["logits"])
    tool = run_here(out / "scores.npz", tool="ensemble")
    assert tool.returncode == 0 and "no video with a known class" in tool.stdout


@pytest.mark.slow
def test_so_it_does_on_two_processes(demo, lists):
    (lists / "test.csv").write_text(unlabelled((lists / "test.csv").read_text(), "path"))
    weights = demo / "good" / "checkpoints" / "best.pyth"
    given = words(demo, lists, "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*start, *command(*given)[1:]], capture_output=True, text=True, env=environment(), timeout=600
    )
    assert done.returncode == 0 and done.stdout.count("no labels, no report") == 1, done.stderr
    with np.load(lists / "out" / "scores.npz") as table:
        assert len(table["paths"]) == 6


LINES = ['{"_type":"train_epoch"}', '{"_type":"val_epoch","epoch":"x/y"}', "[" * 5000, "\udcff", "no JSON", '{"_type"']


@pytest.mark.parametrize("line", [LINES[0], *(pytest.param(line, marks=pytest.mark.slow) for line in LINES[1:])])
def test_a_damaged_log_does_not_end_a_finished_test(demo, tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(f"{line}\n".encode(errors="surrogateescape"))
    (tmp_path / "config.yaml").write_bytes(b"\xff: [")
    weights = demo / "good" / "checkpoints" / "best.pyth"
    given = words(
        demo, demo / "demo", "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights, "OUTPUT_DIR", tmp_path
    )
    done = run_here(*given)
    assert done.returncode == 0 and (tmp_path / "report.html").exists(), done.stderr
