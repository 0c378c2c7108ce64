"""TRAIN.COMPILE True: a run as any other, with plain names and an exact resume."""

import os
import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from pair import Scenario, run_pair
from tiny import TINY, run_here, run_tool

from fragrant.models import compiling

COMPILED = [*TINY, "TRAIN.COMPILE", "True", "UNIFORMER.DROPOUT_RATE", "0.1"]


@pytest.fixture(autouse=True)
def anew():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def places(folder: Path, out: str) -> list[str]:
    return ["DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / out)]


def state(out: Path, epoch: int = 2) -> dict:
    return torch.load(out / "checkpoints" / f"checkpoint_epoch_{epoch:05d}.pyth", weights_only=True)


def assert_exact_resume(folder: Path, run) -> None:
    """One run straight, another one of which only the first epoch is left."""
    done = run(*COMPILED, *places(folder, "straight"))
    assert done.returncode == 0, done.stderr
    assert ", compiled" in done.stdout and "GMACs for a clip" in done.stdout
    shutil.copytree(folder / "straight", folder / "resumed")
    (folder / "resumed/checkpoints/checkpoint_epoch_00002.pyth").unlink()
    torch._dynamo.reset()
    done = run(*COMPILED, "TEST.ENABLE", "False", *places(folder, "resumed"))
    assert done.returncode == 0, done.stderr
    assert "checkpoint_epoch_00001.pyth" in done.stdout  # where it goes on
    straight, resumed = (state(folder / name)["model_state"] for name in ("straight", "resumed"))
    assert {"patch_embed1.proj.weight", "head.bias"} < straight.keys() == resumed.keys()
    assert not any("_orig_mod" in name for name in straight)
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_run_resumes_exactly_and_keeps_plain_names(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")  # no compiler: everything but the code that is written
    assert_exact_resume(tmp_path, run_here)


@pytest.mark.slow
def test_the_same_with_the_compiler(tmp_path):
    assert_exact_resume(tmp_path, run_tool)


def test_without_a_compiler_nothing_starts(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    places_to_run = places(tmp_path, "out")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    done = run_here(*COMPILED, "DATA_LOADER.NUM_WORKERS", "2", *places_to_run)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("name another one in CXX, or TRAIN.COMPILE False")
    assert "needs a C++ compiler on the CPU, and there is no 'g++'" in done.stderr and "Traceback" not in done.stderr


# --------------------------------------------------------------------------------------------------------- two processes
PLAIN = [*TINY, *"MODEL.FROZEN_BN True UNIFORMER.DROP_DEPTH_RATE 0 UNIFORMER.QKV_BIAS False TEST.ENABLE False".split()]
WAYS = {
    "replicated": ["TRAIN.SHARDING", "none"],
    "accumulated": ["TRAIN.ACCUM_STEPS", "2"],
    "sharded": ["TRAIN.SHARDING", "fsdp", "TRAIN.CHANNELS_LAST", "False"],
}


def without_a_compiler(rank: int):
    return mock.patch.object(compiling, "BACKEND", "aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_compile_what_one_runs_as_written(tmp_path):
    compiled = [
        Scenario([*PLAIN, *pairs, "TRAIN.COMPILE", "True", *places(tmp_path, name)], without_a_compiler)
        for name, pairs in WAYS.items()
    ]
    for name, done in zip(WAYS, run_pair(compiled, tmp_path, patience=400), strict=True):
        assert [rank.returncode for rank in done] == [0, 0], (name, [rank.stderr for rank in done])
        accumulation = WAYS[name] if name == "accumulated" else []
        assert run_here(*PLAIN, *accumulation, *places(tmp_path, f"alone_{name}")).returncode == 0
        two, one = (state(tmp_path / folder)["model_state"] for folder in (name, f"alone_{name}"))
        assert two.keys() == one.keys()
        assert max((two[key] - one[key]).abs().max().item() for key in one) < 1e-5, name
