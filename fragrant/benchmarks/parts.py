"""Benchmark of the parts that a model names: their shares of a training step."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.benchmarks.timing import Measured, measure


class Call(NamedTuple):
    """A call of a module: the module and its inputs."""

    module: nn.Module
    inputs: tuple[Tensor, ...]


def calls_of(parts: dict[str, list[nn.Module]], forward: Callable[[], object]) -> dict[str, list[Call]]:
    """Records the calls of every part's modules in one forward pass."""
    calls: dict[str, list[Call]] = {name: [] for name in parts}
    hooks = []
    for name, modules in parts.items():

        def keep(module: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            calls[name].append(Call(module, tuple(x.detach().requires_grad_(x.requires_grad) for x in inputs)))

        hooks += [module.register_forward_pre_hook(keep) for module in modules]
    forward()
    for hook in hooks:
        hook.remove()
    return calls


def again(calls: list[Call], autocast: Callable[[], AbstractContextManager]) -> Callable[[], None]:
    """Builds a function that repeats these calls alone, forward and backward, with the gradients that they compute in
    training."""

    def run() -> None:
        for module, inputs in calls:
            with autocast():
                output = module(*inputs)
            if isinstance(output, tuple):
                output = output[0]  # what the model goes on with
            if output.requires_grad:
                output.backward(torch.ones_like(output))
            module.zero_grad(set_to_none=True)
            for x in inputs:
                x.grad = None

    return run


def benchmark_parts(
    parts: dict[str, list[nn.Module]],
    *,
    forward: Callable[[], object],
    whole_step: Callable[[], object],
    autocast: Callable[[], AbstractContextManager],
    device: torch.device,
    rounds: int,
) -> str:
    """Table of the time of every part by itself, forward and backward, on the inputs that the model gives it, as a
    share of the whole step.

    Args:
        forward: one forward pass of the model, in training mode.
        whole_step: a whole training step, which takes turns with the parts.
    """
    runs = {name: again(calls, autocast) for name, calls in calls_of(parts, forward).items()}
    return parts_table(measure({**runs, "whole step": whole_step}, device=device, rounds=rounds))


def parts_table(results: dict[str, Measured]) -> str:
    """Table of the parts; the last result is the whole step. "on top": the part's time over that of the step without
    it."""
    *parts, whole = ((name, result.median) for name, result in results.items())
    if len(parts) > 1:
        parts.append((" + ".join(name for name, _ in parts), sum(seconds for _, seconds in parts)))
    lines = [f"{'part of the whole step':<40}{'seconds':>12}{'share':>12}{'on top':>12}"]
    for name, seconds in parts:
        lines.append(
            f"{name:<40}{seconds:>12.3f}{seconds / whole[1]:>12.1%}{seconds / max(whole[1] - seconds, 1e-9):>12.1%}"
        )
    return "\n".join([*lines, f"{whole[0]:<40}{whole[1]:>12.3f}"])
