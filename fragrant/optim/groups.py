"""Parameter groups: which parameters learn at which rate and decay how much."""

from collections.abc import Iterator
from typing import Protocol, cast

from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def parameter_groups(
    model: nn.Module, *, weight_decay: float, bn_weight_decay: float = 0.0, zero_wd_1d: bool = False
) -> list[dict]:
    """Parameter groups for an optimiser: every trainable parameter in exactly one, empty groups left out.

    The rule that the published UniFormer numbers were trained with, first match wins: a parameter of a
    BatchNorm -> ``bn_weight_decay``; a vector or a scalar (bias, LayerNorm, layer scale) with ``zero_wd_1d``
    -> 0; the rest -> ``weight_decay``. Convolutions that encode position are decayed like any other.

    A module with a method ``optimizer_groups()`` names the groups of all its parameters itself: a list of dicts with
    name, params, lr_scale and decay_scale, its share of ``weight_decay``. The rule, and so the other two arguments,
    then say nothing about them. A group may also say weight_decay (instead of a share), fixed_lr (instead of a scale:
    no schedule), clip_norm (the largest norm of its gradients, then clipped apart from the others; 0 = not), optimizer
    (a name of SOLVER.OPTIMIZING_METHOD) and that one's settings.

    Every group has an ``lr_scale``: the schedule's learning rate times this is the group's. It is 1.0 by the rule;
    named groups, layer decay or a learnable mixer change it."""
    batch_norm, no_decay, decay = [], [], []
    named = list(named_groups(model, weight_decay))
    seen = {id(parameter) for group in named for parameter in group["params"]}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:  # seen: in a named group, or two modules share it
                continue
            seen.add(id(parameter))
            if isinstance(module, BATCH_NORMS):
                batch_norm.append(parameter)
            elif zero_wd_1d and parameter.ndim <= 1:
                no_decay.append(parameter)
            else:
                decay.append(parameter)
    groups = [
        *named,
        {"params": batch_norm, "weight_decay": bn_weight_decay, "lr_scale": 1.0},
        {"params": decay, "weight_decay": weight_decay, "lr_scale": 1.0},
        {"params": no_decay, "weight_decay": 0.0, "lr_scale": 1.0},
    ]
    return [group for group in groups if group["params"]]


class NamesItsGroups(Protocol):
    """A module that names the parameter groups of its own parameters."""

    def optimizer_groups(self) -> list[dict]: ...


def named_groups(model: nn.Module, weight_decay: float) -> Iterator[dict]:
    """Yields the groups of all modules that name their own, with the trainable parameters only; an outer module decides
    for its parts."""
    decided: set[int] = set()
    for module in model.modules():
        own = {id(parameter) for parameter in module.parameters()}
        if not hasattr(module, "optimizer_groups") or own <= decided:
            continue
        groups = cast(NamesItsGroups, module).optimizer_groups()
        members = [id(parameter) for group in groups for parameter in group["params"]]
        assert sorted(members) == sorted(own), (
            f"{type(module).__name__}.optimizer_groups: every parameter belongs to exactly one group"
        )
        decided |= own
        for group in groups:
            yield {
                "weight_decay": weight_decay * group.get("decay_scale", 1.0),
                "lr_scale": 1.0,
                **{name: value for name, value in group.items() if name != "decay_scale"},
                "params": [parameter for parameter in group["params"] if parameter.requires_grad],
            }
