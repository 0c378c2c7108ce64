"""Precise BatchNorm: statistics averaged over many training batches instead of the running ones."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from fvcore.nn.precise_bn import get_bn_modules, update_bn_stats
from torch import Tensor, nn

from fragrant.models.compiling import as_written


def prepared_clips(batches: Iterable, prepare: Callable[[Tensor], Tensor], device: torch.device) -> Iterator[Tensor]:
    """The clips of batches as the model takes them, (N, C, T, H, W) each."""
    for batch in batches:
        yield prepare(batch.to(device).clips.flatten(0, 1))


@torch.no_grad()
def update_batch_norm(
    model: nn.Module, loader, prepare: Callable[[Tensor], Tensor], device: torch.device, *, num_batches: int
) -> None:
    """Replaces the running mean and variance of every BatchNorm layer by averages over up to ``num_batches``
    batches."""
    if not get_bn_modules(model):
        return
    num_batches = min(num_batches, len(loader))
    clips = prepared_clips(islice(loader, num_batches), prepare, device)
    with as_written(model):  # momenta are changed while it measures: compiled code would have to be compiled anew
        update_bn_stats(model.train(), clips, num_batches)
