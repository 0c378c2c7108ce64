"""From the config to an objective."""

import random

from torch import nn

from fragrant.objectives.classify import Classify, unmixed
from fragrant.objectives.losses import Loss, binary_cross_entropy, cross_entropy
from fragrant.objectives.mixup import Mixup
from fragrant.objectives.objective import Objective
from fragrant.registry import Registry

LOSSES = Registry("MODEL.LOSS_FUNC")
for name in (
    "cross_entropy",
    "soft_cross_entropy",
    "focal",
):  # published files with mixup ask for the second; here the first takes shares too
    LOSSES.register(name)(cross_entropy)
LOSSES.register("bce_logit")(binary_cross_entropy)


def build_loss(cfg) -> Loss:
    """Raises UserError where MODEL.LOSS_FUNC is not known."""
    name, loss = cfg.MODEL.LOSS_FUNC, cfg.LOSS
    settings = {"smoothing": loss.LABEL_SMOOTHING} | ({"focus": loss.FOCAL_GAMMA} if name == "focal" else {})
    return Loss(LOSSES.get(name), class_weights=tuple(loss.CLASS_WEIGHTS), settings=settings)


def build_mixup(cfg, rng: random.Random) -> Mixup:
    return Mixup(
        cfg.MODEL.NUM_CLASSES,
        rng,
        alpha=cfg.MIXUP.ALPHA,
        cutmix_alpha=cfg.MIXUP.CUTMIX_ALPHA,
        prob=cfg.MIXUP.PROB,
        switch_prob=cfg.MIXUP.SWITCH_PROB,
        smoothing=cfg.MIXUP.LABEL_SMOOTH_VALUE,
    )


def build_objective(cfg, model: nn.Module) -> Objective:
    """The objective around ``model``.

    What it draws at random comes from this process's own generator, the module ``random``: checkpoints hold its state.

    Raises:
        UserError: MODEL.LOSS_FUNC is not known.
    """
    mix = build_mixup(cfg, random) if cfg.MIXUP.ENABLE else unmixed
    return Classify(model, build_loss(cfg), mix=mix)
