"""Two processes that run commands one after another, as torchrun or srun would have started them: torch is imported
once."""

import contextlib
import os
import queue
import traceback
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import torch
from forked import warm_context
from tiny import Done, environment, run_here

from fragrant.distributed import free_address

HOSTS = "#!/bin/sh\necho localhost\n"  # what 'scontrol show hostnames' says


class Scenario(NamedTuple):
    """A command, and what is changed in the process while it runs: ``change(rank)`` is a context."""

    pairs: list[str]
    change: Callable = contextlib.nullcontext
    slurm: bool = False


def torchrun_says(rank: int, port: str) -> dict[str, str]:
    return {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": port}


def slurm_says(rank: int, port: str) -> dict[str, str]:
    """A step of two tasks on one node."""
    numbers = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_NUM_TASKS": 2, "SLURM_STEP_NUM_NODES": 1}
    return {name: str(value) for name, value in numbers.items()} | {
        "SLURM_JOB_ID": port,
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "n1",
        "MASTER_PORT": port,
    }


def _process(rank: int, scenarios: list[Scenario], ports: list[list[str]], results, variables: dict[str, str]) -> None:
    torch.set_num_threads(1)
    os.environ.update(variables)
    for number, scenario in enumerate(scenarios):
        says = slurm_says if scenario.slurm else torchrun_says
        with mock.patch.dict(os.environ, says(rank, ports[number])), scenario.change(rank):
            try:
                said = run_here(*scenario.pairs)
            except Exception:
                said = Done(-1, "", traceback.format_exc())
            results.put((number, rank, said))


def run_pair(scenarios: list[Scenario], folder, *, patience: float = 60) -> list[list[Done]]:
    """What both processes said in each scenario: ``run_pair(...)[scenario][rank]``; ``patience``: seconds for one."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "scontrol").write_text(HOSTS)
    (tools / "scontrol").chmod(0o755)
    context = warm_context()
    results = context.Queue()
    ports = [free_address().rpartition(":")[2] for _ in scenarios]
    given = (scenarios, ports, results, {**environment(), "PATH": f"{tools}:{os.environ['PATH']}"})
    processes = [context.Process(target=_process, args=(rank, *given)) for rank in range(2)]
    for process in processes:
        process.start()
    done = [[None, None] for _ in scenarios]
    try:
        for _ in range(2 * len(scenarios)):
            number, rank, said = results.get(timeout=patience)
            done[number][rank] = said
    except queue.Empty:
        last = [[said and said.returncode for said in ranks] for ranks in done]
        raise AssertionError(f"a process hangs or is gone; exit codes so far: {last}") from None
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    return done
