"""Keys of SlowFast from the command line: several numbers of clips in one test, pictures of classes, random rates."""

import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY, run_here

from fragrant.scores import load_table

COUNTS = "TEST.NUM_TEMPORAL_CLIPS [3,1,2]".split()


def run(folder: Path, out: str, *pairs: str):
    return run_here(*TINY, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / out), *pairs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A training with the pictures, on which the tests of the others stand."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "subset.txt").write_text("jump\nrun\n")
    (folder / "categories.json").write_text('{"on the ground": ["sit", "stand"]}')
    board = f"""TENSORBOARD.ENABLE True TENSORBOARD.CONFUSION_MATRIX.ENABLE True TENSORBOARD.HISTOGRAM.ENABLE True
        TENSORBOARD.CONFUSION_MATRIX.SUBSET_PATH {folder}/subset.txt TENSORBOARD.CATEGORIES_PATH {folder}/categories.json
        TENSORBOARD.HISTOGRAM.SUBSET_PATH {folder}/subset.txt TENSORBOARD.HISTOGRAM.TOPK 3""".split()
    more = """SOLVER.MAX_EPOCH 1 DATA.TRAIN_JITTER_FPS 15 DATA.TRAIN_JITTER_MOTION_SHIFT True UNIFORMER.HEAD_DROPOUT_RATE 0.5
        DATA.TRAIN_JITTER_SCALES_RELATIVE [0.3,1.0] DATA.TRAIN_JITTER_ASPECT_RELATIVE [0.75,1.3333] SOLVER.CLIP_GRAD_VAL 0.1
        TRAIN.KILL_LOSS_EXPLOSION_FACTOR 100""".split()
    done = run(folder, "run", *board, *more, *COUNTS)
    assert done.returncode == 0, done.stderr
    assert "#Frame = 4 x 3 x 3: up to 18 forward passes per video, for 1, 2 and 3 clips together" in done.stdout
    return folder


def test_each_number_of_clips_is_reported_as_a_test_of_its_own(folder):
    out = folder / "run"
    weights = out / "checkpoints" / "checkpoint_epoch_00001.pyth"
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    tested = [line for line in lines if line.get("split") == "test_final"]
    assert [line["views"] for line in tested] == ["4x3x1", "4x3x2", "4x3x3"]
    for count, name in ((1, "scores_1x3"), (2, "scores_2x3"), (3, "scores")):
        alone = ["TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", str(weights)]
        done = run(folder, f"alone_{count}", *alone, "TEST.NUM_ENSEMBLE_VIEWS", str(count))
        assert done.returncode == 0, done.stderr
        ours, theirs = load_table(out / f"{name}.npz"), load_table(folder / f"alone_{count}" / "scores.npz")
        assert ours.views == theirs.views and ours.paths == theirs.paths and len(ours.views) == 3 * count
        torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-5, atol=1e-6)
        assert ours.header["frames"] == theirs.header["frames"] == f"4x3x{count}"
        assert (out / f"{name}.json").is_file() and (out / f"4x32x{count}x3.pkl").is_file()
        summary, other = (
            json.loads(path.read_text())["summary"]
            for path in (out / f"{name}.json", folder / f"alone_{count}" / "scores.json")
        )
        assert summary["top1"] == other["top1"] if "top1" in summary else summary.keys() == other.keys()
    assert len(list(out.glob("report.html"))) == 1


def test_the_pictures_of_classes(folder):
    (events,) = (folder / "run").glob("runs-*")
    board = EventAccumulator(str(events), size_guidance={"images": 0, "tensors": 0})
    board.Reload()
    tags = {*board.Tags()["images"], *board.Tags()["tensors"]}
    wanted = {"Val/confusion", "Val/confusion of the subset", "Val/confusion/on the ground"}
    assert wanted | {"Val/taken for/jump", "Val/taken for/run"} <= tags and "Val/taken for/sit" not in tags


@pytest.mark.parametrize(
    "key, text, message",
    [
        ("CONFUSION_MATRIX.SUBSET_PATH", "jumpp\n", "'jumpp' is no class; did you mean 'jump'?"),
        ("HISTOGRAM.SUBSET_PATH", "\n", "names no class; allowed: one per line"),
        ("CATEGORIES_PATH", "[1]", 'must be {"category": ["class", ...], ...}'),
        ("CATEGORIES_PATH", '{"a": 3}', "'a' must be a list of classes"),
        ("CLASS_NAMES_PATH", '{"a": 1', "is no JSON"),
        ("CLASS_NAMES_PATH", '{"a": 1}', "must give each of the numbers 0 to 5 (MODEL.NUM_CLASSES 6) to one class"),
        ("CLASS_NAMES_PATH", None, "cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_file_of_classes_is_one_line(folder, tmp_path, key, text, message):
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
    done = run_here(
        *TINY,
        "DATA.PATH_TO_DATA_DIR",
        str(folder / "demo"),
        "OUTPUT_DIR",
        str(tmp_path / "out"),
        f"TENSORBOARD.{key}",
        str(path),
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"TENSORBOARD.{key} '{path}'" in done.stderr and message in done.stderr
    assert not list((tmp_path / "out").glob("checkpoints/*.pyth"))
