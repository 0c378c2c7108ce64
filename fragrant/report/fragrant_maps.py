"""What FAM and RAM of a model attend to, as maps over the clip."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.layers.fam import FAM
from fragrant.layers.ram import RAM


class MapError(UserError):
    """A model without the module that is to be looked at, or a position outside of the clip."""


class FeatureMap(NamedTuple):
    """Values over a clip, one for each place of a feature map."""

    title: str
    values: Tensor  # (T', H', W'), 0 or above


def fam_maps(model: nn.Module, clip: Tensor) -> list[FeatureMap]:
    """FAM's factor f^2 * A of every frame, mean over channels: normalised clip (1, C, T, H, W) -> one map for each time FAM is used.

    Raises:
        MapError: the model has no FAM.
    """
    return [
        FeatureMap(f"FAM ({name}): gain of each frame, mean over {x.shape[1]} channels", fam.gain(x)[0].float().mean(0))
        for name, fam, x in inputs_of(model, clip, FAM, key="FRAGRANT.FAM_AT")
    ]


def ram_maps(model: nn.Module, clip: Tensor, *, at: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> list[FeatureMap]:
    """RAM's relational kernels: normalised clip (1, C, T, H, W) -> two maps for each RAM: how strong the kernel of every place is
    (L2 norm over neighbours and heads), and how one place weighs its neighbours (mean magnitude over heads).

    Args:
        at: that place, as fractions of the clip's length, height and width.

    Raises:
        MapError: the model has no RAM, or the place is outside of the clip.
    """
    if not all(0 <= part <= 1 for part in at):
        raise MapError(f"place {tuple(at)} is outside of the clip; give time, height and width from 0 to 1")
    maps = []
    for name, ram, x in inputs_of(model, clip, RAM, key="FRAGRANT.RAM_AT"):
        kernels = ram.kernels(x)[0].float()  # (T', H', W', h, kT, kH, kW)
        heads = f"{ram.dims.heads} head{'s' if ram.dims.heads > 1 else ''}"
        place = [min(int(part * size), size - 1) for part, size in zip(at, kernels.shape[:3], strict=True)]
        frame, row, column = (index + 1 for index in place)
        maps += [
            FeatureMap(f"RAM ({name}): strength of the relational kernel, {heads}", kernels.flatten(3).norm(dim=3)),
            FeatureMap(
                f"RAM ({name}): weights around frame {frame}, row {row}, column {column}, mean of {heads}",
                spread(kernels[tuple(place)].abs().mean(0), place, kernels.shape[:3]),
            ),
        ]
    return maps


def spread(kernel: Tensor, place: list[int], size: tuple[int, ...]) -> Tensor:
    """A kernel (kT, kH, kW) laid around a place of an empty map (T', H', W')."""
    reach = [length // 2 for length in kernel.shape]
    padded = kernel.new_zeros([length + 2 * margin for length, margin in zip(size, reach, strict=True)])
    padded[tuple(slice(first, first + length) for first, length in zip(place, kernel.shape, strict=True))] = kernel
    return padded[tuple(slice(margin, margin + length) for margin, length in zip(reach, size, strict=True))]


@torch.no_grad()
def inputs_of(model: nn.Module, clip: Tensor, kind: type[nn.Module], *, key: str) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Name, module and input (1, D, T', H', W') of every call of a kind of module, in the order of the forward pass."""
    calls, hooks = [], []
    for name, module in model.named_modules():
        if isinstance(module, kind):
            hooks.append(module.register_forward_pre_hook(lambda module, args, name=name: calls.append((name, module, args[0]))))
    if not hooks:
        raise MapError(f"{type(model).__name__} has no {kind.__name__} to look at; take a config with MODEL.MODEL_NAME Fragrant and {key}")
    was_training = model.training
    model.eval()
    try:
        model(clip)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return iter(calls)


def over_frames(values: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, float]:
    """A map (T', H', W') at the size of the frames (T, H, W, 3): the T' frames that it stands for, its values 0..1, and what 1 means."""
    largest = values.max().item()
    count, height, width = len(values), *frames.shape[1:3]
    shown = frames[[index * len(frames) // count for index in range(count)]]
    scaled = F.interpolate(values[:, None], size=(height, width), mode="nearest")[:, 0]  # (T', H, W): blocks, as the model sees them
    return shown, scaled / max(largest, torch.finfo(values.dtype).tiny), largest
