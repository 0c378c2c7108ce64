"""The statistics that norm layers see: of BatchNorms, which normalise by stored ones, and of all norms' outputs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fragrant.layers.channel_norm import ChannelNorm


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The layers with running statistics, frozen ones among them, by name in the order of the model."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


def norm_layers(model: nn.Module, share: float = 1.0) -> dict[str, nn.Module]:
    """The last ``share`` of the BatchNorm and LayerNorm layers, at least one, by name in the order of the model."""
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, (_BatchNorm, nn.LayerNorm))]
    first = len(found) - max(1, round(share * len(found)))
    return dict(found[max(0, first) :])


def moments(x: Tensor, channel: int = 1) -> tuple[Tensor, Tensor]:
    """Mean and variance (of all there is, not an estimate) of every channel over everything else: (..., C, ...) -> two
    of (C,) float32"""
    rows = x.float().movedim(channel, -1).flatten(0, -2)  # (L, C)
    mean = rows.mean(0)
    return mean, (rows - mean).square().mean(0)


def channel_of(module: nn.Module) -> int:
    """The dimension that a norm layer's output has its channels in."""
    return -1 if isinstance(module, nn.LayerNorm) and not isinstance(module, ChannelNorm) else 1


def width_of(module: nn.Module) -> int:
    """C, the channels of a norm layer."""
    return int(module.normalized_shape[-1] if isinstance(module, nn.LayerNorm) else module.num_features)  # type: ignore[arg-type]


@contextmanager
def each_input(layers: dict[str, _BatchNorm], see: Callable[[str, _BatchNorm, Tensor], None]) -> Iterator[None]:
    """Within it ``see(name, layer, x)`` is called before a layer normalises x, and may set its statistics."""

    def hook(name: str) -> Callable:
        return lambda layer, inputs: see(name, layer, inputs[0])

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def each_output(layers: dict[str, nn.Module], see: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Within it ``see(name, mean, var)`` gets the moments of every layer's output, each (C,)."""

    def hook(name: str) -> Callable:
        return lambda layer, inputs, output: see(name, *moments(output, channel_of(layer)))

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def set_statistics(layer: _BatchNorm, mean: Tensor, var: Tensor) -> None:
    assert layer.running_mean is not None and layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(var)


def statistics_of(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    """A copy of the running mean and variance, (C,) each."""
    assert layer.running_mean is not None and layer.running_var is not None
    return layer.running_mean.clone(), layer.running_var.clone()


def mixed(source: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor], weight: float) -> tuple[Tensor, Tensor]:
    """``weight`` of the own statistics, the rest of the source's: mean with mean, variance with variance, as Schneider
    et al. 2020 (Improving robustness against common corruptions by covariate shift adaptation) mix them."""
    mean, var = ((1 - weight) * before + weight * now.to(before) for before, now in zip(source, own, strict=True))
    return mean, var


class Pooled:
    """Mean and variance of every channel of everything seen, summed in float64.

    Args:
        channels: C.
    """

    def __init__(self, channels: int, device: torch.device):
        self.sums = torch.zeros(2, channels, dtype=torch.float64, device=device)  # of values and of their squares
        self.count = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, mean: Tensor, var: Tensor, count: float) -> None:
        mean, var = mean.detach().double(), var.detach().double()
        self.sums += count * torch.stack([mean, var + mean.square()])
        self.count += count

    def result(self, together: Callable[[Tensor], Tensor] = lambda value: value) -> tuple[Tensor, Tensor]:
        """(C,) mean and (C,) variance, float32; ``together`` sums over all ranks."""
        mean, square = together(self.sums) / together(self.count).clamp(min=1)
        return mean.float(), (square - mean.square()).clamp(min=0).float()
