"""What every hand-written backward pass needs."""

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
