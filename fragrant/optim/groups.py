"""Which parameters decay how much."""

from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def parameter_groups(model: nn.Module, *, weight_decay: float, bn_weight_decay: float = 0.0, zero_wd_1d: bool = False) -> list[dict]:
    """The parameter groups of an optimiser: every trainable parameter in exactly one, empty groups left out.

    The rule that the published UniFormer numbers were trained with, first match wins: a parameter of a
    BatchNorm -> ``bn_weight_decay``; a vector or a scalar (bias, LayerNorm, layer scale) with ``zero_wd_1d``
    -> 0; the rest -> ``weight_decay``. Convolutions that encode position are decayed like any other.

    Every group has an ``lr_scale``: the schedule's learning rate times this is the group's. It is 1.0 here;
    layer decay or a learnable mixer change it.
    """
    batch_norm, no_decay, decay = [], [], []
    seen = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:  # seen: two modules share it
                continue
            seen.add(id(parameter))
            if isinstance(module, BATCH_NORMS):
                batch_norm.append(parameter)
            elif zero_wd_1d and parameter.ndim <= 1:
                no_decay.append(parameter)
            else:
                decay.append(parameter)
    groups = [
        {"params": batch_norm, "weight_decay": bn_weight_decay, "lr_scale": 1.0},
        {"params": decay, "weight_decay": weight_decay, "lr_scale": 1.0},
        {"params": no_decay, "weight_decay": 0.0, "lr_scale": 1.0},
    ]
    return [group for group in groups if group["params"]]
