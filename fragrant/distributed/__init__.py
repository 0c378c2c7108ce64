"""Processes of a run: which one this is, how they meet, their communication, the signals that end them; one process is
the general case.

What needs torch is imported when it is first asked for: a command that only reads its arguments answers at once."""

import importlib
from typing import TYPE_CHECKING, Any

from fragrant.distributed.environment import Environment, free_address

if TYPE_CHECKING:
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
_RENDEZVOUS = ("GLOO_AND_NCCL", "agent_is_gone", "joined")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    file = "rendezvous" if name in _RENDEZVOUS else "communication"
    globals()[name] = found = getattr(importlib.import_module(f"{__name__}.{file}"), name)
    return found
