"""A run over a list with broken files, as a user types it: what it does, and what it says."""

import json

import numpy as np
import pytest
from tiny import TINY, run_here

from fragrant.synthetic.demo_set import encode

BROKEN = (b"", b"<html>404</html>", "half", None)  # no bytes, a web page, a torn file, no file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """20 training videos of 2 classes, 2 of them broken (10 %); 8 test videos, 2 of them broken."""
    folder = tmp_path_factory.mktemp("set")
    for split, count, broken in (("train", 20, (3, 12)), ("val", 4, ()), ("test", 8, (1, 6))):
        rows = []
        for number in range(count):
            path = folder / f"{split}{number}.mp4"
            encode(path, np.random.RandomState(number).randint(0, 256, (12, 48, 64, 3)).astype(np.uint8))
            if number in broken:
                damage = BROKEN[broken.index(number) + (2 if split == "test" else 0)]
                path.unlink() if damage is None else path.write_bytes(
                    path.read_bytes()[:600] if damage == "half" else damage
                )
            rows.append(f"{path.name} {number % 2}\n")
        (folder / f"{split}.csv").write_text("".join(rows))
    return folder


def run(folder, output, *pairs, workers=0):
    lists = [
        "TRAIN.DATASET",
        "kinetics",
        "TEST.DATASET",
        "kinetics",
        "DATA.PATH_TO_DATA_DIR",
        folder,
        "DATA.PATH_PREFIX",
        folder,
        "MODEL.NUM_CLASSES",
        2,
    ]
    return run_here(*TINY, *lists, "DATA_LOADER.NUM_WORKERS", workers, "OUTPUT_DIR", output, *pairs)


@pytest.mark.parametrize("workers", [0, 2])
def test_it_trains_to_the_end_and_says_what_it_skipped(folder, tmp_path, workers):
    done = run(folder, tmp_path, "TEST.ENABLE", "False", workers=workers)
    assert done.returncode == 0, done.stderr
    for number, reason in ((3, "train.csv:4"), (12, "train.csv:13")):
        why = f"Invalid data found when processing input ({folder}/{reason})"
        line = f"video '{folder}/train{number}.mp4' cannot be read: {why}"
        assert done.stdout.count(line) == 1  # two epochs, named once
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    skipped = [record for record in records if record["_type"] == "skipped"]
    assert [record["pass"] for record in skipped] == ["training epoch 1/2", "training epoch 2/2"]
    assert all(record["paths"] == [str(folder / "train3.mp4"), str(folder / "train12.mp4")] for record in skipped)
    assert (tmp_path / "checkpoints" / "checkpoint_epoch_00002.pyth").exists()


def test_it_stops_above_the_allowed_share_in_one_line(folder, tmp_path):
    done = run(folder, tmp_path, "DATA.MAX_BAD_FRACTION", "0.05")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "stopped: 2 of 20 training videos cannot be read, more than DATA.MAX_BAD_FRACTION 0.05 allows; the last: "
    )
    assert done.stderr.count("\n") == 1


def test_a_test_writes_the_scores_of_the_others_and_fails_unless_allowed(folder, tmp_path):
    done = run(folder, tmp_path, "SOLVER.MAX_EPOCH", "1")
    assert done.returncode == 1
    assert done.stderr == (
        f"stopped: 2 of 8 test videos cannot be read and have no scores: {folder}/test1.mp4, {folder}/test6.mp4; "
        "those of the others are written; TEST.ALLOW_MISSING True accepts that\n"
    )
    with np.load(tmp_path / "scores.npz") as table:
        assert table["ids"].tolist() == [0, 2, 3, 4, 5, 7]
        assert table["paths"].tolist() == [str(folder / f"test{number}.mp4") for number in (0, 2, 3, 4, 5, 7)]
        assert table["labels"].tolist() == [0, 0, 1, 0, 1, 1]
    allowed = run(folder, tmp_path, "TRAIN.ENABLE", "False", "TEST.ALLOW_MISSING", "True")
    assert allowed.returncode == 0, allowed.stderr
    assert f"video '{folder}/test6.mp4' cannot be read: no such file ({folder}/test.csv:7)" in allowed.stdout


def test_a_test_of_nothing_readable(folder, tmp_path):
    run(folder, tmp_path, "SOLVER.MAX_EPOCH", "1", "TEST.ENABLE", "False")
    (folder / "none.csv").write_text("test1.mp4 0\ntest6.mp4 1\n")
    done = run(folder, tmp_path, "TRAIN.ENABLE", "False", "DATA.TEST_LIST", "none.csv", "TEST.ALLOW_MISSING", "True")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"stopped: test: not one of 2 videos can be read; the first: video '{folder}/test1.mp4' cannot be read: "
    )
