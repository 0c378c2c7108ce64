"""A run that earlier code wrote and did not finish is taken up and tested: its files, its numbers."""

import json
import platform
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from tiny import run_here
from torch import Tensor

from fragrant.checkpoint import find_latest, load_checkpoint
from fragrant.config import load_cfg
from fragrant.engine.start import Sources, load_start
from fragrant.engine.state import take_up
from fragrant.models import build_model
from fragrant.optim import build_optimizer
from fragrant.optim.step import Stepper
from fragrant.runtime.build import objective_on_device

KEPT = ROOT / "tests" / "golden_run"
FACTS = json.loads((KEPT / "expected.json").read_text())
# where torch or processor are others (SSE4.1: 6e-6, 5e-5); a step moves a weight by up to 5e-4
WEIGHTS_WITHIN, LOGITS_WITHIN = (
    2e-5,
    2e-4,
)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


def same_machine() -> bool:
    """Only there is a sum of floats promised to have the same bits; what is loaded has them everywhere."""
    here = (torch.__version__, platform.machine(), processor(), torch.backends.cpu.get_cpu_capability())
    return here == tuple(FACTS[name] for name in ("torch", "machine", "cpu", "cpu_capability"))


def assert_kept(found: np.ndarray, wanted: np.ndarray, within: float) -> None:
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    if same_machine():
        assert np.array_equal(found, wanted), f"off by {np.abs(found - wanted).max():.1e}"
    np.testing.assert_allclose(found, wanted, rtol=0, atol=within)


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(KEPT / "expected.npz") as file:
        return dict(file)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A copy of the folder to work in; its own config file says all that a command needs."""
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(*pairs: str) -> str:
        done = run_here("--cfg", "output/config.yaml", *pairs)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def flat(state: dict[str, Tensor]) -> np.ndarray:
    return torch.cat([value.flatten() for value in state.values() if value.is_floating_point()]).numpy()


def logged(name: str, epoch: str) -> list[float]:
    rows = [json.loads(line) for line in Path("output/metrics.jsonl").read_text().splitlines()]
    return [row[name] for row in rows if row.get("_type") == "train_iter" and row["epoch"] == epoch]


def test_it_ends_as_if_nobody_had_interrupted_it(run, expected):
    said = run()
    assert (
        "Resuming output/checkpoints/checkpoint_epoch_00001_batch_00001.pyth: 1 of 2 epochs and 1 batches of the "
        "next are done" in said
    )
    state = load_checkpoint(find_latest("output"))
    assert (state["epoch"], state["batch"], state["step"]) == (1, 0, 6)
    assert state["best"] == pytest.approx(FACTS["best"])
    assert_kept(flat(state["model_state"]), expected["weights"], WEIGHTS_WITHIN)
    assert logged("loss", "2/2") == pytest.approx(FACTS["losses_of_epoch_2"], rel=1e-6)
    with np.load("output/scores.npz") as scores:
        assert scores["labels"].tolist() == expected["labels"].tolist()
        assert_kept(scores["logits"], expected["logits"], LOGITS_WITHIN)


def test_its_best_weights_are_tested(run, expected):
    said = run("TRAIN.ENABLE", "False", "TEST.TEST_BEST", "True")
    assert (
        "Testing output/checkpoints/best.pyth: 100.0 % of the model's tensors matched; 95 of 95 tensors loaded" in said
    )
    assert "the 6 names and their order agree with the checkpoint's" in said
    with np.load("output/scores.npz") as scores:
        assert_kept(scores["logits"], expected["best_logits"], LOGITS_WITHIN)


def assert_same(found, wanted, where: str) -> None:
    """Equal bit for bit, whatever is nested in what."""
    if isinstance(wanted, Tensor):
        assert found.dtype == wanted.dtype and torch.equal(found, wanted), where
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key, value in wanted.items():
            assert_same(found[key], value, f"{where}[{key!r}]")
    else:
        assert found == wanted, where


def test_all_that_it_holds_is_loaded_bit_for_bit():
    cfg = load_cfg(KEPT / "output/config.yaml")
    model = build_model(cfg)
    sources = Sources(
        str(KEPT / "output"), True, "", epoch_reset=False, clear_patterns=(), inflation=None, pretrained=""
    )
    start = load_start(model, sources, max_epoch=2)
    objective = objective_on_device(cfg, model, torch.device("cpu"))
    optimizer, scaler = build_optimizer(cfg, objective), torch.amp.GradScaler("cpu", enabled=False)
    stepper = Stepper(objective, optimizer, scaler=scaler, clip_norm=None)
    before = torch.get_rng_state()
    try:
        take_up(start, objective, optimizer, scaler, stepper)
        assert torch.equal(torch.get_rng_state(), start.state["rng"][0]["torch"])
    finally:
        torch.set_rng_state(before)
    kept = torch.load(KEPT / "output/checkpoints/checkpoint_epoch_00001_batch_00001.pyth", weights_only=True)
    assert (start.epoch, start.batch, start.best) == (1, 1, kept["best"])
    assert_same(dict(model.state_dict()), dict(kept["model_state"]), "model_state")
    assert_same(optimizer.state_dict()["state"], kept["optimizer_state"]["state"], "optimizer_state")
    assert_same(stepper.state_dict(), kept["stepper"], "stepper")
