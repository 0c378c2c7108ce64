"""Parts of a network by name, for what is done to some of them alone: MODEL.FREEZE."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from torch import nn

from fragrant.errors import UserError
from fragrant.texts import did_you_mean

HEAD, ALL_BUT_HEAD = "head", "backbone"
Parts = dict[str, tuple[str, ...]]  # name -> beginnings of the names of parameters (and modules) in it


class HasParts(Protocol):
    """A network that says its parts, see ``Backbone``."""

    frozen_parts: tuple[nn.Module, ...]

    def part_names(self) -> Parts: ...


class PartError(UserError):
    """A part that the network does not have."""


def parts_of_names(names: Sequence[str], layers: Sequence[tuple[str, ...]], head_name: str) -> Parts:
    """Parts that follow from the names of the parameters: stem, block1, block2, ... where the layers are declared
    (``Backbone.layer_names``), then what is in none of them, each module by its own name, then the head.

    >>> parts_of_names(["net.conv.weight", "net.layer1.0.weight", "head.bias"], [], "head")
    {'conv': ('net.conv.',), 'layer1': ('net.layer1.',), 'head': ('head.',)}
    """
    parts: Parts = {"stem" if at == 0 else f"block{at}": tuple(starts) for at, starts in enumerate(layers)}
    known = (f"{head_name}.", *(start for starts in layers for start in starts))
    rest = [name for name in names if not name.startswith(known)]
    outer = "" if layers else _common_modules(rest)
    for name in rest:
        words = name.removeprefix(outer).split(".")
        ends = range(1, len(words) + 1)  # the first module that holds nothing of a layer
        around = (f"{outer}{'.'.join(words[:end])}{'.' * (end < len(words))}" for end in ends)
        start = next(start for start in around if not any(layer.startswith(start) for layer in known))
        part = start.removeprefix(outer).strip(".").split(".")[-1]
        parts[part if parts.get(part, (start,)) == (start,) else start.strip(".")] = (start,)
    if any(name.startswith(f"{head_name}.") for name in names):
        parts[HEAD] = (f"{head_name}.",)
    return parts


def _common_modules(names: Sequence[str]) -> str:
    """The modules around all of these parameters that hold modules alone, ``"net."``; "" where there are none."""
    outer = ""
    while names and len({name.removeprefix(outer).split(".")[0] for name in names}) == 1:
        further = f"{outer}{names[0].removeprefix(outer).split('.')[0]}."
        if not all("." in name.removeprefix(further) for name in names):
            break
        outer = further
    return outer


def stage_parts(stem: Sequence[str], stages: Sequence[Sequence[str]], more: Mapping[str, Sequence[str]]) -> Parts:
    """Parts of a network with stages: stem, stage1, stage2, ..., then ``more``."""
    numbered = {f"stage{number}": tuple(starts) for number, starts in enumerate(stages, 1)}
    return {"stem": tuple(stem), **numbered, **{name: tuple(starts) for name, starts in more.items()}}


def resnet_parts(prefix: str = "resnet.") -> Parts:
    """Parts of a network around a ResNet of torchvision."""
    stages = [[f"{prefix}layer{stage}."] for stage in (1, 2, 3, 4)]
    return stage_parts([f"{prefix}conv1.", f"{prefix}bn1."], stages, {HEAD: [f"{HEAD}."]})


def parts_with_parameters(model: HasParts) -> Parts:
    """The parts of ``model`` that have parameters, and ``backbone``: all but the head, where it says no other."""
    assert isinstance(model, nn.Module)
    names = [name for name, _ in model.named_parameters()]
    declared = model.part_names()
    parts = {part: starts for part, starts in declared.items() if any(name.startswith(starts) for name in names)}
    but_head = tuple(start for part, starts in declared.items() if part != HEAD for start in starts)
    return {ALL_BUT_HEAD: but_head, **parts}


def starts_of(model: HasParts, chosen: Sequence[str], key: str) -> tuple[str, ...]:
    """Beginnings of the names of what is in the chosen parts.

    Raises:
        PartError: there is no such part; the message lists those there are.
    """
    parts = parts_with_parameters(model)
    for name in chosen:
        if name not in parts:
            raise PartError(
                f"{key} '{name}' is no part of {type(model).__name__}; {did_you_mean(name, parts)}"
                f"Allowed: {', '.join(parts)}"
            )
    return tuple(start for name in chosen for start in parts[name])


def modules_in(model: nn.Module, starts: tuple[str, ...]) -> Iterator[nn.Module]:
    for name, module in model.named_modules():
        if name and f"{name}.".startswith(starts):
            yield module


def freeze(model: HasParts, chosen: Sequence[str], *, key: str = "MODEL.FREEZE") -> int:
    """Freezes parts of a network, in place: their weights get no gradient, and they stay in evaluation mode also in
    training, so that BatchNorm keeps its statistics and neither dropout nor drop path draws there. Dropout in front of
    the head, which belongs to no part, goes on.

    To be called before an optimiser or DistributedDataParallel is built on the network.

    Returns:
        How many parameters are frozen, those that were so before among them.

    Raises:
        PartError: there is no such part.
    """
    assert isinstance(model, nn.Module)
    starts = starts_of(model, chosen, key)
    for name, parameter in model.named_parameters():
        if starts and name.startswith(starts):
            parameter.requires_grad_(False)
    if starts:
        model.frozen_parts = (*model.frozen_parts, *modules_in(model, starts))
    model.train(model.training)
    return sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
