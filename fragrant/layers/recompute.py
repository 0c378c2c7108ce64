"""Activation checkpointing of one block: its inner tensors are computed again in the backward pass instead of kept."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def frozen_statistics(block: "nn.Module | _Forward") -> Iterator[None]:
    """A context in which BatchNorm still normalises by the batch, but its running statistics stay as they are."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, num_batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches


def recompute(block: "nn.Module | _Forward", x: Tensor, *settings) -> Tensor:
    """Calls ``block(x, *settings)`` with only ``x`` kept for the backward pass; result and gradients stay the same.

    Costs one more forward pass of the block. The running statistics of BatchNorm are updated once per step, as
    without it (the second pass of plain checkpointing would count the batch twice)."""
    if not torch.is_grad_enabled():
        return block(x, *settings)
    if torch.compiler.is_compiling():  # compiled code does not repeat the update of the statistics
        return checkpoint(block, x, *settings, use_reentrant=False)
    return checkpoint(
        block, x, *settings, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_statistics(block))
    )


class _Forward:
    """The own forward pass of a block whose class ``recomputed`` has changed."""

    def __init__(self, block: nn.Module, kind: type[nn.Module]):
        self.block, self.kind = block, kind

    def modules(self) -> Iterator[nn.Module]:
        return self.block.modules()

    def __call__(self, x: Tensor, *settings) -> Tensor:
        return self.kind.forward(self.block, x, *settings)


def recomputed(block: nn.Module) -> None:
    """Makes a block of another package recompute itself, wherever it is called: names and numbers stay."""
    kind = type(block)

    def forward(self: nn.Module, x: Tensor, *settings) -> Tensor:
        return recompute(_Forward(self, kind), x, *settings)

    block.__class__ = type(f"Recomputed{kind.__name__}", (kind,), {"forward": forward})
