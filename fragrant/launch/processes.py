"""The processes of a run and their devices: in this one, or in one new process for each GPU.

torch is imported where it is used: --help and --print-config answer without it."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING

from fragrant.distributed.environment import Environment
from fragrant.distributed.signals import follow_parent, forwarded
from fragrant.errors import RunStopped, UserError
from fragrant.launch.exit_code import exit_code
from fragrant.logs import into_files
from fragrant.workers import end_with_parent

if TYPE_CHECKING:
    import torch


def gpus_here(num_gpus: int | str, processes: int = 0) -> int:
    """NUM_GPUS as a number: "auto" is all GPUs that this process can see, or 0, the CPU, where there is none.

    Args:
        processes: of this machine, where a launcher has started them: "auto" is a GPU for each.
    """
    if isinstance(num_gpus, int):
        return num_gpus
    import torch

    found = torch.cuda.device_count()
    return (processes or found) if found else 0


def pick_device(num_gpus: int | str, num_shards: int = 1) -> "torch.device":
    """Device of a tool that is one process: ``num_gpus`` 0 is the CPU, 1 the first GPU, "auto" that one if there is
    any.

    Raises:
        UserError: more GPUs are asked for than there are, or more processes than one.
    """
    num_gpus = gpus_here(num_gpus, processes=1)
    device = device_of(Environment(local_size=max(1, num_gpus)), num_gpus)
    if num_gpus > 1 or num_shards > 1:
        raise UserError(
            f"NUM_GPUS {num_gpus}, NUM_SHARDS {num_shards}: this tool is one process; allowed: 0 or 1 GPU, 1 shard"
        )
    return device


def device_of(environment: Environment, num_gpus: int | str) -> "torch.device":
    """The GPU of a process, or the CPU when ``num_gpus`` is 0, or "auto" and there is no GPU.

    Raises:
        UserError: fewer GPUs than processes.
    """
    import torch

    num_gpus = gpus_here(num_gpus, environment.local_size)
    if num_gpus == 0:
        return torch.device("cpu")
    found = torch.cuda.device_count()
    if (1 if environment.own_gpu else environment.local_size) > found:
        raise UserError(_too_few(num_gpus, found, built_for_gpus=bool(torch.version.cuda or torch.version.hip)))
    return torch.device("cuda", 0 if environment.own_gpu else environment.local_rank)


def _too_few(num_gpus: int, found: int, *, built_for_gpus: bool) -> str:
    line = f"NUM_GPUS {num_gpus}, but this machine has {found} CUDA GPU(s)"
    if found:
        return f"{line}; allowed: 0 (the CPU) to {found}; add to the command: NUM_GPUS {found}"
    why = "" if built_for_gpus else " that PyTorch can use (this one is built for the CPU alone)"
    return f"{line}{why}; add to the command: NUM_GPUS 0 (the CPU)"


def gpu_if_any(num_gpus: int | str) -> "torch.device":
    """The first GPU, for a tool that runs anywhere; the CPU where there is none, or for 0."""
    return pick_device("auto" if num_gpus else 0)


# ------------------------------------------------------------------------------------------------------------ processes
def launch(job: Callable, cfg, environments: Sequence[Environment], *, debug: bool = False) -> int:
    """Runs ``job(cfg, device)`` here, or in one new process for each of several environments; the exit code."""
    for environment in environments:
        device_of(environment, cfg.NUM_GPUS)  # says what is wrong before anything is started
    if len(environments) > 1:
        return _in_new_processes(job, cfg, environments, debug)
    if "TORCHELASTIC_RUN_ID" in os.environ:  # without its agent torchrun's processes would go on for ever
        from fragrant.distributed.rendezvous import agent_is_gone

        end_with_parent(partial(_say_alone, environments[0], "torchrun's agent"))
        if agent_is_gone(environments[0]):  # since before the watch began, while this process was importing
            raise RunStopped("torchrun's agent, which started this process, is gone")
    _run(job, cfg, environments[0])
    return 0


def _in_new_processes(job: Callable, cfg, environments: Sequence[Environment], debug: bool) -> int:
    from torch.multiprocessing import start_processes

    with forwarded() as are_started:
        with _without_keyboard():
            children = start_processes(
                _child,
                args=(job, cfg, tuple(environments), debug),
                nprocs=len(environments),
                join=False,
                start_method="spawn",
            )
        try:
            are_started(children.pids())
            return _watch(children.processes, first_rank=environments[0].rank)
        finally:
            for process in children.processes:  # some are left only after Ctrl-C, or an error of this process
                process.kill()
                process.join()


@contextlib.contextmanager
def _without_keyboard() -> Iterator[None]:
    """Processes that are started within it hear no Ctrl-C before they ``follow_parent``."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # when multiprocessing starts it, it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _say_alone(environment: Environment, launcher: str) -> None:
    """The last words of a process whose launcher was killed; one for all of this machine."""
    if environment.local_rank == 0:
        line = f"stopped: {launcher}, which started this process, is gone; the last checkpoint stays"
        into_files(line)
        print(line, file=sys.stderr, flush=True)


def _run(job: Callable, cfg, environment: Environment) -> None:
    import torch

    from fragrant.distributed.rendezvous import GLOO_AND_NCCL, joined

    device = device_of(environment, cfg.NUM_GPUS)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = GLOO_AND_NCCL if device.type == "cuda" and cfg.DIST_BACKEND == "nccl" else "gloo"
    with joined(environment, backend=backend, timeout=cfg.DIST.TIMEOUT):
        job(cfg, device)


def _child(number: int, job: Callable, cfg, environments: Sequence[Environment], debug: bool) -> None:
    follow_parent(speak=number == 0)
    end_with_parent(partial(_say_alone, environments[number], "the command"))
    sys.exit(exit_code(lambda: _run(job, cfg, environments[number]), debug=debug))


def _watch(processes: Sequence, *, first_rank: int, grace: float = 20.0) -> int:
    """Waits for all; when one fails, the others get ``grace`` seconds to notice it themselves.

    Wrong input on one rank is loss of contact on the others, whoever ends first: the exit code is 2 when any has 2.
    """
    running = {process.sentinel: process for process in processes}
    codes: set[int] = set()
    deadline: float | None = None
    while running:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ended = connection.wait(list(running), left)
        for sentinel in ended:
            process = running.pop(sentinel)
            process.join()
            code = process.exitcode
            if code and code < 0 and not codes:  # the first; the others follow from it
                rank = first_rank + list(processes).index(process)
                print(
                    f"stopped: rank {rank} was ended by {signal.Signals(-code).name}; the others end too",
                    file=sys.stderr,
                )
            if code:
                deadline = deadline or time.monotonic() + grace
                codes.add(code)
        if not ended:
            for process in running.values():
                process.kill()
    return 2 if 2 in codes else int(bool(codes))
