"""Support for hand-written backward passes: ``@one_node`` above the class, ``@own_backward`` above its backward,
``applied`` to call it."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def own_backward(function: Callable) -> Callable:
    """Decorates ``backward(ctx, grad)``: no second derivative, and no autocast, in case the loss is differentiated
    inside of it."""

    @functools.wraps(function)
    def backward(ctx, grad):
        with torch.autocast(grad.device.type, enabled=False):
            return function(ctx, grad)

    return once_differentiable(backward)


def one_node(function_class: type[torch.autograd.Function]) -> type[torch.autograd.Function]:
    """Decorates an autograd function so that torch.compile takes it into the graph as it is, instead of reading through
    its loops and buffers."""
    return torch.compiler.allow_in_graph(function_class)


class _NoContext:
    """Stands for the context of a function that will have no backward pass."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        pass


_forward_alone = False


@contextlib.contextmanager
def forward_alone() -> Iterator[None]:
    """A context in which ``applied`` runs forward passes only: for exported files, since no format holds a hand-written
    backward pass."""
    global _forward_alone
    before, _forward_alone = _forward_alone, True
    try:
        yield
    finally:
        _forward_alone = before


def applied(function_class: type[torch.autograd.Function], *arguments: object) -> Tensor:
    """Calls ``function_class.apply(*arguments)``, or within ``forward_alone`` its forward pass."""
    if _forward_alone:
        return function_class.forward(_NoContext(), *arguments)
    return function_class.apply(*arguments)
