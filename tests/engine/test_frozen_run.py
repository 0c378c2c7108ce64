"""MODEL.FREEZE and the rates of fine-tuning from the command line: what is frozen stays, also over a resume, with a
moving average, compiled, and on two processes."""

import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from pair import Scenario, run_pair
from tiny import TINY, run_here

from fragrant.models import compiling

FROZEN = "MODEL.FREEZE [stem,stage1] SOLVER.LAYER_DECAY 0.7 SOLVER.HEAD_LR_FACTOR 5 UNIFORMER.DROPOUT_RATE 0.1".split()
AVERAGED = "TRAIN.EMA.ENABLE True TRAIN.EMA.DECAY 0.5 BN.USE_PRECISE_STATS True".split()
STARTS = ("patch_embed1.", "blocks1.")


def places(folder: Path, out: str) -> list[str]:
    return ["DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / out)]


def state(out: Path, epoch: int) -> dict:
    return torch.load(out / "checkpoints" / f"checkpoint_epoch_{epoch:05d}.pyth", weights_only=True)


def changed_between(one: dict, other: dict) -> set[str]:
    return {name for name, value in one["model_state"].items() if not torch.equal(value, other["model_state"][name])}


def test_what_is_frozen_stays_over_a_resume(tmp_path):
    run = [*TINY, *FROZEN, *AVERAGED]
    done = run_here(*run, *places(tmp_path, "straight"))
    assert done.returncode == 0, done.stderr
    assert "MODEL.FREEZE stem, stage1: 0.0" in done.stdout and "BatchNorm there keeps its statistics" in done.stdout
    first, last = (state(tmp_path / "straight", epoch) for epoch in (1, 2))
    changed = changed_between(first, last)
    assert not [name for name in changed if name.startswith(STARTS)]
    assert {"patch_embed2.proj.weight", "blocks2.0.norm1.running_mean", "head.weight"} <= changed
    groups = last["optimizer_state"]["param_groups"]
    tensors = [name for name, value in last["model_state"].items() if value.is_floating_point()]
    learned = [name for name in tensors if not name.startswith(STARTS) and "running_" not in name]
    assert sum(len(group["params"]) for group in groups) == len(learned)
    assert max(group["lr_scale"] for group in groups) == 5  # the head, by its factor
    shutil.copytree(tmp_path / "straight", tmp_path / "resumed")
    (tmp_path / "resumed/checkpoints/checkpoint_epoch_00002.pyth").unlink()
    done = run_here(*run, *places(tmp_path, "resumed"), "TEST.ENABLE", "False")
    assert done.returncode == 0, done.stderr
    assert not changed_between(state(tmp_path / "resumed", 2), last)


def test_a_wrong_part_is_one_line(tmp_path):
    done = run_here(*TINY, *places(tmp_path, "out"), "MODEL.FREEZE", "[stem,stage9]")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "MODEL.FREEZE 'stage9' is no part of UniFormer; did you mean 'stage" in done.stderr
    done = run_here(*TINY, *places(tmp_path, "out"), "MODEL.FREEZE", "[backbone,head]")
    assert done.returncode == 2 and "nothing to optimise" in done.stderr


# --------------------------------------------------------------------------------------------------------- two processes
PLAIN = [*TINY, *"MODEL.FROZEN_BN True UNIFORMER.DROP_DEPTH_RATE 0 UNIFORMER.QKV_BIAS False TEST.ENABLE False".split()]
TWO = [*PLAIN, *"MODEL.FREEZE [stem,stage1,head] SOLVER.LAYER_DECAY 0.7 SOLVER.CLIP_GRAD_VAL 0.05".split()]
WAYS = {
    "replicated": [],
    "accumulated": ["TRAIN.ACCUM_STEPS", "2"],
    "sharded": ["TRAIN.SHARDING", "fsdp", "TRAIN.CHANNELS_LAST", "False"],
    "compiled": ["TRAIN.COMPILE", "True"],
}


def without_a_compiler(rank: int):
    return mock.patch.object(compiling, "BACKEND", "aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_train_what_one_trains(tmp_path):
    scenarios = [Scenario([*TWO, *pairs, *places(tmp_path, name)], without_a_compiler) for name, pairs in WAYS.items()]
    for name, done in zip(WAYS, run_pair(scenarios, tmp_path, patience=400), strict=True):
        assert [rank.returncode for rank in done] == [0, 0], (name, [rank.stderr for rank in done])
        pairs = WAYS[name] if name == "accumulated" else []
        assert run_here(*TWO, *pairs, *places(tmp_path, f"alone_{name}")).returncode == 0
        two, one = (state(tmp_path / folder, 2)["model_state"] for folder in (name, f"alone_{name}"))
        assert max((two[key] - one[key]).abs().max().item() for key in one) < 1e-5, name
        assert not changed_between(state(tmp_path / name, 1), state(tmp_path / name, 2)) & {"head.weight", "head.bias"}
