"""Rendezvous of the processes of a run, and their parting."""

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlparse

import torch.distributed as dist

from fragrant.distributed.environment import Environment
from fragrant.errors import LostContact, RunStopped, UserError

GLOO_AND_NCCL = "cpu:gloo,cuda:nccl"  # GPU tensors travel with NCCL, everything else (votes, objects) with gloo


@contextlib.contextmanager
def joined(environment: Environment, *, backend: str, timeout: float) -> Iterator[None]:
    """A context in which the processes of a run can communicate; it does nothing for a process that is alone.

    Args:
        timeout: seconds that one waits for another, when meeting and in every exchange.

    Raises:
        RunStopped: ranks are missing, or contact was lost later because one of them ended or hangs.
    """
    if environment.world_size == 1:
        yield
        return
    wait = timedelta(seconds=timeout)
    store = _meet(environment, wait)
    dist.init_process_group(
        backend,
        store=dist.PrefixStore("group", store),
        rank=environment.rank,
        world_size=environment.world_size,
        timeout=wait,
    )
    try:
        yield
        dist.barrier()  # rank 0 keeps the store: it must not leave first
    except RuntimeError as error:
        raise _lost_contact(error, environment, timeout) from error
    finally:
        if backend == "gloo" or sys.exc_info()[0] is None:  # NCCL would wait for ranks that may be gone
            dist.destroy_process_group()


def _lost_contact(error: RuntimeError, environment: Environment, timeout: float) -> RuntimeError:
    """Turns torch's error about a failed exchange into a LostContact of one line; returns an error about something else
    as it is."""
    if not isinstance(error, dist.DistError) and not any(word in str(error) for word in ("gloo", "NCCL", "Connection")):
        return error  # torch has no class of its own for all of these
    reason = str(error).strip().splitlines()[0][:200]
    return LostContact(
        f"rank {environment.rank} of {environment.world_size} lost contact: another rank ended or hangs, its own "
        "message tells more "
        f"(DIST.TIMEOUT {timeout:g} s; {reason})"
    )


def _meet(environment: Environment, wait: timedelta) -> dist.Store:
    """The store that all ranks share, once all of them are there; the error names those that are not."""
    store = dist.PrefixStore(environment.attempt, _open_store(environment, wait))
    if store.add(f"here/{environment.rank}", 1) > 1:
        raise UserError(
            f"rank {environment.rank} is there twice at {environment.address}: give every machine its own "
            "--shard_id; a file as rendezvous must be new"
        )
    if environment.rank == 0:
        _wait_for_others(environment, store, wait)
    try:
        store.wait(["missing"], 2 * wait)  # rank 0 may have started later
        missing = store.get("missing").decode()
    except RuntimeError as error:
        raise LostContact(
            f"rank {environment.rank} was at {environment.address}, but rank 0 left or did not answer in "
            f"{_seconds(wait)}"
        ) from error
    if missing:
        raise RunStopped(
            f"{environment.world_size - len(missing.split(','))} of {environment.world_size} ranks met at "
            f"{environment.address} within {_seconds(wait)} "
            f"(DIST.TIMEOUT); missing: rank {missing}"
        )
    return store


def _wait_for_others(environment: Environment, store: dist.Store, wait: timedelta) -> None:
    """Waits, on rank 0, for the other ranks, and writes down which are missing; an empty text lets all go on."""
    deadline = time.monotonic() + wait.total_seconds()
    missing = list(range(1, environment.world_size))
    while missing and time.monotonic() < deadline:
        missing = [other for other in missing if not store.check([f"here/{other}"])]
        time.sleep(0.05 if missing else 0)
    store.set("missing", ", ".join(map(str, missing)))


def _open_store(environment: Environment, wait: timedelta) -> dist.Store:
    url = urlparse(environment.address)
    if url.scheme == "file":
        return dist.FileStore(url.path, environment.world_size)
    try:
        port = url.port
    except ValueError:
        port = None
    if url.scheme != "tcp" or not url.hostname or port is None:
        raise UserError(
            f"rendezvous '{environment.address}' is not understood; allowed: tcp://host:port or file:///a/new/file"
        )
    opens = environment.rank == 0 and not environment.store_is_up
    try:
        return dist.TCPStore(
            url.hostname, port, environment.world_size, is_master=opens, timeout=wait, wait_for_workers=False
        )
    except RuntimeError as error:
        if opens:
            raise UserError(
                f"rank 0 cannot open {environment.address} on {socket.gethostname()}: "
                f"{str(error).splitlines()[0][:200]}"
            ) from error
        raise RunStopped(
            f"rank {environment.rank} found nobody at {environment.address} within {_seconds(wait)} "
            "(DIST.TIMEOUT); missing: rank 0"
        ) from error


def agent_is_gone(environment: Environment, *, patience: float = 5.0) -> bool:
    """Whether torchrun's agent, which listens at the address before it starts any process, has already ended: nobody
    listens there. Only a refusal counts, which the agent's host gives at once, not silence."""
    url = urlparse(environment.address)
    if not environment.store_is_up or url.scheme != "tcp":
        return False
    end = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((url.hostname or "localhost", url.port or 0), timeout=patience).close()
            return False
        except ConnectionRefusedError:
            if time.monotonic() > end:
                return True
            time.sleep(0.5)
        except (OSError, ValueError):  # the rendezvous will say it
            return False


def _seconds(wait: timedelta) -> str:
    return f"{wait.total_seconds():g} s"
