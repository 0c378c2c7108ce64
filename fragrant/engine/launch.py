"""Starts a run: command line, processes and their devices, and what the user sees when something is wrong."""

import argparse
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import connection

import torch
from torch.multiprocessing import start_processes

from fragrant.config import load_cfg
from fragrant.distributed import GLOO_AND_NCCL, Place, joined
from fragrant.engine.interrupt import forwarded
from fragrant.engine.place import Launched, launched, own_places
from fragrant.errors import RunStopped, UserError

EPILOG = """\
KEY VALUE pairs override the config, with or without --opts before them:
  python tools/run_net.py --cfg configs/demo/uniformer_xs.yaml SOLVER.MAX_EPOCH 5 OUTPUT_DIR output/short
Every key with its default and meaning: fragrant/config/defaults.py; --print-config shows the effective values.
"""
FOUR_WAYS = """
Four ways to start, one process per GPU in each; NUM_GPUS 0 = one process on the CPU:
  one machine       python tools/run_net.py --cfg X NUM_GPUS 8
  several machines  the same on machine I of N, with  --num_shards N --shard_id I --init_method tcp://HOST_OF_MACHINE_0:PORT
  torchrun          torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d --rdzv_endpoint HOST:PORT tools/run_net.py --cfg X
  SLURM             srun --nodes 2 --ntasks-per-node 8 --gpus-per-node 8 python tools/run_net.py --cfg X  (tools/slurm/train.sbatch)
torchrun and SLURM say how many processes and machines there are: leave NUM_GPUS (above 0) and NUM_SHARDS to them.
TRAIN.BATCH_SIZE is the batch of one machine, all its processes together. Who waits longer than DIST.TIMEOUT seconds ends the run.
SIGUSR1 and SIGTERM: the step is finished, saved, exit code 0; the same command goes on from there (TRAIN.REQUEUE: SLURM starts it).
"""


def argument_parser(description: str, *, what: Sequence[str] = (), many: bool = False) -> argparse.ArgumentParser:
    """The arguments that every tool with a config has.

    Args:
        what: the tasks of a tool that has several, named first.
        many: the tool can be many processes.
    """
    epilog = EPILOG + (FOUR_WAYS if many else "")
    parser = argparse.ArgumentParser(description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    if what:
        parser.add_argument("what", choices=sorted(what), help="what to do")
    parser.add_argument("--cfg", metavar="FILE", help="a yaml file, merged over the defaults")
    parser.add_argument("--num_shards", type=int, metavar="N", help="machines that take part (NUM_SHARDS)")
    parser.add_argument("--shard_id", type=int, metavar="I", help="which of them this one is (SHARD_ID)")
    if many:
        parser.add_argument("--init_method", metavar="URL", help="where machines meet: tcp://host:port, or file:///a/new/file they share")
    parser.add_argument("--print-config", action="store_true", help="print the effective config and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="overrides, the same as behind the other arguments")
    parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help="overrides")
    return parser


def config_of(arguments: argparse.Namespace, launcher: Launched | None = None):
    """Defaults <- file <- pairs <- flags <- what a launcher says about processes and machines.

    Raises:
        UserError: also where two of these contradict each other.
    """
    pairs = [*arguments.pairs, *arguments.opts]
    given = dict(zip(pairs[::2], pairs[1::2], strict=False))
    counted = {"NUM_SHARDS": launcher.num_machines, "SHARD_ID": launcher.machine} if launcher else {}
    for key in ("NUM_SHARDS", "SHARD_ID"):
        said = {f"{key} {given[key]}": given[key]} if key in given else {}
        flag = getattr(arguments, key.lower())
        if flag is not None:
            said[f"--{key.lower()} {flag}"] = str(flag)
        if key in counted:
            said[f"{key} {counted[key]} of {launcher.by}"] = str(counted[key])
        if len(set(said.values())) > 1:
            raise UserError(f"{' and '.join(reversed(said))} contradict each other; give one of them")
        pairs += [key, *said.values()][:2] if said else []
    cfg = load_cfg(arguments.cfg, pairs)
    if not launcher:
        return cfg
    processes = launcher.place.local_size
    if cfg.NUM_GPUS and given.get("NUM_GPUS", str(processes)) != str(processes):
        raise UserError(
            f"NUM_GPUS {cfg.NUM_GPUS} and the {processes} processes that {launcher.by} started on this machine contradict each other; "
            f"leave NUM_GPUS out, or set it to {processes} (GPUs) or 0 (the CPU)"
        )
    if getattr(arguments, "init_method", None):
        raise UserError(
            f"--init_method {arguments.init_method} and {launcher.by} contradict each other: {launcher.by} has its own rendezvous"
        )
    return load_cfg(arguments.cfg, [*pairs, "NUM_GPUS", str(processes)]) if cfg.NUM_GPUS not in (0, processes) else cfg


def config_and_places(arguments: argparse.Namespace):
    """The config, and the places of the processes that this one has to be (one) or to start (several).

    Raises:
        UserError: something contradicts something else, or there are fewer GPUs than processes.
    """
    launcher = launched(os.environ)
    cfg = config_of(arguments, launcher)
    if launcher:
        places = [launcher.place]
    else:
        shards = dict(num_shards=cfg.NUM_SHARDS, shard_id=cfg.SHARD_ID)
        places = own_places(num_gpus=cfg.NUM_GPUS, init_method=arguments.init_method, **shards)
    processes = places[0].local_size
    if cfg.TRAIN.ENABLE and cfg.TRAIN.BATCH_SIZE % processes:
        raise UserError(f"TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} must be a multiple of the {processes} processes of this machine")
    return cfg, places


def pick_device(num_gpus: int, num_shards: int = 1) -> torch.device:
    """For a tool that is one process: 0 is the CPU, 1 the first GPU.

    Raises:
        UserError: more GPUs are asked for than there are, or more processes than one.
    """
    device = device_of(Place(local_size=max(1, num_gpus)), num_gpus)
    if num_gpus > 1 or num_shards > 1:
        raise UserError(f"NUM_GPUS {num_gpus}, NUM_SHARDS {num_shards}: this tool is one process; allowed: 0 or 1 GPU, 1 shard")
    return device


def device_of(place: Place, num_gpus: int) -> torch.device:
    """The GPU of a process, or the CPU when ``num_gpus`` is 0.

    Raises:
        UserError: fewer GPUs than processes.
    """
    if num_gpus == 0:
        return torch.device("cpu")
    found = torch.cuda.device_count()
    if (1 if place.own_gpu else place.local_size) > found:
        raise UserError(f"NUM_GPUS {num_gpus}, but this machine has {found} CUDA GPU(s); allowed: 0 (the CPU) to {found}")
    return torch.device("cuda", 0 if place.own_gpu else place.local_rank)


def gpu_if_any(num_gpus: int) -> torch.device:
    """The first GPU, for a tool that runs anywhere; the CPU where there is none, or for 0."""
    return pick_device(min(num_gpus, torch.cuda.device_count(), 1))


# --------------------------------------------------------------------------------------------------------------- processes
def launch(job: Callable, cfg, places: Sequence[Place], *, debug: bool = False) -> int:
    """Runs ``job(cfg, device)`` here, or in one new process for each of several places; the exit code."""
    for place in places:
        device_of(place, cfg.NUM_GPUS)  # says what is wrong before anything is started
    if len(places) == 1:
        _run(job, cfg, places[0])
        return 0
    children = start_processes(_child, args=(job, cfg, tuple(places), debug), nprocs=len(places), join=False, start_method="spawn")
    with forwarded(children.pids()):
        return _watch(children.processes, first_rank=places[0].rank)


def _run(job: Callable, cfg, place: Place) -> None:
    device = device_of(place, cfg.NUM_GPUS)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = GLOO_AND_NCCL if device.type == "cuda" and cfg.DIST_BACKEND == "nccl" else "gloo"
    with joined(place, backend=backend, timeout=cfg.DIST.TIMEOUT):
        job(cfg, device)


def _child(number: int, job: Callable, cfg, places: Sequence[Place], debug: bool) -> None:
    sys.exit(exit_code(lambda: _run(job, cfg, places[number]), debug=debug))


def _watch(processes: Sequence, *, first_rank: int, grace: float = 20.0) -> int:
    """Waits for all; when one fails, the others get ``grace`` seconds to notice it themselves.

    Wrong input on one rank is loss of contact on the others, whoever ends first: the exit code is 2 when any has 2.
    """
    running = {process.sentinel: process for process in processes}
    codes, deadline = set(), None
    while running:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ended = connection.wait(list(running), left)
        for sentinel in ended:
            process = running.pop(sentinel)
            process.join()
            if process.exitcode:
                deadline = deadline or time.monotonic() + grace
                codes.add(process.exitcode)
            if process.exitcode < 0:
                rank = first_rank + list(processes).index(process)
                print(f"stopped: rank {rank} was ended by {signal.Signals(-process.exitcode).name}; the others end too", file=sys.stderr)
        if not ended:
            for process in running.values():
                process.kill()
    return 2 if 2 in codes else int(bool(codes))


def exit_code(main: Callable[[], int | None], *, debug: bool) -> int:
    """Runs ``main``: what it returns, 0 when done, 2 after one line on stderr for wrong input, 1 for a run that had to stop."""
    warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)  # fvcore's, not the user's
    try:
        return main() or 0
    except (UserError, RunStopped) as error:
        if debug:
            raise
        print(f"{'error' if isinstance(error, UserError) else 'stopped'}: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        print("stopped: interrupted from the keyboard; the last checkpoint stays", file=sys.stderr)
        return 130
