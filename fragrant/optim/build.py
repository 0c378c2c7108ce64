"""Builds the optimiser and its learning-rate schedule from the config."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from fragrant.errors import UserError
from fragrant.optim.groups import parameter_groups
from fragrant.optim.joint import Joint
from fragrant.optim.layer_decay import head_parameters, scales_of, split_by_layer
from fragrant.optim.schedule import lr_at
from fragrant.registry import Registry

OPTIMIZERS = Registry("SOLVER.OPTIMIZING_METHOD", keys=("SOLVER.OPTIMIZING_METHOD", "SVMIX.MODULE_OPT"))


def start_momentum_at_zero(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    """Sets momentum buffers that do not exist yet to zeros; a hook before every step.

    Fused SGD allocates them at its first step and only fills them if that step is taken: skipped through
    ``found_inf``, it leaves whatever lay in that memory, and the next step moves the weights by it. From zeros the
    first step is the same (momentum * 0 + gradient); only with SOLVER.DAMPENING it is damped like all the others,
    which torch's is not."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


@OPTIMIZERS.register("sgd")
def sgd(groups: list[dict], solver) -> torch.optim.Optimizer:
    if solver.NESTEROV and (solver.MOMENTUM <= 0 or solver.DAMPENING != 0):
        raise UserError(
            f"SOLVER.NESTEROV True with SOLVER.MOMENTUM {solver.MOMENTUM} and SOLVER.DAMPENING {solver.DAMPENING}; "
            "allowed: a momentum above 0 and no dampening, or NESTEROV False"
        )
    optimizer = torch.optim.SGD(
        groups,
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        dampening=solver.DAMPENING,
        nesterov=solver.NESTEROV,
        fused=True,
    )
    if solver.MOMENTUM != 0:
        optimizer.register_step_pre_hook(start_momentum_at_zero)
    return optimizer


@OPTIMIZERS.register("adam")
def adam(groups: list[dict], solver) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=solver.BASE_LR, betas=tuple(solver.BETAS), fused=True)


@OPTIMIZERS.register("adamw")
def adamw(groups: list[dict], solver) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=solver.BASE_LR, betas=tuple(solver.BETAS), fused=True)


def build_optimizer(cfg, module: nn.Module) -> torch.optim.Optimizer:
    """Builds the optimiser of every trainable parameter of ``module``, which lies on its device already.

    All are fused: one kernel for all tensors, and a step with ``optimizer.found_inf`` set to a float32 tensor of 1.0 on
    the parameters' device changes no parameter and no state, so that a non-finite step is skipped without the host
    waiting to know (0.0: the step is taken). A torch.amp.GradScaler sets and deletes that attribute itself.

    Raises:
        UserError: SOLVER.OPTIMIZING_METHOD is not known, nothing is left to train, or SOLVER.LAYER_DECAY is given for a
            network without declared layers.
    """
    OPTIMIZERS.get(cfg.SOLVER.OPTIMIZING_METHOD)  # known?
    groups = parameter_groups(
        module,
        weight_decay=cfg.SOLVER.WEIGHT_DECAY,
        bn_weight_decay=cfg.BN.WEIGHT_DECAY,
        zero_wd_1d=cfg.SOLVER.ZERO_WD_1D_PARAM,
    )
    scales = scales_of(module, cfg.SOLVER.LAYER_DECAY) if cfg.SOLVER.LAYER_DECAY != 1 else {}
    if cfg.SOLVER.HEAD_LR_FACTOR != 1:
        heads = {id(parameter) for parameter in head_parameters(module)}
        scales |= {head: scales.get(head, 1.0) * cfg.SOLVER.HEAD_LR_FACTOR for head in heads}
    groups = split_by_layer(groups, scales) if scales else groups
    if not groups:
        raise UserError(f"{type(module).__name__} has no trainable parameter: nothing to optimise")
    by_method: dict[str, list[dict]] = {}
    for group in groups:
        by_method.setdefault(group.pop("optimizer", cfg.SOLVER.OPTIMIZING_METHOD), []).append(group)
    optimizers = [OPTIMIZERS.get(method)(some, cfg.SOLVER) for method, some in by_method.items()]
    return optimizers[0] if len(optimizers) == 1 else Joint(optimizers)


def learning_rate_scale(cfg) -> float:
    """Factor of the config's learning rates: the number of machines, or the clips of a step per REFERENCE_BATCH, or
    1."""
    if cfg.SOLVER.AUTO_SCALE_LR:
        return cfg.TRAIN.BATCH_SIZE * cfg.NUM_SHARDS * cfg.TRAIN.ACCUM_STEPS / cfg.SOLVER.REFERENCE_BATCH
    return cfg.NUM_SHARDS if cfg.SOLVER.BASE_LR_SCALE_NUM_SHARDS else 1


def describe_peak(cfg) -> str:
    """Describes the peak learning rate, as ``"0.002 (SOLVER.BASE_LR 0.001 x 2: SOLVER.BASE_LR_SCALE_NUM_SHARDS)"``."""
    factor = learning_rate_scale(cfg)
    rule = ""
    if cfg.SOLVER.AUTO_SCALE_LR:
        clips = cfg.TRAIN.BATCH_SIZE * cfg.NUM_SHARDS * cfg.TRAIN.ACCUM_STEPS
        rule = f": SOLVER.AUTO_SCALE_LR, {clips} clips per step / SOLVER.REFERENCE_BATCH {cfg.SOLVER.REFERENCE_BATCH}"
    elif factor != 1:
        rule = ": SOLVER.BASE_LR_SCALE_NUM_SHARDS"
    return f"peak learning rate {cfg.SOLVER.BASE_LR * factor:g}" + (
        f" (SOLVER.BASE_LR {cfg.SOLVER.BASE_LR:g} x {factor:g}{rule})" if rule else ""
    )


def build_schedule(cfg) -> Callable[[float], float]:
    """Builds the learning rate as a function of the fractional epoch; a wrong policy is an error here, not at the first
    step.

    All three rates are multiplied by ``learning_rate_scale``: here, the config keeps what was asked for.

    Raises:
        UserError: the policy is not known, or its numbers contradict each other.
    """
    solver, scale = cfg.SOLVER, learning_rate_scale(cfg)
    schedule = partial(
        lr_at,
        policy=solver.LR_POLICY,
        base_lr=solver.BASE_LR * scale,
        max_epoch=solver.MAX_EPOCH,
        end_lr=solver.COSINE_END_LR * scale,
        warmup_epochs=solver.WARMUP_EPOCHS,
        warmup_start_lr=solver.WARMUP_START_LR * scale,
        cosine_after_warmup=solver.COSINE_AFTER_WARMUP,
        steps=tuple(solver.STEPS),
        lrs=tuple(solver.LRS),
    )
    schedule(0.0)  # raises now what it would raise later
    return schedule
