"""Frozen BatchNorm: keeps its statistics, so that neither the content of a batch nor its spread over processes changes
the result."""

from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T", bound=nn.Module)


class _KeepsStatistics(nn.Module):
    def train(self: T, mode: bool = True) -> T:
        """Keeps the module in evaluation mode, whatever ``mode`` says; weight and bias are still trained."""
        return super().train(False)


class FrozenBatchNorm1d(_KeepsStatistics, nn.BatchNorm1d):
    pass


class FrozenBatchNorm2d(_KeepsStatistics, nn.BatchNorm2d):
    pass


class FrozenBatchNorm3d(_KeepsStatistics, nn.BatchNorm3d):
    pass


FROZEN = {nn.BatchNorm1d: FrozenBatchNorm1d, nn.BatchNorm2d: FrozenBatchNorm2d, nn.BatchNorm3d: FrozenBatchNorm3d}


def freeze_batch_norm(model: nn.Module) -> nn.Module:
    """Freezes the statistics of every BatchNorm of ``model``, in place; the names of the state dict stay."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and type(module) in FROZEN:
            module.__class__ = FROZEN[type(module)]  # a subclass without state of its own
            module.train()
    return model
