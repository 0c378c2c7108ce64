"""An objective on several processes: gradients averaged by DistributedDataParallel, or everything spread by FSDP2."""

import warnings
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from fragrant.data.figures import Track
from fragrant.distributed import copy_from_main, world_size
from fragrant.objectives import Objective

# Newer versions of torch call it by the first name.
KEEP_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in signature(DistributedDataParallel).parameters
)


class _Replicated(DistributedDataParallel):
    """DistributedDataParallel with the face of the objective in it: the loop sees no difference."""

    @property
    def eval_model(self) -> nn.Module:
        return self.module.eval_model

    def meet(self, ids: Sequence[int], epoch: int, figures: Track | None = None) -> None:
        self.module.meet(ids, epoch, figures)

    def after_step(self) -> None:
        self.module.after_step()


class Parallel(NamedTuple):
    """An objective on several processes: ``trained`` is called instead of the objective; ``average_gradients``: see
    Stepper."""

    trained: Objective
    average_gradients: Callable[[bool], None]


def parallelize(
    objective: Objective,
    device: torch.device,
    *,
    sharding: str = "none",
    compression: str = "none",
    accum_steps: int = 1,
) -> Parallel:
    """The objective as the loop calls it; the objective itself for a process that is alone and not sharded.

    Sharding replaces the parameters by sharded ones: build the optimiser after it. Buffers (BatchNorm statistics) stay
    each rank's own between evaluations; those of rank 0 count, see ``share_buffers``.

    Args:
        sharding: none | fsdp: every rank keeps 1 / world size of weights, gradients and optimiser state.
        compression: none | bf16: what travels between the ranks.
        accum_steps: batches per optimiser step.
    """
    if sharding == "fsdp":
        sharded = fully_shard(objective, mesh=init_device_mesh(device.type, (world_size(),)))  # objective itself
        return Parallel(objective, lambda wanted: sharded.set_requires_gradient_sync(wanted))
    if world_size() == 1:
        return Parallel(objective, lambda wanted: None)
    # The strides of depthwise filters, whose second dimension is 1 long, can be written in two ways; torch copies them
    # as it should.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    keep_buffers: dict[str, Any] = {KEEP_BUFFERS: False}
    replicated = _Replicated(
        objective,
        device_ids=[device] if device.type == "cuda" else None,
        **keep_buffers,
        gradient_as_bucket_view=True,  # no second copy of all gradients
        static_graph=accum_steps == 1 and objective.same_graph_every_step,  # torch: not together with skipped averaging
    )
    if compression == "bf16":
        replicated.register_comm_hook(None, bf16_compress_hook)

    def average_gradients(wanted: bool) -> None:
        replicated.require_backward_grad_sync = (
            wanted  # what its no_sync() does, without a block around forward and backward
        )

    return Parallel(cast(Objective, replicated), average_gradients)  # with its face, see above


def share_buffers(objective: nn.Module) -> None:
    """Copies the BatchNorm statistics of rank 0 to all ranks, so that all score with the same model."""
    copy_from_main(list(objective.buffers()))


# ---------------------------------------------------------------------------------- state that is spread over the ranks
def whole_state(state: Any) -> Any:
    """A state dict as one process has it: the pieces of sharded tensors put together. Every rank must call it."""
    if isinstance(state, DTensor):
        return state.full_tensor()
    if isinstance(state, dict):
        whole = {key: whole_state(value) for key, value in state.items()}
        return state if all(whole[key] is state[key] for key in state) else whole
    if isinstance(state, list):
        return [whole_state(value) for value in state]
    return state


def cut_like(value: Any, like: Any) -> Any:
    """A whole tensor, cut up over the ranks as ``like`` is; anything else as it is."""
    if isinstance(like, DTensor) and isinstance(value, Tensor) and value.shape == like.shape:
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value


def sharded_optimizer_state(state: dict, optimizer: torch.optim.Optimizer) -> dict:
    """The state of an optimiser as one process has it, cut up as the optimiser's parameters are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        at: {name: cut_like(value, parameters[at]) for name, value in values.items()}
        for at, values in state["state"].items()
    }
    return {**state, "state": moments}
