"""The place of this process among those of a run, by torchrun, SLURM or the command line."""

import contextlib
import random
import socket
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from fragrant.errors import RunStopped, UserError


class Environment(NamedTuple):
    """The place of this process among those of a run, and where they meet."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # among the processes of this machine
    local_size: int = 1  # processes of this machine
    address: str = ""  # tcp://host:port, or file:///a/new/file that all machines see
    store_is_up: bool = False  # torchrun's agent keeps the store at the address; else rank 0 opens it
    attempt: str = "0"  # torchrun starts fallen processes again, at the same address
    own_gpu: bool = False  # the launcher shows each process its own GPU alone


class Launched(NamedTuple):
    """A process that a launcher has started, one of ``environment.world_size``."""

    by: str  # for messages
    environment: Environment

    @property
    def num_machines(self) -> int:
        return self.environment.world_size // self.environment.local_size

    @property
    def machine(self) -> int:
        return self.environment.rank // self.environment.local_size


def launched(environ: Mapping[str, str]) -> Launched | None:
    """Reads the environment variables of torchrun, or of a SLURM step with several tasks; None where neither has
    started this process.

    Raises:
        UserError: the variables are incomplete, or the machines have different numbers of processes.
    """
    if "RANK" in environ or "WORLD_SIZE" in environ:
        return _torchrun(environ)
    # Only srun sets SLURM_STEP_NUM_TASKS. In the batch script itself SLURM_NTASKS counts processes that nobody has
    # started.
    if int(environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return _slurm(environ)
    return None


def _numbers(environ: Mapping[str, str], names: tuple[str, ...], by: str) -> list[int]:
    missing = [name for name in names if name not in environ]
    if missing:
        raise UserError(
            f"this looks like a process of {by}, but {', '.join(missing)} is not set; {by} sets {', '.join(names)}"
        )
    wrong = [f"{name}={environ[name]}" for name in names if not environ[name].isdecimal()]
    if wrong:
        raise UserError(f"{', '.join(wrong)}, set by {by}, is no number")
    return [int(environ[name]) for name in names]


def _torchrun(environ: Mapping[str, str]) -> Launched:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    rank, world_size, local_rank, local_size, port = _numbers(environ, names, "torchrun")
    environment = Environment(
        rank,
        world_size,
        local_rank,
        local_size,
        address=f"tcp://{environ.get('MASTER_ADDR', 'localhost')}:{port}",
        store_is_up=environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        attempt=environ.get("TORCHELASTIC_RESTART_COUNT", "0"),
    )
    return Launched("torchrun", _equal_machines(environment, rank - local_rank, "torchrun"))


def _slurm(environ: Mapping[str, str]) -> Launched:
    names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_NUM_NODES", "SLURM_JOB_ID")
    rank, world_size, local_rank, num_nodes, job = _numbers(environ, names, "srun")
    host = environ.get("MASTER_ADDR") or slurm_address(environ["SLURM_STEP_NODELIST"])
    # two jobs may share a node
    port = environ.get("MASTER_PORT") or 20000 + (job * 37 + int(environ.get("SLURM_STEP_ID", 0))) % 10000
    if world_size % num_nodes:
        raise UserError(
            f"srun started {world_size} tasks on {num_nodes} nodes; allowed: equally many on each (--ntasks-per-node)"
        )
    environment = Environment(
        rank,
        world_size,
        local_rank,
        world_size // num_nodes,
        address=f"tcp://{host}:{port}",
        own_gpu="SLURM_GPUS_PER_TASK" in environ,
    )
    return Launched("srun", _equal_machines(environment, rank - local_rank, "srun"))


def _equal_machines(environment: Environment, first: int, by: str) -> Environment:
    if (
        environment.world_size % environment.local_size
        or first % environment.local_size
        or environment.local_rank >= environment.local_size
    ):
        raise UserError(
            f"{by} started {environment.local_size} of {environment.world_size} processes on the machine of rank "
            f"{environment.rank}, number "
            f"{environment.local_rank} there; allowed: equally many on every machine, the ranks of a machine in a row"
        )
    return environment


def slurm_address(nodes: str) -> str:
    """Name or address of the first node of a SLURM node list, ``n[01-04,9]``."""
    host = _scontrol("show", "hostnames", nodes).split()[0]
    try:
        socket.getaddrinfo(host, None)
    except OSError:  # the cluster knows its nodes under names that only SLURM can resolve
        facts = dict(word.split("=", 1) for word in _scontrol("show", "node", host).split() if "=" in word)
        return facts.get("NodeAddr", host)
    return host


def _scontrol(*words: str) -> str:
    try:
        return subprocess.run(["scontrol", *words], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip()
        raise UserError(
            f"'scontrol {' '.join(words)}' failed: {reason}; set MASTER_ADDR to the first node's address instead"
        ) from error


def own_environments(*, num_gpus: int, num_shards: int, shard_id: int, init_method: str | None) -> list[Environment]:
    """The environments of this machine's processes when no launcher has started them: one process per GPU.

    Raises:
        UserError: several machines without a rendezvous.
    """
    local_size = max(1, num_gpus)
    world_size = local_size * num_shards
    if num_shards > 1 and not init_method:
        raise UserError(
            f"NUM_SHARDS {num_shards} machines need --init_method tcp://HOST:PORT, with the address of machine 0"
        )
    address = init_method or (free_address() if world_size > 1 else "")
    first = shard_id * local_size
    return [
        Environment(first + local_rank, world_size, local_rank, local_size, address=address)
        for local_rank in range(local_size)
    ]


def free_address() -> str:
    """A rendezvous for processes of this machine alone."""
    # below those that connections are given while one waits
    for port in random.SystemRandom().sample(range(20000, 30000), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("localhost", port))
            return f"tcp://localhost:{port}"
    raise RunStopped("no free port from 20000 to 29999 on this machine")
