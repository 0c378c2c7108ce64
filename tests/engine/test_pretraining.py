"""Pre-training without labels from the command line: it goes on exactly where it was interrupted, its encoder is what
fine-tuning starts from, and nothing speaks of an accuracy."""

import json
from pathlib import Path

import pytest
import torch
from test_objectives_run import same
from tiny import TINY, run_here

SMALL = "TEST.ENABLE False PRETRAIN.TUBE_SIZE 8 PRETRAIN.DECODER_DEPTH 1 PRETRAIN.DECODER_WIDTH 16"
WAYS = {
    "masked": f"TRAIN.OBJECTIVE masked {SMALL} UNIFORMER.DROPOUT_RATE 0.1",
    "contrastive": f"TRAIN.OBJECTIVE contrastive {SMALL} AUG.NUM_SAMPLE 2 PRETRAIN.PROJECTOR_WIDTH 16 "
    "UNIFORMER.DROPOUT_RATE 0.1 TRAIN.ACCUM_STEPS 2",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretraining")
    for name, way in WAYS.items():
        assert run(folder, name, way).returncode == 0
    return folder


def run(folder: Path, out: str, text: str):
    where = ["DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / out)]
    return run_here(*TINY, *where, *text.split())


def checkpoint(folder: Path, out: str, name: str = "checkpoint_epoch_00002") -> dict:
    return torch.load(folder / out / "checkpoints" / f"{name}.pyth", weights_only=True)


def records(folder: Path, out: str, kind: str) -> list[dict]:
    lines = map(json.loads, (folder / out / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line.get("_type") == kind]


@pytest.mark.parametrize("name", WAYS)
def test_a_resumed_run_ends_as_an_uninterrupted_one(folder, name):
    first = folder / f"{name}_resumed" / "checkpoints"
    first.mkdir(parents=True)
    source = folder / name / "checkpoints" / "checkpoint_epoch_00001.pyth"
    (first / source.name).write_bytes(source.read_bytes())
    done = run(folder, f"{name}_resumed", WAYS[name])
    assert "1 of 2 epochs are done" in done.stdout, done.stderr
    straight, resumed = checkpoint(folder, name), checkpoint(folder, f"{name}_resumed")
    for part in ("model_state", "optimizer_state", "objective_state", "best", "rng"):
        assert same(straight[part], resumed[part]), part
    left = {"masked": "decoder.", "contrastive": "projector."}[name]
    assert any(key.startswith(left) for key in straight["objective_state"])


@pytest.mark.parametrize("name", WAYS)
def test_validation_measures_the_loss_and_nothing_speaks_of_accuracy(folder, name):
    validated = records(folder, name, "val_epoch")
    assert len(validated) == 2 and all(0 < record["min_loss"] <= record["loss"] for record in validated)
    text = (folder / name / "stdout.log").read_text()
    assert "the labels of 12 training videos are ignored; validation measures its loss" in text
    for word in ("top1", "top-1", "acc", "map"):
        assert word not in text.lower().replace("heatmap", ""), word
    best = checkpoint(folder, name, "best")
    assert best["best"]["loss"] == pytest.approx(min(record["loss"] for record in validated), abs=1e-4)


@pytest.mark.parametrize("name", ["masked", pytest.param("contrastive", marks=pytest.mark.slow)])
def test_the_checkpoint_is_what_fine_tuning_starts_from(folder, name):
    state = checkpoint(folder, name)
    assert not any(key.startswith("head.") for key in state["model_state"])
    path = folder / name / "checkpoints" / "checkpoint_epoch_00002.pyth"
    way = f"TRAIN.CHECKPOINT_FILE_PATH {path} SOLVER.LAYER_DECAY 0.7 SOLVER.MAX_EPOCH 1 SOLVER.BASE_LR 1e-12 "
    done = run(folder, f"{name}_tuned", way + "SOLVER.WARMUP_START_LR 1e-12 BN.WEIGHT_DECAY 0 MODEL.FROZEN_BN True")
    assert done.returncode == 0, done.stderr
    left = {"masked": "decoder", "contrastive": "projector"}[name]
    assert f"(pre-trained without labels: its encoder is taken, its {left} is not), epoch 1 of 1" in done.stdout
    assert "tensors loaded; keep their initial values: 2: head.weight, head.bias" in done.stdout
    tuned = checkpoint(folder, f"{name}_tuned", "checkpoint_epoch_00001")["model_state"]
    for key, value in state["model_state"].items():
        assert torch.allclose(tuned[key].float(), value.float(), atol=1e-6), key


def test_a_pre_trained_encoder_has_no_classes_to_test(folder):
    path = folder / "masked" / "checkpoints" / "best.pyth"
    done = run(folder, "tested", f"TRAIN.ENABLE False TEST.CHECKPOINT_FILE_PATH {path}")
    message = "was trained without labels (TRAIN.OBJECTIVE masked)"
    assert done.returncode == 2 and message in done.stderr
    video = next((folder / "demo" / "videos" / "test").iterdir())
    done = run_here(str(video), tool="predict", arguments=("--checkpoint", str(path)))
    assert done.returncode == 2 and message in done.stderr


LISTS = {  # how the rows of a list say nothing, or something odd, about classes
    "bare": lambda path, at: path,
    "minus": lambda path, at: f"{path} -1",
    "too many": lambda path, at: f"{path} {100 + at}",
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "bare")) for kind in LISTS])
def test_any_list_trains(folder, tmp_path, kind):
    videos = sorted((folder / "demo" / "videos" / "train").iterdir())
    rows = [LISTS[kind](str(path), at) for at, path in enumerate(videos)]
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    words = f"TRAIN.DATASET video_list DATA.HOLD_OUT 0.3 SOLVER.MAX_EPOCH 1 {WAYS['masked']}"
    where = ["DATA.PATH_TO_DATA_DIR", str(tmp_path), "OUTPUT_DIR", str(tmp_path / "out")]
    done = run_here(*TINY, *words.split(), *where)
    assert done.returncode == 0, done.stderr
    known = "the training list has none" if kind in ("bare", "minus") else "training videos are ignored"
    assert known in done.stdout
    assert json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[-1])["loss"] > 0


WRONG = [
    ("masked", "PRETRAIN.MASK_RATIO 1.0", "PRETRAIN.MASK_RATIO 1.0 must be above 0 and below 1"),
    ("masked", "PRETRAIN.TUBE_SIZE 12", "PRETRAIN.TUBE_SIZE 12 must divide DATA.TRAIN_CROP_SIZE 32"),
    ("masked", "PRETRAIN.TUBE_SIZE 2", "PRETRAIN.TUBE_SIZE 2 must be a multiple of 4"),
    (
        "masked",
        "MODEL.MODEL_NAME TSM",
        "hidden from TSM; allowed: Fragrant, FragrantV2, UniFormerV2, Uniformer, VideoSwin, VisionTransformer",
    ),
    ("masked", "DATA.NUM_FRAMES 3", "stands for 2 x 32 x 32 of them"),
    ("masked", "TEST.ENABLE True", "TEST.ENABLE True with TRAIN.OBJECTIVE masked, which knows no classes"),
    ("masked", "MIXUP.ENABLE True", "MIXUP.ENABLE True with TRAIN.OBJECTIVE masked: there are no labels to mix"),
    ("masked", "TRAIN.EMA.ENABLE True", "TRAIN.EMA.ENABLE True with TRAIN.OBJECTIVE masked"),
    ("masked", "TRAIN.COMPILE True", "TRAIN.COMPILE True with TRAIN.OBJECTIVE masked"),
    ("contrastive", "AUG.NUM_SAMPLE 1", "compares clips of one video: AUG.NUM_SAMPLE 1 must be 2 or more"),
    ("contrastive", "TRAIN.BATCH_SIZE 1", "tells the videos of a batch apart: TRAIN.BATCH_SIZE 1 must be 2 or more"),
    ("contrastive", "PRETRAIN.TEMPERATURE 0", "PRETRAIN.TEMPERATURE 0.0 must be above 0"),
    ("contrastive", "DISTILL.CHECKPOINT x.pyth", "give one of them"),
]


@pytest.mark.parametrize("name, words, message", WRONG)
def test_wrong_keys_give_one_line(folder, name, words, message):
    done = run(folder, "wrong", f"{WAYS[name]} TRAIN.ACCUM_STEPS 1 {words}")
    assert done.returncode == 2 and message in done.stderr
    assert "Traceback" not in done.stderr
