"""What every hand-written backward pass needs: ``@one_node`` above the class, ``@own_backward`` above its backward."""

import functools
from collections.abc import Callable

import torch
from torch.autograd.function import once_differentiable


def own_backward(function: Callable) -> Callable:
    """Decorates ``backward(ctx, grad)``: no second derivative, and no autocast, in case the loss is differentiated inside of it."""

    @functools.wraps(function)
    def backward(ctx, grad):
        with torch.autocast(grad.device.type, enabled=False):
            return function(ctx, grad)

    return once_differentiable(backward)


def one_node(function_class: type[torch.autograd.Function]) -> type[torch.autograd.Function]:
    """torch.compile puts the function into the graph as it is, instead of reading through its loops and buffers."""
    return torch.compiler.allow_in_graph(function_class)
