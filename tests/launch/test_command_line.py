"""The command as a user types it: what it prints, what it leaves on disk, how it says what is wrong."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from tiny import TINY, run_here, run_tool

from fragrant.checkpoint import checkpoint_hash
from fragrant.metrics import Share
from fragrant.scores import ensemble_views, grid_views, load_table, summarise
from fragrant.scores.pickles import read_pickle
from fragrant.scores.unpickle import numbers_of

ARID = str(ROOT / "configs/arid/uniformer_s.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run: demo set made, trained, validated, tested."""
    folder = tmp_path_factory.mktemp("run")
    done = run_tool(
        *TINY,
        "DATA.PATH_TO_DATA_DIR",
        str(folder / "demo"),
        "OUTPUT_DIR",
        str(folder / "out"),
        "TENSORBOARD.ENABLE",
        "true",
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_says_what_it_does_and_where_the_results_lie(finished):
    folder, done = finished
    assert "Starting from random weights" in done.stdout
    assert "100.0 % of the model's tensors matched" in done.stdout and "checkpoint_epoch_00002.pyth" in done.stdout
    assert "6 test videos, #Frame = 4 x 3 x 2: 6 forward passes per video" in done.stdout
    assert "short side 32, crop 32 (left, centre, right)" in done.stdout
    assert "sum of logits over the views" in done.stdout
    assert (
        "classes: the 6 names and their order agree with the checkpoint's (jump, run, sit, stand, ...)" in done.stdout
    )
    assert done.stdout.index("#Frame") < done.stdout.index("expected calibration error")
    assert f"Results are in {folder / 'out'}" in done.stdout


def test_leaves_everything_on_disk(finished):
    folder, _ = finished
    out = folder / "out"
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert names == ["best.pyth", "checkpoint_epoch_00001.pyth", "checkpoint_epoch_00002.pyth"]
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    kinds = [record.get("_type") or record["split"] for record in records]
    assert kinds == ["train_iter"] * 3 + ["train_epoch", "val_epoch"] + ["train_iter"] * 3 + [
        "train_epoch",
        "val_epoch",
        "test_final",
    ]
    assert set("dt dt_data dt_net epoch eta gpu_mem grad_norm iter loss lr top1_err top5_err".split()) <= set(
        records[0]
    )
    assert (out / "config.yaml").is_file() and list(out.glob("runs-demo/events*"))


def test_scores_are_the_source_of_the_numbers(finished):
    folder, _ = finished
    scores = np.load(folder / "out" / "scores.npz")
    assert scores["logits"].shape == (6, 6, 6) and scores["logits"].dtype == np.float32
    assert set(scores["labels"]) == set(range(6))
    assert list(scores["class_names"]) == ["jump", "run", "sit", "stand", "turn", "walk"]
    top1 = 100 * (scores["logits"].sum(1).argmax(1) == scores["labels"]).mean()
    last = (folder / "out" / "stdout.log").read_text().splitlines()
    line = next(line for line in reversed(last) if "test_final" in line)
    assert f'json_stats: {{"split": "test_final", "top1_acc": "{top1:.2f}", "top5_acc": ' in line
    published = read_pickle(folder / "out" / "4x32x2x3.pkl")
    assert np.allclose(numbers_of(published["video_preds"]), scores["logits"].sum(1), atol=1e-5)
    assert numbers_of(published["video_labels"]).tolist() == scores["labels"].tolist()


def test_a_test_tells_what_it_was(finished):
    """scores.npz is enough: header, brightness, names; scores.json has the same numbers for people."""
    folder, done = finished
    table = load_table(folder / "out" / "scores.npz")
    assert table.views == grid_views(2, 3) and bool(table.present.all()) and table.class_names[0] == "jump"
    assert ((0.005 < table.luma) & (table.luma < 0.3)).all() and len(set(table.luma.tolist())) == 6
    header = table.header
    assert header["checkpoint_hash"] == checkpoint_hash(folder / "out/checkpoints/checkpoint_epoch_00002.pyth")
    assert header["config"] == (folder / "out/config.yaml").read_text() and "run_net.py" in header["command"]
    numbers = json.loads((folder / "out" / "scores.json").read_text())
    summary = summarise(ensemble_views(table, header["rule"]))
    assert numbers["summary"] == json.loads(json.dumps(summary)) and numbers["header"]["rule"] == "sum-logits"
    assert f"Test: top-1 {Share(**summary['top1'])}, top-5 " in done.stdout
    assert (folder / "out" / "scores.csv").read_text().startswith("path,label,luma,class1,prob1,")
    assert sum(group["share"]["total"] for group in summary["by_luma"]) == 6 and "mean luma " in done.stdout


def test_class_names_in_another_order_are_an_error(finished, tmp_path):
    folder, _ = finished
    demo = folder / "demo"
    for name in ("test.csv", "val.csv", "train.csv"):
        (tmp_path / name).write_text((demo / name).read_text())
    (tmp_path / "classes.txt").write_text("jump\nrun\nstand\nsit\nturn\nwalk\n")
    checkpoint = str(folder / "out/checkpoints/checkpoint_epoch_00002.pyth")
    test = [*TINY, "TEST.DATASET", "kinetics", "DATA.PATH_TO_DATA_DIR", str(tmp_path), "DATA.PATH_PREFIX", str(demo)]
    test += ["TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", checkpoint, "OUTPUT_DIR", str(tmp_path / "out")]
    message = (
        f"class 2 is 'sit' in {checkpoint}, but 'stand' in the class names of the test list; the orders must agree"
    )
    one_line(run_here(*test), message)
    (tmp_path / "classes.txt").unlink()
    done = run_here(*test)
    assert (
        done.returncode == 0
        and "classes: the test list names no classes, so their order cannot be checked" in done.stdout
    )


def test_checkpoint_holds_everything(finished):
    folder, _ = finished
    state = torch.load(folder / "out/checkpoints/checkpoint_epoch_00002.pyth", weights_only=True)
    assert {
        "epoch",
        "step",
        "model_state",
        "optimizer_state",
        "scaler_state",
        "rng",
        "best",
        "cfg",
        "class_names",
    } <= set(state)
    assert (state["epoch"], state["step"]) == (1, 6) and state["class_names"][2] == "sit"


def test_the_written_config_repeats_the_run(finished, tmp_path):
    """config.yaml alone describes the run: printing it again gives the same text."""
    folder, _ = finished
    written = (folder / "out/config.yaml").read_text()
    again = run_here(arguments=("--cfg", str(folder / "out/config.yaml"), "--print-config"))
    assert again.returncode == 0 and again.stdout == written


def test_a_finished_run_started_again_only_tests(finished):
    folder, _ = finished
    again = run_here(*TINY, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / "out"))
    assert again.returncode == 0
    assert (
        "2 of 2 epochs are done" in again.stdout and "train_iter" not in again.stdout and "test_final" in again.stdout
    )


def test_the_readme_example_of_fragrant(finished, tmp_path):
    """InFAR testing with commas in the list, against a checkpoint that a run wrote."""
    folder, _ = finished
    demo = folder / "demo"
    rows = [line.split(" ") for line in (demo / "test.csv").read_text().splitlines()]
    (tmp_path / "test.csv").write_text("".join(f"{path},{label}\n" for path, label in rows))
    example = [
        *("DATA.PATH_TO_DATA_DIR", str(tmp_path), "DATA.PATH_PREFIX", str(demo), "DATA.PATH_LABEL_SEPARATOR", ","),
        *("TRAIN.EVAL_PERIOD", "1", "TRAIN.CHECKPOINT_PERIOD", "1", "TRAIN.BATCH_SIZE", "8", "NUM_GPUS", "0"),
        *(
            "UNIFORMER.DROP_DEPTH_RATE",
            "0.1",
            "SOLVER.MAX_EPOCH",
            "100",
            "SOLVER.BASE_LR",
            "4e-4",
            "SOLVER.WARMUP_EPOCHS",
            "10.0",
        ),
        *(
            "DATA.TEST_CROP_SIZE",
            "32",
            "TEST.NUM_ENSEMBLE_VIEWS",
            "4",
            "TEST.NUM_SPATIAL_CROPS",
            "1",
            "RNG_SEED",
            "6666",
        ),
        *(
            "TRAIN.ENABLE",
            "False",
            "TEST.CHECKPOINT_FILE_PATH",
            str(folder / "out/checkpoints/checkpoint_epoch_00002.pyth"),
        ),
        *("OUTPUT_DIR", str(tmp_path / "out"), "MODEL.NUM_CLASSES", "6", "UNIFORMER.EMBED_DIM", "[8,8,16,16]"),
        *("UNIFORMER.DEPTH", "[1,1,1,1]", "UNIFORMER.HEAD_DIM", "8"),
    ]
    done = run_here(*example, arguments=("--cfg", str(ROOT / "configs/infar/uniformer_s_16x8.yaml")))
    assert done.returncode == 0, done.stderr
    assert '"split": "test_final"' in done.stdout and "16 x 1 x 4: 4 forward passes per video" in done.stdout


def one_line(done, *parts: str) -> None:
    """Exit code 2, one line on stderr that holds all parts, no traceback."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for part in parts:
        assert part in lines[0], (part, lines[0])


WRONG = [
    (["TRAIN.BATCHSIZE", "4"], ["TRAIN.BATCHSIZE", "TRAIN.BATCH_SIZE"]),
    (["SOLVER.MAX_EPOCH"], ["SOLVER.MAX_EPOCH"]),
    (["MODEL.MODEL_NAME", "Unifromer"], ["MODEL.MODEL_NAME 'Unifromer' is not known", "did you mean 'Uniformer'?"]),
    (["NUM_GPUS", "1"], ["NUM_GPUS 1", "0 CUDA GPU"]),
    (["OUTPUT_DIR", "/dev/null/out"], ["OUTPUT_DIR '/dev/null/out'", "Not a directory"]),
    (["TRAIN.CHECKPOINT_FILE_PATH", "nowhere.pyth"], ["TRAIN.CHECKPOINT_FILE_PATH 'nowhere.pyth'"]),
    (
        ["UNIFORMER.PRETRAIN_NAME", "uniformer_small_in1k"],
        ["UNIFORMER.PRETRAIN_NAME 'uniformer_small_in1k' is no file"],
    ),
    (["TRAIN.ENABLE", "False"], ["no weights to test", "TEST.CHECKPOINT_FILE_PATH"]),
    (
        ["TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", "nowhere.pyth"],
        ["TEST.CHECKPOINT_FILE_PATH 'nowhere.pyth'"],
    ),
    (["DETECTION.ENABLE", "True"], ["DETECTION.ENABLE", "not supported here"]),
    (["MIXUP.ENABLE", "True", "LOSS.LABEL_SMOOTHING", "0.1"], ["LOSS.LABEL_SMOOTHING 0.1", "MIXUP.LABEL_SMOOTH_VALUE"]),
    (["LOSS.CLASS_WEIGHTS", "[1.0]"], ["LOSS.CLASS_WEIGHTS has 1 values", "each of the 6 classes"]),
    (["TRAIN.PRECISION", "fp16"], ["TRAIN.PRECISION fp16 needs a CUDA GPU"]),
]


@pytest.mark.parametrize(
    "pairs, parts", WRONG, ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None
)
def test_wrong_input_is_one_line(pairs, parts, finished, tmp_path):
    folder, _ = finished
    run = [*TINY, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(tmp_path / "out"), *pairs]
    one_line(run_here(*run), *parts)


LISTS = [
    (None, "", ["train.csv", "DATA.PATH_TO_DATA_DIR"]),
    ("", "", ["train.csv"]),
    ("a.mp4 6\n", "", ["train.csv:1", "6", "MODEL.NUM_CLASSES"]),
    ("a.mp4,0\n", "", ["train.csv:1", "a.mp4", "DATA.PATH_PREFIX"]),
    ("a.mp4 walk\n", "", ["train.csv:1", "DATA.LIST_FORMAT"]),
    ("missing.mp4 0\n", "", ["missing.mp4", "train.csv:1"]),
    ("text.mp4 0\n", "no video at all", ["text.mp4", "train.csv:1"]),
]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "rows, content, parts", LISTS, ids="missing_list no_rows label folder form missing_video unreadable_video".split()
)
def test_wrong_lists_are_one_line(rows, content, parts, workers, tmp_path):
    if workers and not content:
        pytest.skip("nothing is read in workers")
    if rows is not None:
        for split in ("train", "val", "test"):
            (tmp_path / f"{split}.csv").write_text(rows)
    (tmp_path / "text.mp4").write_text(content)
    run = [
        *TINY,
        "TRAIN.DATASET",
        "kinetics",
        "TEST.DATASET",
        "kinetics",
        "DATA.PATH_TO_DATA_DIR",
        str(tmp_path),
        "OUTPUT_DIR",
        str(tmp_path / "out"),
    ]
    done = run_here(*run, "DATA_LOADER.NUM_WORKERS", str(workers))
    if content:  # found while training, where single bad files are replaced: the run stops
        assert done.returncode == 1 and done.stderr.startswith("stopped: ") and done.stderr.count("\n") == 1
        assert all(part in done.stderr for part in parts), done.stderr
    else:
        one_line(done, *parts)


def test_debug_shows_the_traceback(tmp_path):
    done = run_tool("NUM_GPUS", "99", arguments=("--debug",))
    assert done.returncode == 1 and "Traceback" in done.stderr and "NUM_GPUS 99" in done.stderr


def test_print_config_takes_pairs_everywhere():
    behind = run_here("SOLVER.MAX_EPOCH", "7", arguments=("--print-config", "--cfg", ARID))
    opts = run_here(arguments=("--cfg", ARID, "--print-config", "--opts", "SOLVER.MAX_EPOCH", "7"))
    assert behind.returncode == 0 and behind.stdout == opts.stdout and "MAX_EPOCH: 7" in behind.stdout


def test_help_explains_the_pairs():
    done = run_tool(arguments=("--help",))
    assert done.returncode == 0 and "KEY VALUE pairs override the config" in done.stdout


def test_flag_and_key_that_differ():
    one_line(run_here("NUM_SHARDS", "2", arguments=("--num_shards", "4")), "--num_shards 4 and NUM_SHARDS 2 contradict")


def test_a_loss_that_stays_not_finite_stops_the_run(finished, tmp_path):
    """Exit code 1, one line that names the clips; what was saved stays."""
    folder, _ = finished
    out = tmp_path / "out"
    pairs = [
        "DATA.PATH_TO_DATA_DIR",
        str(folder / "demo"),
        "OUTPUT_DIR",
        str(out),
        "TRAIN.MAX_BAD_STEPS",
        "2",
        "SOLVER.MAX_EPOCH",
        "4",
    ]
    steps = [
        "SOLVER.LR_POLICY",
        "steps_with_relative_lrs",
        "SOLVER.STEPS",
        "[0,1]",
        "SOLVER.LRS",
        "[1,1e30]",
        "SOLVER.CLIP_GRADIENT",
        "0",
    ]
    done = run_here(*TINY, *pairs, *steps)
    assert done.returncode == 1, (done.stdout, done.stderr)
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("stopped: ") and "TRAIN.MAX_BAD_STEPS" in line and ".mp4" in line
    assert (out / "checkpoints/checkpoint_epoch_00001.pyth").exists()
