"""Which process of how many: what torchrun, SLURM and the command line say, and what contradicts what."""

import os

import pytest
import torch
from tiny import TINY, run_here

from fragrant import launch
from fragrant.distributed import Environment
from fragrant.distributed.environment import launched, own_environments, slurm_address
from fragrant.errors import UserError
from fragrant.launch import argument_parser, config_and_environments
from fragrant.launch.processes import device_of

TORCHRUN = dict(RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4", MASTER_ADDR="n1", MASTER_PORT="29500")
SLURM = dict(
    SLURM_PROCID="5",
    SLURM_STEP_NUM_TASKS="8",
    SLURM_LOCALID="1",
    SLURM_STEP_NUM_NODES="2",
    SLURM_JOB_ID="17",
    SLURM_STEP_ID="0",
    SLURM_STEP_NODELIST="n[1-2]",
    MASTER_ADDR="n1",
)


def test_torchrun():
    found = launched({**TORCHRUN, "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "2"})
    assert found.environment == Environment(5, 8, 1, 4, address="tcp://n1:29500", store_is_up=True, attempt="2")
    assert (found.by, found.num_machines, found.machine) == ("torchrun", 2, 1)


def test_torchrun_within_a_slurm_step_counts():
    assert launched({**SLURM, **TORCHRUN}).by == "torchrun"


def test_slurm():
    found = launched(SLURM)
    assert found.environment == Environment(5, 8, 1, 4, address=found.environment.address)
    assert found.environment.address.startswith("tcp://n1:2") and (found.by, found.num_machines, found.machine) == (
        "srun",
        2,
        1,
    )
    assert launched({**SLURM, "MASTER_PORT": "1234"}).environment.address == "tcp://n1:1234"
    # two jobs on one node
    assert launched({**SLURM, "SLURM_JOB_ID": "18"}).environment.address != found.environment.address
    assert launched({**SLURM, "SLURM_GPUS_PER_TASK": "1"}).environment.own_gpu


@pytest.mark.parametrize(
    "environ",
    [
        {},
        # the batch script itself: nobody started 8 tasks
        {
            "SLURM_PROCID": "0",
            "SLURM_NTASKS": "8",
            "SLURM_JOB_ID": "17",
        },
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1"},  # an interactive shell
    ],
)
def test_no_launcher(environ):
    assert launched(environ) is None


@pytest.mark.parametrize(
    "environ, message",
    [
        (
            {"RANK": "0", "WORLD_SIZE": "2"},
            "looks like a process of torchrun, but LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_PORT is not set",
        ),
        ({**TORCHRUN, "WORLD_SIZE": "two"}, "WORLD_SIZE=two, set by torchrun, is no number"),
        ({**TORCHRUN, "WORLD_SIZE": "7"}, "torchrun started 4 of 7 processes on the machine of rank 5"),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "7"}, "srun started 7 tasks on 2 nodes; allowed: equally many on each"),
        ({**SLURM, "SLURM_LOCALID": "2"}, "the ranks of a machine in a row"),  # --distribution=cyclic
        ({name: value for name, value in SLURM.items() if name != "SLURM_LOCALID"}, "but SLURM_LOCALID is not set"),
    ],
)
def test_a_wrong_environment(environ, message):
    with pytest.raises(UserError, match=message):
        launched(environ)


def fake_scontrol(folder, monkeypatch, script: str) -> None:
    (folder / "scontrol").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("first, address", [("localhost", "localhost"), ("no-such-node.invalid", "10.0.0.7")])
def test_the_first_node_is_asked_from_slurm(tmp_path, monkeypatch, first, address):
    script = f'[ "$2" = hostnames ] && echo "{first}\nn2" || echo "NodeName=$3 NodeAddr=10.0.0.7 Port=1"'
    fake_scontrol(tmp_path, monkeypatch, script)
    assert slurm_address("n[1-2]") == address


@pytest.mark.parametrize("script", ["echo no controller >&2; exit 1", None])
def test_slurm_does_not_answer(tmp_path, monkeypatch, script):
    if script:
        fake_scontrol(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"'scontrol show hostnames n\[1-2\]' failed: .*; set MASTER_ADDR") as error:
        slurm_address("n[1-2]")
    assert "no controller" in str(error.value) if script else "No such file" in str(error.value)


def test_places_of_this_machine():
    assert own_environments(num_gpus=0, num_shards=1, shard_id=0, init_method=None) == [Environment()]
    assert own_environments(num_gpus=1, num_shards=1, shard_id=0, init_method=None) == [Environment()]
    two = own_environments(num_gpus=2, num_shards=3, shard_id=1, init_method="tcp://h:1")
    assert two == [Environment(2, 6, 0, 2, address="tcp://h:1"), Environment(3, 6, 1, 2, address="tcp://h:1")]
    assert own_environments(num_gpus=2, num_shards=1, shard_id=0, init_method=None)[1].address.startswith(
        "tcp://localhost:"
    )


def placed(monkeypatch, environ, *words):
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return config_and_environments(argument_parser("", many=True).parse_intermixed_args(list(words)))


@pytest.mark.parametrize("environ", [TORCHRUN, SLURM], ids=["torchrun", "slurm"])
@pytest.mark.parametrize(
    "pairs, num_gpus", [((), 4), (("NUM_GPUS", "4"), 4), (("NUM_GPUS", "0"), 0), (("NUM_SHARDS", "2"), 4)]
)
def test_the_launcher_completes_the_config(monkeypatch, environ, pairs, num_gpus):
    cfg, environments = placed(monkeypatch, environ, "--num_shards", "2", *pairs)
    assert (cfg.NUM_GPUS, cfg.NUM_SHARDS, cfg.SHARD_ID) == (num_gpus, 2, 1) and [
        environment.rank for environment in environments
    ] == [5]


CONTRADICTIONS = [
    (
        TORCHRUN,
        ["NUM_GPUS", "2"],
        "NUM_GPUS 2 and the 4 processes that torchrun started on this machine contradict each other",
    ),
    (
        SLURM,
        ["NUM_GPUS", "8"],
        "NUM_GPUS 8 and the 4 processes that srun started on this machine contradict each other",
    ),
    (TORCHRUN, ["--num_shards", "4"], "NUM_SHARDS 2 of torchrun and --num_shards 4 contradict each other"),
    (SLURM, ["NUM_SHARDS", "4"], "NUM_SHARDS 2 of srun and NUM_SHARDS 4 contradict each other"),
    (TORCHRUN, ["--shard_id", "0"], "SHARD_ID 1 of torchrun and --shard_id 0 contradict each other"),
    (TORCHRUN, ["--init_method", "tcp://a:1"], "--init_method tcp://a:1 and torchrun contradict each other"),
    (
        TORCHRUN,
        ["TRAIN.BATCH_SIZE", "6", "NUM_GPUS", "0"],
        "TRAIN.BATCH_SIZE 6 must be a multiple of the 4 processes of this machine",
    ),
    ({}, ["--num_shards", "2", "NUM_SHARDS", "3"], "--num_shards 2 and NUM_SHARDS 3 contradict each other"),
    ({}, ["--num_shards", "2"], "NUM_SHARDS 2 machines need --init_method tcp://HOST:PORT"),
    ({}, ["--num_shards", "2", "--shard_id", "2"], "SHARD_ID 2 must be below NUM_SHARDS 2"),
]


@pytest.mark.parametrize(
    "environ, words, message", CONTRADICTIONS, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
def test_contradictions(monkeypatch, environ, words, message):
    with pytest.raises(UserError, match=message):
        placed(monkeypatch, environ, *words)


def test_fewer_gpus_than_processes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(Environment(local_rank=1, local_size=2), 2) == torch.device("cuda", 1)
    assert device_of(Environment(local_rank=3, local_size=4, own_gpu=True), 4) == torch.device("cuda", 0)
    assert device_of(Environment(local_rank=3, local_size=4), 0) == torch.device("cpu")
    with pytest.raises(
        UserError, match=r"NUM_GPUS 4, but this machine has 2 CUDA GPU\(s\); allowed: 0 \(the CPU\) to 2"
    ):
        device_of(Environment(local_rank=0, local_size=4), 4)
    with pytest.raises(UserError, match="NUM_GPUS 2, NUM_SHARDS 1: this tool is one process"):
        launch.pick_device(2)


def test_nothing_is_started_without_gpus(tmp_path):
    done = run_here(*TINY, "NUM_GPUS", "2", "OUTPUT_DIR", str(tmp_path / "out"))
    assert done.returncode == 2 and "NUM_GPUS 2, but this machine has 0 CUDA GPU(s)" in done.stderr


def test_help_explains_the_four_ways(capsys):
    with pytest.raises(SystemExit):
        argument_parser("", many=True).parse_args(["--help"])
    text = capsys.readouterr().out.split("Four ways to start")[1]
    assert (
        all(word in text for word in ("NUM_GPUS 8", "--num_shards N", "torchrun", "srun", "DIST.TIMEOUT"))
        and len(text.splitlines()) <= 10
    )
