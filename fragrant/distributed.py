"""Communication between processes, written so that one process is the general case."""

import contextlib
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlparse

import torch
import torch.distributed as dist

from fragrant.errors import RunStopped, UserError

T = TypeVar("T")
GLOO_AND_NCCL = "cpu:gloo,cuda:nccl"  # GPU tensors travel with NCCL, everything else (votes, objects) with gloo


class Place(NamedTuple):
    """Which process of how many this one is, and where they meet."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # among the processes of this machine
    local_size: int = 1  # processes of this machine
    address: str = ""  # tcp://host:port, or file:///a/new/file that all machines see
    store_is_up: bool = False  # torchrun's agent keeps the store at the address; else rank 0 opens it
    attempt: str = "0"  # torchrun starts fallen processes again, at the same address
    own_gpu: bool = False  # the launcher shows each process its own GPU alone


def is_started() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if is_started() else 0


def world_size() -> int:
    return dist.get_world_size() if is_started() else 1


def is_main() -> bool:
    return rank() == 0


# ------------------------------------------------------------------------------------------------------- meet and part
@contextlib.contextmanager
def joined(place: Place, *, backend: str, timeout: float) -> Iterator[None]:
    """Within it the processes of a run can talk to each other; nothing happens for a process that is alone.

    Args:
        timeout: seconds that one waits for another, when meeting and in every exchange.

    Raises:
        RunStopped: ranks are missing, or contact was lost later because one of them ended or hangs.
    """
    if place.world_size == 1:
        yield
        return
    wait = timedelta(seconds=timeout)
    store = _meet(place, wait)
    dist.init_process_group(backend, store=dist.PrefixStore("group", store), rank=place.rank, world_size=place.world_size, timeout=wait)
    try:
        yield
        dist.barrier()  # rank 0 keeps the store: it must not leave first
    except RuntimeError as error:
        raise _lost_contact(error, place, timeout) from error
    finally:
        if backend == "gloo" or sys.exc_info()[0] is None:  # NCCL would wait for ranks that may be gone
            dist.destroy_process_group()


def _lost_contact(error: RuntimeError, place: Place, timeout: float) -> RuntimeError:
    """What torch says, in one line, when an exchange failed; the error itself when it is about something else."""
    if not isinstance(error, dist.DistError) and not any(word in str(error) for word in ("gloo", "NCCL", "Connection")):
        return error  # torch has no class of its own for all of these
    reason = str(error).strip().splitlines()[0][:200]
    return RunStopped(
        f"rank {place.rank} of {place.world_size} lost contact: another rank ended or hangs, its own message tells more "
        f"(DIST.TIMEOUT {timeout:g} s; {reason})"
    )


def _meet(place: Place, wait: timedelta) -> dist.Store:
    """The store that all ranks share, once all of them are there; the error names those that are not."""
    store = dist.PrefixStore(place.attempt, _open_store(place, wait))
    if store.add(f"here/{place.rank}", 1) > 1:
        raise UserError(
            f"rank {place.rank} is there twice at {place.address}: give every machine its own --shard_id; a file as rendezvous must be new"
        )
    if place.rank == 0:
        _wait_for_others(place, store, wait)
    try:
        store.wait(["missing"], 2 * wait)  # rank 0 may have started later
        missing = store.get("missing").decode()
    except RuntimeError as error:
        raise RunStopped(f"rank {place.rank} was at {place.address}, but rank 0 left or did not answer in {_seconds(wait)}") from error
    if missing:
        raise RunStopped(
            f"{place.world_size - len(missing.split(','))} of {place.world_size} ranks met at {place.address} within {_seconds(wait)} "
            f"(DIST.TIMEOUT); missing: rank {missing}"
        )
    return store


def _wait_for_others(place: Place, store: dist.Store, wait: timedelta) -> None:
    """Rank 0 writes down who is missing; an empty text lets all go on."""
    deadline = time.monotonic() + wait.total_seconds()
    missing = list(range(1, place.world_size))
    while missing and time.monotonic() < deadline:
        missing = [other for other in missing if not store.check([f"here/{other}"])]
        time.sleep(0.05 if missing else 0)
    store.set("missing", ", ".join(map(str, missing)))


def _open_store(place: Place, wait: timedelta) -> dist.Store:
    url = urlparse(place.address)
    if url.scheme == "file":
        return dist.FileStore(url.path, place.world_size)
    try:
        port = url.port
    except ValueError:
        port = None
    if url.scheme != "tcp" or not url.hostname or port is None:
        raise UserError(f"rendezvous '{place.address}' is not understood; allowed: tcp://host:port or file:///a/new/file")
    opens = place.rank == 0 and not place.store_is_up
    try:
        return dist.TCPStore(url.hostname, port, place.world_size, is_master=opens, timeout=wait, wait_for_workers=False)
    except RuntimeError as error:
        if opens:
            raise UserError(f"rank 0 cannot open {place.address} on {socket.gethostname()}: {str(error).splitlines()[0][:200]}") from error
        raise RunStopped(
            f"rank {place.rank} found nobody at {place.address} within {_seconds(wait)} (DIST.TIMEOUT); missing: rank 0"
        ) from error


def _seconds(wait: timedelta) -> str:
    return f"{wait.total_seconds():g} s"


# --------------------------------------------------------------------------------------------------------------- share
def shard(n: int, rank: int, world_size: int) -> range:
    """The share of ``range(n)`` that belongs to ``rank``: every number in exactly one shard, no padding.

    Shards differ by at most one; with fewer numbers than ranks some are empty.
    """
    return range(n * rank // world_size, n * (rank + 1) // world_size)


def sum_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all ranks; the tensor itself when alone. On a GPU the host does not wait."""
    if world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all ranks; the tensor itself when alone."""
    return value if world_size() == 1 else sum_over_ranks(value) / world_size()


def any_rank(flag: bool) -> bool:
    """Is it true on any rank? The same answer on all; the hosts wait for each other, not for their GPUs."""
    return bool(sum_over_ranks(torch.tensor(int(flag))))


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """(n_r, ...) on every rank -> (sum of n_r, ...) on every rank, in rank order; ranks may hold different numbers of rows."""
    if world_size() == 1:
        return rows
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    counts = [int(count) for count in counts]
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def gather_objects(value: Any) -> list:
    """One small Python value of every rank, in rank order, on every rank."""
    if world_size() == 1:
        return [value]
    values = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def from_main(make: Callable[[], T]) -> T:
    """What ``make()`` gives on rank 0, on every rank: one process looks at the disk and decides for all.

    Raises:
        UserError: that of rank 0, on every rank.
    """
    if world_size() == 1:
        return make()
    result: list = [None, None]
    if is_main():
        try:
            result[0] = make()
        except UserError as error:
            result[1] = error
    dist.broadcast_object_list(result, src=0)
    if result[1] is not None:
        raise result[1]
    return result[0]


@torch.no_grad()
def copy_from_main(tensors: list[torch.Tensor]) -> None:
    """Overwrites the tensors of all ranks with those of rank 0."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def free_address() -> str:
    """A rendezvous for processes of this machine alone."""
    for port in random.SystemRandom().sample(range(20000, 30000), 100):  # below those that connections are given while one waits
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("localhost", port))
            return f"tcp://localhost:{port}"
    raise RunStopped("no free port from 20000 to 29999 on this machine")
