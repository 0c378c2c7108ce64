"""A run of pairs from the command line: trained, taken up again, tested with both streams and with one, checked,
exported; and what is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from make_video import encode
from test_objectives_run import checkpoint, same
from tiny import TINY, run_here

from fragrant.scores import load_table

NET = "MODEL.MODEL_NAME DualStream DUAL.BACKBONE Uniformer DUAL.NUM_HEADS 4 DUAL.FUSION cross DUAL.MODALITY_DROPOUT 0.5"
COLOR, THERMAL = "DATA.COLOR_PATH_TO_DATA_DIR", "DATA.THERMAL_PATH_TO_DATA_DIR"


def words(folder: Path, out: str, text: str = "", *, color: str = "color", thermal: str = "thermal") -> list[str]:
    lists = [COLOR, str(folder / color), THERMAL, str(folder / thermal)]
    return [*TINY, *NET.split(), *lists, "OUTPUT_DIR", str(folder / out), *text.split()]


def run(*pairs: str):
    done = run_here(*pairs)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("paired")
    run(*words(folder, "both", "SOLVER.MAX_EPOCH 1 TEST.NUM_ENSEMBLE_VIEWS 1"))
    return folder


def best(folder: Path) -> str:
    return str(folder / "both" / "checkpoints" / "best.pyth")


def logits(folder: Path, out: str) -> np.ndarray:
    return np.load(folder / out / "scores.npz")["logits"]


def test_both_sets_are_made_and_every_video_is_scored(folder):
    assert json.loads((folder / "thermal" / "demo_set.json").read_text())["thermal"]
    assert "thermal" not in json.loads((folder / "color" / "demo_set.json").read_text())
    for split in ("train", "val", "test"):
        assert (folder / "color" / f"{split}.csv").read_text() == (folder / "thermal" / f"{split}.csv").read_text()
    rows = [json.loads(line) for line in (folder / "both" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["split"] == "test_final" and rows[-1]["videos"] == 6
    paths = np.load(folder / "both" / "scores.npz")["paths"]
    assert all(str(path).startswith(str(folder / "color")) for path in paths)
    assert (folder / "both" / "report.html").exists()


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_uninterrupted_one(folder):
    run(*words(folder, "straight", "TEST.ENABLE False"))
    first = folder / "resumed" / "checkpoints"
    first.mkdir(parents=True)
    name = "checkpoint_epoch_00001.pyth"
    (first / name).write_bytes((folder / "straight" / "checkpoints" / name).read_bytes())
    assert "1 of 2 epochs are done" in run(*words(folder, "resumed", "TEST.ENABLE False")).stdout
    straight, resumed = checkpoint(folder, "straight"), checkpoint(folder, "resumed")
    for part in ("model_state", "optimizer_state", "best", "rng"):
        assert same(straight[part], resumed[part]), part


def test_one_stream_is_tested_without_the_folder_of_the_other(folder):
    test = f"TRAIN.ENABLE False TEST.NUM_ENSEMBLE_VIEWS 1 TEST.CHECKPOINT_FILE_PATH {best(folder)} TEST.DATASET kinetics TEST.MODALITY"
    run(*words(folder, "only_color", f"{test} color", thermal="nowhere"))
    run(*words(folder, "only_thermal", f"{test} thermal", color="nowhere"))
    found = [logits(folder, out) for out in ("both", "only_color", "only_thermal")]
    assert all(np.isfinite(each).all() and each.shape == found[0].shape for each in found)
    assert min(np.abs(found[at] - found[at - 1]).max() for at in range(3)) > 1e-5
    headers = [load_table(folder / out / "scores.npz").header for out in ("both", "only_color", "only_thermal")]
    assert [header.get("modality") for header in headers] == [None, "color", "thermal"]
    assert "of pairs" in (folder / "only_thermal" / "report.html").read_text()
    done = run_here(*words(folder, "lost", f"{test} both", color="nowhere"))
    assert done.returncode == 2 and "no test list" in done.stderr and done.stderr.count("\n") == 1


def test_single_videos_are_predicted_where_one_stream_is_named(folder):
    video = str(next((folder / "thermal" / "videos" / "test").glob("run*.mp4")))
    words = ("--checkpoint", best(folder), video, "--workers", "0")
    done = run_here(*words, "--opts", "TEST.MODALITY", "thermal", tool="predict")
    assert done.returncode == 0 and "%" in done.stdout, done.stderr
    done = run_here(*words, tool="predict")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "takes pairs of videos, a visible and an infrared one" in done.stderr
    assert "allowed: TEST.MODALITY color or thermal" in done.stderr


def test_the_lists_are_checked_row_by_row(folder, tmp_path):
    out = tmp_path / "check"
    short = tmp_path / "short"
    short.mkdir()
    lines = (folder / "thermal" / "test.csv").read_text().splitlines()
    encode(short / "short.mp4", 11)
    rows = [f"{folder}/thermal/{line}" for line in lines[1:]]
    (short / "test.csv").write_text("".join(f"{row}\n" for row in [f"{short}/short.mp4 0", *rows]))
    lists = words(folder, "check", "TEST.DATASET kinetics", thermal=str(short))
    flags = ("--split", "test", "--workers", "1", "--min-frames", "1", "--write-clean-list", "--out", str(out))
    done = run_here(*lists, tool="check_data", arguments=flags)
    assert done.returncode == 1, done.stderr
    place = f"{folder}/color/test.csv:1"
    assert (
        f"{place}: pair: '{folder}/color/videos/test/jump_000.mp4' has 12 frames, its pair '{short}/short.mp4'"
        in done.stdout
    )
    assert "has 11" in done.stdout and "1 problem(s)" in done.stderr
    kept = [(out / stream / "test.csv").read_text().splitlines() for stream in ("color", "thermal")]
    assert len(kept[0]) == len(kept[1]) == 5 and "run_000" in kept[0][0] and "run_000" in kept[1][0]


WRONG = [
    (f"{THERMAL} ''", "DATA.THERMAL_PATH_TO_DATA_DIR is empty, and DATA.COLOR_PATH_TO_DATA_DIR is "),
    ("DATA.THERMAL_RANGE [3,1]", "DATA.THERMAL_RANGE [3.0, 1.0] must be [] or [low, high], low below high"),
    ("TEST.MODALITY infrared", "TEST.MODALITY 'infrared' is not known; Known: both, color, thermal"),
    ("MODEL.MODEL_NAME Uniformer", "need MODEL.MODEL_NAME DualStream, which takes two clips, got Uniformer"),
]


@pytest.mark.parametrize("text, message", WRONG)
def test_bad_input_is_one_line(folder, text, message):
    pairs = [word.strip("'") for word in text.split()]
    done = run_here(*words(folder, "wrong"), *pairs)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_lists_that_are_no_pairs_are_one_line(folder, tmp_path):
    rows = [f"{folder}/thermal/{line}" for line in (folder / "thermal" / "train.csv").read_text().splitlines()]
    for wrong, message in (
        (rows[:-1], "the first has 12 videos, the second 11"),
        ([*rows[:-1], rows[-1][:-1] + "0"], "has label 5 and"),
    ):
        (tmp_path / "train.csv").write_text("".join(f"{row}\n" for row in wrong))
        done = run_here(*words(folder, "wrong", "TRAIN.DATASET kinetics", thermal=str(tmp_path)))
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def label(folder: Path, out: str, *more: str, where: str = "dark.csv"):
    """Labels four test pairs and six of the training; the lists say other labels, which nobody reads."""
    for stream, labels in (("color", "77"), ("thermal", "5")):
        rows = [
            f"{line.split()[0]} {labels}"
            for split, count in (("test", 4), ("train", 6))
            for line in (folder / stream / f"{split}.csv").read_text().splitlines()[:count]
        ]
        (folder / stream / "dark.csv").write_text("".join(f"{row}\n" for row in rows))
    arguments = ("--checkpoint", best(folder), "--list", where, "--out", str(folder / out))
    return run_here(*more, tool="pseudo_label", arguments=arguments)


def test_pairs_are_labelled_and_trained_on(folder):
    done = label(folder, "labels", "--threshold", "0")
    assert done.returncode == 0, done.stderr
    out = folder / "labels"
    assert "the labels of 10 of its rows are not read" in done.stdout
    assert f"10 of 10 pairs are in {out}/color/pseudo.csv and {out}/thermal/pseudo.csv, with prob" in done.stdout
    assert f"train with DATA.EXTRA_TRAIN_LIST {out}/pseudo.csv; numbers" in done.stdout
    header, *rows = (out / "color/pseudo.csv").read_text().splitlines()
    other_header, *others = (out / "thermal/pseudo.csv").read_text().splitlines()
    assert header == other_header == "path,p0,p1,p2,p3,p4,p5"
    assert [row.replace(f"{folder}/color/", f"{folder}/thermal/") for row in rows] == others
    listed = [line.split()[0] for line in (folder / "thermal/dark.csv").read_text().splitlines()]
    assert [row.split(",")[0] for row in others] == [f"{folder}/thermal/{path}" for path in listed]
    probs = np.array([[float(number) for number in row.split(",")[1:]] for row in rows])
    both = logits(folder, "labels").mean(1)  # over the views
    wanted = np.exp(both) / np.exp(both).sum(1, keepdims=True)
    assert np.abs(probs - wanted).max() < 1e-5
    seen = json.loads((out / "thermal/pseudo.about.json").read_text())["seen"]
    assert len(seen) == 20 and sum("/thermal/" in path for path in seen) == 10

    short = "SOLVER.MAX_EPOCH 1 TEST.NUM_ENSEMBLE_VIEWS 1 TEST.NUM_SPATIAL_CROPS 1 TEST.MODALITY thermal"
    done = run(*words(folder, "taught", f"DATA.EXTRA_TRAIN_LIST {out}/pseudo.csv {short}"))
    assert "10 of 22 training videos have probabilities as targets" in done.stdout
    assert "validation is transductive" not in done.stdout + done.stderr
    note = "transductive: pseudo-labels that were trained on are made of 4 of the 6 test videos, without their labels"
    assert f"Test ({note})" in done.stdout


@pytest.mark.parametrize(
    "words, where, told",
    [
        ("", "{0}/color/dark.csv", ""),  # the path of the visible list names both
        ("TEST.MODALITY thermal", "{0}/thermal/dark.csv", ""),  # one stream alone: a list as any
        ("", "{0}/thermal/dark.csv", "name the same videos, each would be its own pair; allowed in --list: the name"),
        ("", "none.csv", "color/none.csv' cannot be read: No such file"),
        ("", "few.csv", "are lists of pairs, row by row: the first has 2 videos, the second 1"),
    ],
)
def test_the_lists_to_label_are_found_or_refused(folder, words, where, told):
    for stream, count in (("color", 2), ("thermal", 1)):
        rows = (folder / stream / "train.csv").read_text().splitlines()[:count]
        (folder / stream / "few.csv").write_text("".join(f"{row}\n" for row in rows))
    quick = "--threshold 0 TEST.NUM_ENSEMBLE_VIEWS 1 TEST.NUM_SPATIAL_CROPS 1".split()
    done = label(folder, "found", *quick, *words.split(), where=where.format(folder))
    if told:
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1, done.stderr
    else:
        assert done.returncode == 0, done.stderr
        paths = (folder / "found/pseudo.csv") if words else (folder / "found/thermal/pseudo.csv")
        assert all(row.startswith(f"{folder}/thermal/") for row in paths.read_text().splitlines()[1:])


def test_a_teacher_of_pairs_is_refused(folder):
    own = ["DATA.PATH_TO_DATA_DIR", str(folder / "color"), "OUTPUT_DIR", str(folder / "student")]
    done = run_here(*TINY, *own, "DISTILL.CHECKPOINT", best(folder))
    assert done.returncode == 2 and "was trained on pairs of videos" in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "modality, channels, said", [("both", 6, "then the infrared one's"), ("thermal", 3, "infrared clip's")]
)
def test_an_exported_file_says_which_streams_it_takes(folder, modality, channels, said):
    out = folder / f"{modality}.pt2"
    done = run_here(
        "--checkpoint", best(folder), "--to", "torch.export", "--out", str(out), "--opts", "TEST.MODALITY", modality,
        tool="export",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(Path(f"{out}.json").read_text())
    assert facts["clip_shape"] == [channels, 4, 32, 32] and said in facts["input"]
    assert ("(N, 2C, T" in facts["input"]) == (channels == 6)


@pytest.mark.slow
def test_grad_cam_and_features_of_one_stream_and_of_both(folder):
    video = str(next((folder / "thermal" / "videos" / "test").glob("run*.mp4")))
    out = str(folder / "map.png")
    look = ("--checkpoint", best(folder), "--video", video, "--out", out)
    assert run_here(*look, "TEST.MODALITY", "thermal", tool="visualize").returncode == 0
    assert run_here(*look, tool="visualize").returncode == 2
    for modality in ("both", "color", "thermal"):
        pairs = words(
            folder, f"features_{modality}", f"TEST.MODALITY {modality} TEST.CHECKPOINT_FILE_PATH {best(folder)}"
        )
        done = run_here(*pairs, tool="extract_features", arguments=("--clips",))
        assert done.returncode == 0, done.stderr
