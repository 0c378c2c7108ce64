"""A run of two streams from the command line: trained, taken up again, tested, exported, and the teacher of a network
that sees the dark stream alone."""

import json
from pathlib import Path

import pytest
from test_objectives_run import checkpoint, run, same
from tiny import run_here

DUAL = """MODEL.MODEL_NAME DualStream DUAL.BACKBONE Uniformer DUAL.NUM_HEADS 4 DUAL.GAMMA 3 LOSS.SUPCON 0.5
    LOSS.SUPCON_WIDTH 16 TRAIN.SAMPLER sqrt LOSS.CLASS_WEIGHTS auto"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dual")
    run(folder, "two", DUAL)
    return folder


def test_both_losses_are_logged_and_every_video_is_scored(folder):
    rows = [json.loads(line) for line in (folder / "two" / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row.get("_type") == "train_iter"]
    assert steps and all(row["loss_supcon"] > 0 for row in steps)
    assert rows[-1]["split"] == "test_final" and rows[-1]["videos"] == 6
    assert any(name.startswith("projector.") for name in checkpoint(folder, "two")["objective_state"])


def test_a_resumed_run_ends_as_an_uninterrupted_one(folder):
    first = folder / "resumed" / "checkpoints"
    first.mkdir(parents=True)
    name = "checkpoint_epoch_00001.pyth"
    (first / name).write_bytes((folder / "two" / "checkpoints" / name).read_bytes())
    run(folder, "resumed", f"{DUAL} TEST.ENABLE False")
    straight, resumed = checkpoint(folder, "two"), checkpoint(folder, "resumed")
    for part in ("model_state", "optimizer_state", "objective_state", "best", "rng"):
        assert same(straight[part], resumed[part]), part


def test_it_teaches_the_dark_stream_alone(folder):
    teacher = folder / "two" / "checkpoints" / "best.pyth"
    done = run(folder, "student", f"DISTILL.CHECKPOINT {teacher} SOLVER.MAX_EPOCH 1 TEST.ENABLE False")
    assert "loss_teacher" in (folder / "student" / "metrics.jsonl").read_text(), done.stdout
    assert not any(name.startswith("trunk.") for name in checkpoint(folder, "student", 1)["model_state"])


def test_it_predicts(folder):
    video = next((folder / "demo").rglob("*.mp4"))
    best = str(folder / "two" / "checkpoints" / "best.pyth")
    done = run_here("--checkpoint", best, str(video), tool="predict")
    assert done.returncode == 0 and "%" in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch.export", "onnx"])
def test_an_exported_file_takes_both_streams(folder, to):
    if to == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    best, out = str(folder / "two" / "checkpoints" / "best.pyth"), folder / f"dual.{to}"
    done = run_here("--checkpoint", best, "--to", to, "--out", str(out), tool="export")
    assert done.returncode == 0, done.stderr
    facts = json.loads(Path(f"{out}.json").read_text())
    assert facts["clip_shape"] == [6, 4, 32, 32] and "(N, 2C, T, H, W)" in facts["input"]
    assert "DUAL.GAMMA 3" in facts["input"] and facts["num_clips"] == "any"
