"""The parallel paths on the one GPU of a machine: NCCL with a single rank, bf16, synchronised and sharded, SIGTERM and
resume."""

import os
import signal
import time

import pytest
import torch
from test_resume import LONGER, started
from tiny import TINY, command
from torch import nn

from fragrant.distributed import GLOO_AND_NCCL
from fragrant.engine import parallel
from fragrant.objectives import Classify

pytestmark = pytest.mark.cuda
GPU = ["NUM_GPUS", "1", "TRAIN.PRECISION", "bf16", "DATA_LOADER.NUM_WORKERS", "2"]


@pytest.fixture
def group():
    """One rank in a group as a run on GPUs has it."""
    store = torch.distributed.TCPStore("localhost", 0, 1, is_master=True)
    torch.distributed.init_process_group(GLOO_AND_NCCL, store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("options", [{}, {"compression": "bf16"}, {"accum_steps": 2}, {"sharding": "fsdp"}], ids=str)
def test_a_step_with_nccl(group, monkeypatch, options):
    if options.get("sharding") != "fsdp":
        monkeypatch.setattr(parallel, "world_size", lambda: 2)  # else the one rank would be left as it is
    device = torch.device("cuda", 0)
    objective = Classify(nn.Sequential(nn.SyncBatchNorm(4), nn.Flatten(), nn.Linear(4 * 8, 3)).to(device))
    trained, average = parallel.parallelize(objective, device, **options)
    average(True)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        out = trained(torch.randn(6, 4, 2, 2, 2, device=device), torch.arange(6, device=device) % 3)
    out.loss.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    assert set(parallel.whole_state(objective.state_dict())) == set(objective.state_dict())


def test_gpu_and_cpu_tensors_both_travel(group):
    for device in ("cuda", "cpu"):
        value = torch.full((3,), 2.0, device=device)
        torch.distributed.all_reduce(value)
        assert value.tolist() == [2.0] * 3


def test_sigterm_and_resume(tmp_path):
    pairs = [*TINY, *LONGER, *GPU, "DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    environ = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0")}
    first = started(command(*pairs), **environ)
    while first.poll() is None and not (tmp_path / "out" / "checkpoints" / "checkpoint_epoch_00001.pyth").exists():
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGTERM)
    said, err = first.communicate(timeout=120)
    assert first.returncode == 0 and "Stopped by SIGTERM" in said, err
    second = started(command(*pairs), **environ)
    said, err = second.communicate(timeout=120)
    assert second.returncode == 0 and "Resuming" in said and '"epoch": "4/4"' in said, err
