"""The memory format of a model's weights."""

import torch
from torch import nn


def to_channels_last(module: nn.Module) -> nn.Module:
    """Converts the filters of a module to channels last, in place, values unchanged: 3D filters (5 dimensions) to
    channels_last_3d, 2D ones (4) to channels_last.

    ``module.to(memory_format=...)`` takes one format for all and fails where a model has both kinds of filters."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.ndim in formats:
            tensor.data = tensor.data.contiguous(memory_format=formats[tensor.ndim])
    return module
