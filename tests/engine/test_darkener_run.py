"""The learned darkener from the command line: both halves go on exactly where they were interrupted, the network that it
is trained against stays as it is, files that do not fit are refused in one line."""

import json
from pathlib import Path

import pytest
import torch
from test_objectives_run import checkpoint, run, same
from tiny import TINY, run_here

LEARN = """TRAIN.OBJECTIVE darkener TEST.ENABLE False TRAIN.CHECKPOINT_EPOCH_RESET True DARKENER.WIDTH 4
    DARKENER.SCALE 2 DEMO_SET.EXPOSURES [0.45] TRAIN.CHECKPOINT_FILE_PATH {}"""
COPIES = """UNIFORMER.DROPOUT_RATE 0.1 TEST.ENABLE False DEMO_SET.EXPOSURES [0.45] LOSS.SIMILARITY_WIDTH 16
    TRAIN.ACCUM_STEPS 2 DARKENER.CHECKPOINT {}"""


def path(folder: Path, out: str, epochs: int = 2) -> Path:
    return folder / out / "checkpoints" / f"checkpoint_epoch_{epochs:05d}.pyth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("darkener")
    run(folder, "lit", "DEMO_SET.EXPOSURES [0.45] TEST.ENABLE False SOLVER.MAX_EPOCH 1")
    run(folder, "darkener", LEARN.format(path(folder, "lit", 1)))
    run(folder, "dark", COPIES.format(path(folder, "darkener")))
    return folder


def way(folder: Path, name: str) -> str:
    return LEARN.format(path(folder, "lit", 1)) if name == "darkener" else COPIES.format(path(folder, "darkener"))


@pytest.mark.parametrize("name", ["darkener", "dark"])
def test_a_resumed_run_ends_as_an_uninterrupted_one(folder, name):
    first = path(folder, f"{name}_resumed", 1)
    first.parent.mkdir(parents=True)
    first.write_bytes(path(folder, name, 1).read_bytes())
    assert "1 of 2 epochs are done" in run(folder, f"{name}_resumed", way(folder, name)).stdout
    straight, resumed = checkpoint(folder, name), checkpoint(folder, f"{name}_resumed")
    for part in ("model_state", "optimizer_state", "objective_state", "best", "rng"):
        assert same(straight[part], resumed[part]), part
    parts = {"darkener": {"darkener"}, "dark": {"target", "predictor"}}[name]
    assert {key.partition(".")[0] for key in straight["objective_state"]} == parts


def test_the_network_stays_bit_for_bit_and_the_darkener_does_not(folder):
    lit, state = checkpoint(folder, "lit", 1)["model_state"], checkpoint(folder, "darkener")
    assert state["model_state"] and all(torch.equal(lit[name], value) for name, value in state["model_state"].items())
    assert set(lit) - set(state["model_state"]) == {"head.weight", "head.bias"}
    first, last = (checkpoint(folder, "darkener", epochs)["objective_state"] for epochs in (1, 2))
    assert all(not torch.equal(first[name], value) for name, value in last.items())


def test_what_is_logged(folder):
    rows = [json.loads(line) for line in (folder / "darkener" / "metrics.jsonl").read_text().splitlines()]
    validated = [row for row in rows if row.get("_type") == "val_epoch"]
    assert len(validated) == 2 and all(row["similarity"] <= 1 and row["exposure_error"] > 0 for row in validated)
    rows = [json.loads(line) for line in (folder / "dark" / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row.get("_type") == "train_iter"]
    assert steps and all(row["loss_similarity"] > 0 and "dark_top1_err" in row for row in steps)


def test_what_cannot_darken(folder):
    where = ["DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / "wrong")]
    for file, message in (
        (path(folder, "lit", 1), "holds no darkener; give a checkpoint of TRAIN.OBJECTIVE darkener"),
        (folder / "none.pyth", "none.pyth"),
    ):
        done = run_here(*TINY, *where, *COPIES.format(file).split())
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    video = next((folder / "demo").rglob("*.mp4"))
    done = run_here("--checkpoint", str(path(folder, "darkener")), str(video), tool="predict")
    assert done.returncode == 2 and "was trained without labels (TRAIN.OBJECTIVE darkener)" in done.stderr
