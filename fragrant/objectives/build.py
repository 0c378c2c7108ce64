"""From the config to an objective."""

from torch import nn

from fragrant.objectives.classify import Classify, cross_entropy, soft_cross_entropy
from fragrant.objectives.objective import Objective
from fragrant.registry import Registry

LOSSES = Registry("MODEL.LOSS_FUNC")
LOSSES.register("cross_entropy")(cross_entropy)
LOSSES.register("soft_cross_entropy")(soft_cross_entropy)


def build_objective(cfg, model: nn.Module) -> Objective:
    """The objective around ``model``; mixers and teachers will be chosen here.

    Raises:
        UserError: MODEL.LOSS_FUNC is not known.
    """
    return Classify(model, LOSSES.get(cfg.MODEL.LOSS_FUNC))
