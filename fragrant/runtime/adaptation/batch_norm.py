"""BatchNorm statistics of another domain: measured anew on unlabelled clips, or on the views of each test video."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fragrant.distributed import sum_over_ranks
from fragrant.errors import RunStopped, UserError
from fragrant.models.compiling import as_written
from fragrant.runtime.adaptation.adapting import Adapting
from fragrant.runtime.adaptation.norm_layers import (
    Pooled,
    batch_norms,
    each_input,
    mixed,
    moments,
    set_statistics,
    statistics_of,
)


class Measured(NamedTuple):
    """What was measured anew: layers, and the clips of all ranks it was measured on."""

    layers: int
    clips: int


def need_batch_norms(model: nn.Module, key: str) -> dict[str, _BatchNorm]:
    """The BatchNorm layers of a model.

    Raises:
        UserError: it has none.
    """
    layers = batch_norms(model)
    if not layers:
        raise UserError(
            f"{key}: {type(model).__name__} has no BatchNorm layer, so no statistics to adapt; networks with LayerNorm "
            "alone take TEST.ADAPT vitta"
        )
    return layers


@torch.no_grad()
def adapt_batch_norm(
    model: nn.Module,
    batches: Iterable[Tensor],
    *,
    prior: float,
    autocast: Callable[[], AbstractContextManager],
    device: torch.device,
) -> Measured:
    """Measures the statistics of every BatchNorm layer anew, in place; nothing else of the model changes.

    Every batch is normalised by its own statistics on the way through, as in training, so that a later layer sees what
    it will see after the adaptation; dropout is off. The mean and variance that are kept are those of all positions of
    all clips together (AdaBN, Li et al. 2016; "precise BatchNorm"), on all ranks.

    Args:
        batches: of prepared clips, (N, C, T, H, W).
        prior: so many clips count for the statistics that the layers have, see ``mixed``; 0 = the new ones alone.

    Raises:
        UserError: no BatchNorm layer; RunStopped: no clip.
    """
    layers = need_batch_norms(model, "BN.ADAPT_LIST")
    source = {name: statistics_of(layer) for name, layer in layers.items()}
    pools = {name: Pooled(layer.num_features, device) for name, layer in layers.items()}

    def see(name: str, layer: _BatchNorm, x: Tensor) -> None:
        own = moments(x)
        pools[name].add(*own, count=x.numel() / x.shape[1])
        set_statistics(layer, *own)

    clips = torch.zeros((), dtype=torch.float64, device=device)
    with as_written(model.eval()), each_input(layers, see):
        for batch in batches:
            with autocast():
                model(batch)
            clips += len(batch)
    total = int(sum_over_ranks(clips))
    if not total:
        raise RunStopped("BN.ADAPT_LIST: not one of its videos can be read")
    changed = 0
    for name, layer in layers.items():
        seen = bool(sum_over_ranks(pools[name].count.clone()))
        own = pools[name].result(lambda value: sum_over_ranks(value.clone()))
        set_statistics(layer, *(mixed(source[name], own, total / (total + prior)) if seen else source[name]))
        changed += seen
    return Measured(changed, total)


class OwnStatistics(Adapting):
    """A network whose BatchNorms normalise each video by the statistics of its own views, mixed with the stored ones.

    Every call is one video: its V views together, (V, C, T, H, W) -> (V, K). A layer takes n / (n + prior) of the
    statistics of the n views and the rest of the source's (Schneider et al. 2020, where n counts images).

    Args:
        prior: how many views the source's statistics count for; 0 = the video's alone.
        online: what a layer used for one video is the source of the next, in the order in which they come; False: every
            video begins with the statistics of the weights.

    Raises:
        UserError: ``model`` has no BatchNorm layer.
    """

    def __init__(self, model: nn.Module, *, prior: float, online: bool):
        super().__init__(model)
        self.prior, self.online = prior, online
        self.layers = need_batch_norms(model, "TEST.ADAPT bn")
        self.source = {name: statistics_of(layer) for name, layer in self.layers.items()}

    def _adapted(self, run: Callable[[Tensor], Any], clips: Tensor) -> Any:
        weight = len(clips) / (len(clips) + self.prior)

        def see(name: str, layer: _BatchNorm, x: Tensor) -> None:
            used = mixed(self.source[name], moments(x), weight)
            set_statistics(layer, *used)
            if self.online:
                self.source[name] = used

        with each_input(self.layers, see):
            answer = run(clips)
        for name, layer in self.layers.items():
            set_statistics(layer, *self.source[name])
        return answer
