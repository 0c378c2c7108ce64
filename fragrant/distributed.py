"""Communication between processes, written so that one process is the general case."""

import torch
import torch.distributed as dist


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


def mean_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all ranks; the tensor itself when alone."""
    if world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


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
