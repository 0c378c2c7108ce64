"""The batch scripts on a real SLURM of two nodes, which local_slurm.sh starts on this machine."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

pytestmark = pytest.mark.slurm
DEMO = """
    --cfg configs/demo/uniformer_xs.yaml SOLVER.MAX_EPOCH 4 SOLVER.WARMUP_EPOCHS 1.0 TRAIN.BATCH_SIZE 4 LOG_PERIOD 1
    DATA_LOADER.NUM_WORKERS 1 DEMO_SET.VIDEOS_PER_CLASS 8 DEMO_SET.TEST_VIDEOS_PER_CLASS 2 DIST.TIMEOUT 120 UNIFORMER.DROPOUT_RATE 0.1
""".split()  # 6 steps of 8 videos on two nodes; dropout: random states count


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The environment for sbatch: where the cluster is, and which Python."""
    if os.environ.get("SLURM_CONF") is None and (os.geteuid() != 0 or not shutil.which("apt-get")):
        pytest.skip("no SLURM here (SLURM_CONF): one can be started only by root on Debian")
    environ = {
        **os.environ,
        "PYTHON": sys.executable,
        "REQUEUE": "False",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    if "SLURM_CONF" in os.environ:
        yield environ
        return
    folder = tmp_path_factory.mktemp("cluster")
    script = [str(Path(__file__).with_name("local_slurm.sh"))]
    started = subprocess.run([*script, "start", str(folder)], capture_output=True, text=True, timeout=600)
    try:
        if started.returncode:
            pytest.skip(f"SLURM could not be installed or started: {started.stderr.strip()[-300:]}")
        yield {**environ, "SLURM_CONF": str(folder / "slurm.conf")}
    finally:
        subprocess.run([*script, "stop", str(folder)], check=False, timeout=60)


def told(cluster: dict, *words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env=cluster, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def submit(cluster: dict, log: Path, script: str, *words: str, options: tuple[str, ...] = (), nodes: int = 2) -> str:
    size = f"--nodes={nodes} --ntasks-per-node=1 --gpus-per-node=0 --cpus-per-task=1 --time=10 --parsable".split()
    return told(cluster, "sbatch", *size, f"--output={log}", *options, f"tools/slurm/{script}.sbatch", *words)


def state_of(cluster: dict, job: str) -> set[str]:
    return set(told(cluster, "squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").split())


def wait_for(cluster: dict, job: str, log: Path, seconds: float = 240) -> str:
    """The log of a job that has completed well."""
    deadline = time.monotonic() + seconds
    while (states := state_of(cluster, job)) - {"COMPLETED"} and time.monotonic() < deadline:
        assert not states & {"FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}, (states, log.exists() and log.read_text())
        time.sleep(0.2)
    assert states == {"COMPLETED"}, (states, log.exists() and log.read_text())
    return log.read_text()


def wait_for_step(out: Path, epoch: int, step: int) -> None:
    log, deadline = out / "stdout.log", time.monotonic() + 240
    while not (log.exists() and re.search(rf'"epoch": "{epoch}/4".*"iter": "{step}/6"', log.read_text())):
        assert time.monotonic() < deadline, log.exists() and log.read_text()
        time.sleep(0.005)


def words(folder: Path, name: str) -> list[str]:
    return [*DEMO, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / name)]


@pytest.fixture(scope="module")
def unbroken(cluster, tmp_path_factory):
    """An uninterrupted job on both nodes."""
    folder = tmp_path_factory.mktemp("jobs")
    said = wait_for(
        cluster, submit(cluster, folder / "unbroken.log", "train", *words(folder, "unbroken")), folder / "unbroken.log"
    )
    assert "8 clips per step" in said and "2 processes on 2 machine(s)" in said and '"split": "test_final"' in said
    return folder


def assert_same_end(folder: Path, name: str) -> None:
    one, other = (
        torch.load(folder / run / "checkpoints" / "checkpoint_epoch_00004.pyth", weights_only=True)["model_state"]
        for run in ("unbroken", name)
    )
    for key, value in one.items():
        assert torch.equal(value, other[key]), key
    scores = [np.load(folder / run / "scores.npz")["logits"] for run in ("unbroken", name)]
    assert np.array_equal(*scores)


def test_a_job_hit_by_usr1_saves_and_the_next_finishes(cluster, unbroken):
    job = submit(cluster, unbroken / "first.log", "train", *words(unbroken, "broken"))
    wait_for_step(unbroken / "broken", 2, 2)
    told(cluster, "scancel", "--signal=USR1", job)
    assert "Stopped by SIGUSR1 after batch" in wait_for(cluster, job, unbroken / "first.log")
    assert not (unbroken / "broken" / "checkpoints" / "checkpoint_epoch_00004.pyth").exists()
    job = submit(cluster, unbroken / "second.log", "train", *words(unbroken, "broken"))
    said = wait_for(cluster, job, unbroken / "second.log")
    assert "Resuming" in said and "batches of the next are done" in said
    assert_same_end(unbroken, "broken")


def test_a_job_requeues_itself(cluster, unbroken):
    """One submission: after USR1 it is back in the queue, runs again and finishes."""
    log = unbroken / "requeued.log"
    job = submit({**cluster, "REQUEUE": "True"}, log, "train", *words(unbroken, "requeued"))
    wait_for_step(unbroken / "requeued", 2, 2)
    told(cluster, "scancel", "--signal=USR1", job)
    deadline = time.monotonic() + 60
    while state_of(cluster, job) != {"PENDING"} and time.monotonic() < deadline:
        time.sleep(0.2)
    assert state_of(cluster, job) == {"PENDING"}, log.read_text()
    told(cluster, "scontrol", "update", f"jobid={job}", "starttime=now")  # else SLURM waits two minutes
    said = wait_for(cluster, job, log)
    assert "Stopped by SIGUSR1" in said and "Resuming" in said
    assert_same_end(unbroken, "requeued")


def test_a_cancelled_job_stays_cancelled(cluster, unbroken):
    """scancel sends SIGTERM too; what was saved is there, the job does not come back."""
    log = unbroken / "cancelled.log"
    job = submit({**cluster, "REQUEUE": "True"}, log, "train", *words(unbroken, "cancelled"))
    wait_for_step(unbroken / "cancelled", 2, 2)
    told(cluster, "scancel", job)
    deadline = time.monotonic() + 60
    while "it is not put back into the queue" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.2)
    while state_of(cluster, job) == {"COMPLETING"} and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "Stopped by SIGTERM" in log.read_text() and state_of(cluster, job) == {"CANCELLED"}, (
        log.read_text(),
        state_of(cluster, job),
    )


def test_the_job_array_runs_two_seeds(cluster, unbroken):
    log = unbroken / "sweep_%a.log"
    short = [*words(unbroken, "seeds"), "SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_EPOCHS", "0.0"]
    job = submit(cluster, log, "sweep", *short, options=("--array=1-2",), nodes=1)
    wait_for(cluster, job, unbroken / "sweep_1.log")
    ends = []
    for seed in (1, 2):
        out = unbroken / "seeds" / str(seed)
        assert f"RNG_SEED: {seed}" in (out / "config.yaml").read_text() and (out / "scores.npz").is_file()
        ends.append(
            torch.load(out / "checkpoints" / "checkpoint_epoch_00001.pyth", weights_only=True)["model_state"][
                "head.weight"
            ]
        )
    assert not torch.equal(*ends)
