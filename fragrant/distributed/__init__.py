"""One process is the general case: who this process is, how processes meet, what they tell each other, which signals
end them."""

from fragrant.distributed.communication import (
    any_rank,
    copy_from_main,
    from_main,
    gather_objects,
    gather_rows,
    is_main,
    is_started,
    mean_over_ranks,
    rank,
    shard,
    sum_over_ranks,
    world_size,
)
from fragrant.distributed.environment import Environment, free_address
from fragrant.distributed.rendezvous import GLOO_AND_NCCL, joined

__all__ = [
    "GLOO_AND_NCCL",
    "Environment",
    "any_rank",
    "copy_from_main",
    "free_address",
    "from_main",
    "gather_objects",
    "gather_rows",
    "is_main",
    "is_started",
    "joined",
    "mean_over_ranks",
    "rank",
    "shard",
    "sum_over_ranks",
    "world_size",
]
