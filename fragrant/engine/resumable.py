"""Compares everything that a checkpoint would bring back with what the run of today has, before any of it is taken."""

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

MOMENTS = {  # class of an optimiser -> the tensors that it keeps of every parameter, each of the parameter's shape
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
    torch.optim.Adam: ("exp_avg", "exp_avg_sq"),
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.Adagrad: ("sum",),  # of a plug-in; its fused step, too, writes as far as the weights go
}


def check_fits(
    state: dict[str, Any], objective: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> None:
    """Compares every state of a checkpoint with what is to be resumed from it.

    Args:
        state: a checkpoint whose entries have the right kinds, see ``fragrant.checkpoint``.

    Raises:
        ValueError: names the first tensor, number or name that does not fit; nothing has been changed.
        KeyError: the objective has no such tensor.
    """
    for name in ("scaler_state", "rng"):
        if name not in state:
            raise ValueError(f"it holds no {name}")
    if state.get("batch") and ("meter" not in state or state["batch"] > state.get("batches", [math.inf])[0]):
        raise ValueError(f"it stands after batch {state['batch']} of an epoch that has none of this number")
    if "optimizer_state" in state:
        _optimizer(state["optimizer_state"], optimizer)
    _objective(state.get("objective_state") or {}, state.get("model_state") or {}, objective)
    if state.get("scaler_state") and scaler.is_enabled():
        _scaler(state["scaler_state"], scaler.state_dict())
    for number, share in enumerate(state["rng"] if isinstance(state["rng"], list) else [state["rng"]]):
        _random_numbers(share, f"rng of rank {number}")
    for share in state["meter"] if isinstance(state.get("meter"), list) else [state.get("meter")]:
        _meter(share)
    if "stepper" in state and not {"bad_steps", "bad_in_a_row"} <= state["stepper"].keys():
        raise ValueError("it counts no bad steps")


def _differs(name: str, found: Any, wanted: Tensor) -> str:
    """What is wrong with a tensor in the place of another; "" if nothing is."""
    if not isinstance(found, Tensor):
        return f"{name} is a {type(found).__name__}, not a tensor"
    if found.shape != wanted.shape:
        return f"{name} has shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
    return f"{name} is {found.dtype}, not {wanted.dtype}" if found.dtype != wanted.dtype else ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


# ------------------------------------------------------------------------------------------------------------ optimiser
def _optimizer(state: dict, optimizer: torch.optim.Optimizer) -> None:
    groups, own = state["param_groups"], optimizer.param_groups
    found = [len(group["params"]) if isinstance(group.get("params"), list) else -1 for group in groups]
    if found != [len(group["params"]) for group in own]:
        raise ValueError(f"its optimiser has groups of {found} parameters, not {[len(g['params']) for g in own]}")
    numbers = [number for group in groups for number in group["params"]]
    if not all(type(number) is int for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError("its optimiser does not number its parameters")
    for group, mine in zip(groups, own, strict=True):
        for problem in _options(group, mine):
            raise ValueError(f"its optimiser {problem}")
    parameters = [parameter for group in own for parameter in group["params"]]
    kept = _kept(optimizer)
    by_number = dict(zip(numbers, range(len(numbers)), strict=True))
    for number, values in state["state"].items():
        if number not in by_number:
            raise ValueError(f"its optimiser has a state of parameter {number!r:.40}, which is in no group")
        at = by_number[number]
        for problem in _moments(f"parameter {at}", values, parameters[at], kept[at]):
            raise ValueError(f"optimiser state: {problem}")


def _options(group: Mapping, mine: Mapping) -> Iterator[str]:
    """What is wrong with the settings of a group: those of another optimiser, or no numbers."""
    for name, value in group.items():
        if name not in mine:
            yield f"has an option {name!r:.60}, which today's has not"
        elif name != "params" and not _alike(value, mine[name]):
            yield f"has {name} {value!r:.60}, which is no value for it"
    yield from (f"has no option {name!r}" for name in ("lr", "params") if name not in group)


def _alike(value: Any, mine: Any) -> bool:
    if isinstance(mine, bool) or isinstance(value, bool):
        return isinstance(value, bool | None) and isinstance(mine, bool | None)
    if isinstance(mine, (tuple, list)):
        return isinstance(value, (tuple, list)) and len(value) == len(mine) and all(map(_is_number, value))
    if value is None or isinstance(value, str):
        return mine is None or isinstance(mine, type(value))
    return _is_number(value)


def _kept(optimizer: torch.optim.Optimizer) -> list[tuple[str, ...] | None]:
    """The names of the moments that each parameter has; None where the optimiser is of another class."""
    parts = getattr(optimizer, "parts", [optimizer])
    of_parameter = {
        id(parameter): next((kept for kind, kept in MOMENTS.items() if isinstance(part, kind)), None)
        for part in parts
        for group in part.param_groups
        for parameter in group["params"]
    }
    return [of_parameter[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def _moments(name: str, values: dict, parameter: Tensor, kept: tuple[str, ...] | None) -> Iterator[str]:
    for key, value in values.items():
        if key == "step":
            single = isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point()
            count = float(value) if single or _is_number(value) else math.nan
            if not 0 <= count < 2**48:
                yield f"step of {name} is no number of steps"
        elif kept is not None and key not in kept:
            yield f"{key!r:.60} of {name} belongs to another optimiser"
        elif kept is not None and (value is not None or key != "momentum_buffer"):  # None: before the first step
            if problem := _differs(f"{key!s:.60} of {name}", value, parameter):
                yield problem
    missing = [key for key in kept or () if values and key not in values]
    yield from (f"{name} has no {key}" for key in missing)
    if kept == ("exp_avg", "exp_avg_sq") and values and "step" not in values:
        yield f"{name} has no step"


# ---------------------------------------------------------------------------------------------------------- all others
def _objective(further: Mapping[str, Tensor], of_model: Mapping[str, Tensor], objective: nn.Module) -> None:
    now = objective.state_dict(keep_vars=True)
    for name, value in further.items():
        if name not in now:
            raise KeyError(f"{name:.100} is not part of this objective")
        if problem := _differs(name, value, now[name]):
            raise ValueError(problem)
    # What is left is the model, under one name or several.
    left = {id(value): name for name, value in now.items() if name not in further}
    if of_model and len(left) > len(of_model):
        ends = tuple(f".{name}" for name in of_model)
        odd = [name for name in left.values() if not name.endswith(ends)] or list(left.values())[-1:]
        raise ValueError(f"it has no {odd[0]}, which is part of this objective")


def _scaler(state: Mapping, mine: Mapping) -> None:
    if state.keys() != mine.keys():
        raise ValueError(f"its gradient scaler has {', '.join(map(str, state))!s:.100}, not {', '.join(mine)}")
    for name, value in state.items():
        most = 2**31 if isinstance(value, int) else 1e38  # what torch counts and scales with
        if not _is_number(value) or not 0 <= value < most or (name == "scale" and value == 0):
            raise ValueError(f"its gradient scaler has {name} {value!r:.60}")


def _random_numbers(share: Mapping, name: str) -> None:
    if not {"python", "torch", "cuda"} <= share.keys():
        raise ValueError(f"{name} is not whole")
    try:
        random.Random(0).setstate(share["python"])
        torch.Generator().set_state(share["torch"])
    except Exception as error:  # both take any object, and fail in the way of that object
        raise ValueError(f"{name} is no state of random numbers: {error}") from error
    cuda = share["cuda"]
    if cuda is not None and (not isinstance(cuda, Tensor) or cuda.dtype != torch.uint8 or cuda.numel() != 16):
        raise ValueError(f"{name} is no state of a GPU's random numbers")


def _meter(share: Any) -> None:
    if share is None:
        return
    if not isinstance(share, dict) or not {"window", "whole", "seconds"} <= share.keys():
        raise ValueError("its averages are not whole")
    for averages in (share["window"], share["whole"]):
        pairs = list(averages.values()) if isinstance(averages, dict) else [None]
        if not all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in pairs):
            raise ValueError("its averages are no numbers")
    if not _is_number(share["seconds"]):
        raise ValueError("its averages have no duration")
