"""Processes of a run: which one this is, how they meet, their communication, the signals that end them; one process is
the general case."""

from fragrant.distributed.communication import (
    any_rank,
    copy_from_main,
    from_main,
    gather_objects,
    gather_rows,
    gather_with_gradient,
    is_main,
    is_started,
    mean_over_ranks,
    rank,
    shard,
    sum_over_ranks,
    world_size,
)
from fragrant.distributed.environment import Environment, free_address
from fragrant.distributed.rendezvous import GLOO_AND_NCCL, agent_is_gone, joined

__all__ = [
    "GLOO_AND_NCCL",
    "Environment",
    "agent_is_gone",
    "any_rank",
    "copy_from_main",
    "free_address",
    "from_main",
    "gather_objects",
    "gather_rows",
    "gather_with_gradient",
    "is_main",
    "is_started",
    "joined",
    "mean_over_ranks",
    "rank",
    "shard",
    "sum_over_ranks",
    "world_size",
]
