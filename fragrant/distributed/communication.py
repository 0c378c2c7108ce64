"""Communication between the processes of a run, written so that one process is the general case."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from fragrant.errors import UserError

T = TypeVar("T")


def is_started() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if is_started() else 0


def world_size() -> int:
    return dist.get_world_size() if is_started() else 1


def is_main() -> bool:
    return rank() == 0


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
    """Whether ``flag`` is true on any rank, the same answer on all; the hosts wait for each other, not for their
    GPUs."""
    return bool(sum_over_ranks(torch.tensor(int(flag))))


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """Gathers the rows of all ranks on every rank, in rank order: (n_r, ...) -> (sum of n_r, ...); ranks may hold
    different numbers of rows."""
    if world_size() == 1:
        return rows
    gathered = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    dist.all_gather(gathered, torch.tensor([len(rows)], device=rows.device))
    counts = [int(count) for count in gathered]
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


class _GatheredRows(torch.autograd.Function):
    """Rows of all ranks, with a gradient: each rank gets back what all ranks' losses say about its rows."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return sum_over_ranks(gradient.contiguous()).chunk(world_size())[rank()]


def gather_with_gradient(rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Gathers the rows of all ranks, which hold equally many, on every rank, in rank order, with their gradients:
    (n, ...) -> (world size * n, ...), and the number of the first of this rank.

    Where every rank takes the mean loss of its own rows against all, and gradients are averaged over the ranks, as
    DistributedDataParallel does, the gradient is that of one process with all rows."""
    if world_size() == 1:
        return rows, 0
    return cast(torch.Tensor, _GatheredRows.apply(rows)), rank() * len(rows)


def gather_objects(value: Any) -> list:
    """Gathers one small Python value of every rank on every rank, in rank order."""
    if world_size() == 1:
        return [value]
    values = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def from_main(make: Callable[[], T]) -> T:
    """Calls ``make()`` on rank 0 and returns its result on every rank: one process looks at the disk and decides for
    all.

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
