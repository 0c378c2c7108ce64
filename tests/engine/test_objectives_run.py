"""Objectives from the command line: they train, go on exactly where they were interrupted, and test the weights they
mean to."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny import TINY, run_here

EMA = "TRAIN.EMA.ENABLE True TRAIN.EMA.DECAY 0.8"
WAYS = {
    "mixup": "MIXUP.ENABLE True MODEL.LOSS_FUNC soft_cross_entropy",
    "ema": f"MIXUP.ENABLE True {EMA}",
    "svmix": "MIXUP.ENABLE True MIXUP.TYPE svmix SVMIX.EMA 0.8 TRAIN.ACCUM_STEPS 2",
    "svmix_adamw": (
        "MIXUP.ENABLE True MIXUP.TYPE svmix SVMIX.MODULE_OPT adamw SVMIX.MODULE_LR 5e-3 SVMIX.MODULE_CLIP 0 "
        "SVMIX.EVAL student"
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("objectives")


def run(folder: Path, out: str, text: str):
    pairs = [*TINY, *text.split(), "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / out)]
    done = run_here(*pairs)
    assert done.returncode == 0, done.stderr
    return done


def checkpoint(folder: Path, out: str, epochs: int = 2) -> dict:
    return torch.load(folder / out / "checkpoints" / f"checkpoint_epoch_{epochs:05d}.pyth", weights_only=True)


def same(left, right) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


@pytest.mark.parametrize("name", WAYS)
def test_a_resumed_run_ends_as_an_uninterrupted_one(folder, name):
    run(folder, name, f"{WAYS[name]} TEST.ENABLE False")
    first = folder / f"{name}_resumed" / "checkpoints"
    first.mkdir(parents=True)
    (first / "checkpoint_epoch_00001.pyth").write_bytes(
        (folder / name / "checkpoints" / "checkpoint_epoch_00001.pyth").read_bytes()
    )
    assert "1 of 2 epochs are done" in run(folder, f"{name}_resumed", f"{WAYS[name]} TEST.ENABLE False").stdout
    straight, resumed = checkpoint(folder, name), checkpoint(folder, f"{name}_resumed")
    for part in ("model_state", "optimizer_state", "objective_state", "best", "rng"):
        assert same(straight[part], resumed[part]), part
    assert bool(straight["objective_state"]) == (name != "mixup")


@pytest.mark.parametrize(
    "name, key, allowed", [("ema", "TRAIN.EMA.EVAL", ("ema", "raw")), ("svmix", "SVMIX.EVAL", ("teacher", "student"))]
)
def test_the_weights_that_are_tested(folder, name, key, allowed):
    """The test of the last epoch's checkpoint finds what validation found: for the average, then for the raw
    weights."""
    if not (folder / name).exists():
        run(folder, name, f"{WAYS[name]} TEST.ENABLE False")
    state = checkpoint(folder, name)
    part = {"ema": "averaged.", "svmix": "teacher."}[name]
    average = {key.removeprefix(part): value for key, value in state["objective_state"].items() if key.startswith(part)}
    assert average.keys() == state["model_state"].keys() and not same(average, dict(state["model_state"]))
    scores = []
    for value, weights in zip(allowed, (average, state["model_state"]), strict=True):
        test = f"{WAYS[name]} TRAIN.ENABLE False {key} {value} TEST.CHECKPOINT_FILE_PATH {{}}"
        run(folder, f"{name}_{value}", test.format(folder / name / "checkpoints" / "checkpoint_epoch_00002.pyth"))
        torch.save({"model_state": dict(weights)}, folder / "alone.pyth")
        run(folder, f"{name}_{value}_alone", test.format(folder / "alone.pyth"))
        logits = [(folder / f"{name}_{value}{end}" / "scores.csv").read_text().splitlines() for end in ("", "_alone")]
        assert [line for line in logits[0] if not line.startswith("#")] == [
            line for line in logits[1] if not line.startswith("#")
        ]
        scores.append([line for line in logits[0] if not line.startswith("#")])
    assert scores[0] != scores[1]


def test_both_weights_are_validated(folder):
    if not (folder / "ema").exists():
        run(folder, "ema", f"{WAYS['ema']} TEST.ENABLE False")
    types = [
        json.loads(line)["_type"]
        for line in (folder / "ema" / "metrics.jsonl").read_text().splitlines()
        if '"val_epoch' in line
    ]
    assert types == ["val_epoch", "val_epoch_raw"] * 2


def test_a_run_teaches_another(folder):
    run(folder, "teacher", "TEST.ENABLE False SOLVER.MAX_EPOCH 1 DATA.ENHANCE equalize")
    path = folder / "teacher" / "checkpoints" / "checkpoint_epoch_00001.pyth"
    for given in ("dark", "enhanced"):
        way = f"DISTILL.CHECKPOINT {path} DISTILL.INPUT {given} {EMA} SOLVER.MAX_EPOCH 1 TEST.ENABLE False"
        run(folder, f"taught_{given}", way)
    dark, enhanced = (checkpoint(folder, f"taught_{given}", 1) for given in ("dark", "enhanced"))
    assert not same(dict(dark["model_state"]), dict(enhanced["model_state"]))
    assert all(name.startswith("averaged.") for name in dark["objective_state"])
    records = [json.loads(line) for line in (folder / "taught_dark" / "metrics.jsonl").read_text().splitlines()]
    assert any("loss_teacher" in record for record in records)


def test_a_picture_of_a_mix(folder):
    if not (folder / "svmix").exists():
        run(folder, "svmix", f"{WAYS['svmix']} TEST.ENABLE False")
    videos, out = sorted((folder / "demo/videos/test").iterdir()), folder / "mix.png"
    pictured = ("--what", "mix", "--video", str(videos[0]), "--out", str(out), "--lam", "0.3", "--checkpoint")
    checkpoint_path = str(folder / "svmix/checkpoints/best.pyth")
    done = run_here(tool="visualize", arguments=(*pictured, checkpoint_path, "--with", str(videos[1])))
    assert done.returncode == 0, done.stderr
    width, height = Image.open(out).size
    # 4 square frames; two clips, and a mask and a mixed clip for both modes
    assert width == int(6.875 * 300) and 6 * 380 < height < 6 * 600
    done = run_here(tool="visualize", arguments=(*pictured, checkpoint_path))
    assert done.returncode == 2 and "--what mix needs a second video, --with FILE" in done.stderr
    if not (folder / "ema").exists():
        run(folder, "ema", f"{WAYS['ema']} TEST.ENABLE False")
    without = str(folder / "ema/checkpoints/best.pyth")
    done = run_here(tool="visualize", arguments=(*pictured, without, "--with", str(videos[1])))
    assert done.returncode == 2 and "holds no mixer; allowed: one of a run with MIXUP.TYPE svmix" in done.stderr


WRONG = [
    ("DISTILL.CHECKPOINT nowhere.pyth", ["nowhere.pyth"]),
    ("MIXUP.ENABLE True MIXUP.TYPE svmx", ["MIXUP.TYPE 'svmx' is not known; did you mean 'svmix'?"]),
    ("MIXUP.ENABLE True MIXUP.TYPE svmix TRAIN.BATCH_SIZE 1", ["TRAIN.BATCH_SIZE 1 must be 2 or more"]),
    ("MIXUP.ENABLE True MIXUP.TYPE svmix TRAIN.EMA.ENABLE True", ["TRAIN.EMA.ENABLE True with MIXUP.TYPE svmix"]),
    (
        "MIXUP.ENABLE True MIXUP.TYPE svmix TRAIN.SHARDING fsdp TRAIN.CHANNELS_LAST False",
        ["SVMIX.MODULE_OPT adam or adamw"],
    ),
    ("DISTILL.CHECKPOINT x DISTILL.INPUT enhanced DATA.GAMMA [3]", ["DISTILL.INPUT enhanced", "DATA.GAMMA []"]),
]


@pytest.mark.parametrize("text, parts", WRONG)
def test_wrong_input_is_one_line(folder, text, parts):
    done = run_here(
        *TINY, *text.split(), "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / "wrong")
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("demo set: made")]
    assert done.returncode == 2 and len(said) == 1, done.stderr
    assert all(part in done.stderr for part in parts), done.stderr
