"""Optimisers from the config, and what a step that is marked as non-finite leaves alone."""

import copy
import re

import pytest
import torch
from conftest import golden
from fvcore.common.config import CfgNode
from torch import nn

from fragrant.errors import UserError
from fragrant.optim import build_optimizer, build_schedule, describe_peak

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
METHODS = {
    "sgd with momentum": {"OPTIMIZING_METHOD": "sgd", "NESTEROV": False},
    "sgd with Nesterov momentum": {"OPTIMIZING_METHOD": "sgd"},
    "sgd with dampening": {"OPTIMIZING_METHOD": "sgd", "NESTEROV": False, "DAMPENING": 0.1},
    "sgd without momentum": {"OPTIMIZING_METHOD": "sgd", "NESTEROV": False, "MOMENTUM": 0.0},
    "adam": {"OPTIMIZING_METHOD": "adam"},
    "adamw": {"OPTIMIZING_METHOD": "adamw"},
}
every_method = pytest.mark.parametrize("solver", METHODS.values(), ids=METHODS.keys())
on_devices = pytest.mark.parametrize("device", DEVICES)


def config(**solver) -> CfgNode:
    defaults = {
        "OPTIMIZING_METHOD": "sgd",
        "BASE_LR": 0.1,
        "LR_POLICY": "cosine",
        "COSINE_END_LR": 0.0,
        "COSINE_AFTER_WARMUP": False,
        "STEPS": [],
        "LRS": [],
        "MAX_EPOCH": 300,
        "WARMUP_EPOCHS": 0.0,
        "WARMUP_START_LR": 0.01,
        "MOMENTUM": 0.9,
        "DAMPENING": 0.0,
        "NESTEROV": True,
        "BETAS": [0.9, 0.999],
        "WEIGHT_DECAY": 0.05,
        "ZERO_WD_1D_PARAM": True,
        "BASE_LR_SCALE_NUM_SHARDS": False,
        "AUTO_SCALE_LR": False,
        "REFERENCE_BATCH": 0,
        "LAYER_DECAY": 1.0,
        "HEAD_LR_FACTOR": 1.0,
    }
    train = {"BATCH_SIZE": 6, "ACCUM_STEPS": 2}
    cfg = CfgNode({"SOLVER": {**defaults, **solver}, "BN": {"WEIGHT_DECAY": 0.0}, "TRAIN": train, "NUM_SHARDS": 1})
    cfg.freeze()
    return cfg


def model_on(device: str) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.Linear(40, 40), nn.LayerNorm(40))
    return model.to(device, memory_format=torch.channels_last_3d)


def fill_gradients(optimizer: torch.optim.Optimizer, seed: int) -> None:
    for group in optimizer.param_groups:
        for index, parameter in enumerate(group["params"]):
            generator = torch.Generator().manual_seed(seed + 100 * index)
            parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))


def step(
    optimizer: torch.optim.Optimizer, seed: int, *, skip: bool = False, without: nn.Parameter | None = None
) -> None:
    """One step with gradients of its own; those of a skipped one are NaN, as after a bad batch; ``without`` gets
    none."""
    fill_gradients(optimizer, seed)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter is without:
                parameter.grad = None
            elif skip:
                parameter.grad.fill_(float("nan"))
    optimizer.found_inf = torch.tensor(float(skip), device=parameter.device)
    optimizer.step()
    del optimizer.found_inf


def same(one, other) -> bool:
    """Equal to the last bit, structure and all."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(
    "solver, kind, options",
    [
        (METHODS["sgd with momentum"], torch.optim.SGD, {"momentum": 0.9, "dampening": 0.0, "nesterov": False}),
        (METHODS["sgd with Nesterov momentum"], torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        (METHODS["sgd with dampening"], torch.optim.SGD, {"dampening": 0.1}),
        ({"OPTIMIZING_METHOD": "adam", "BETAS": [0.8, 0.9]}, torch.optim.Adam, {"betas": (0.8, 0.9), "eps": 1e-8}),
        ({"OPTIMIZING_METHOD": "adamw"}, torch.optim.AdamW, {"betas": (0.9, 0.999), "eps": 1e-8}),
    ],
)
def test_what_is_built(solver, kind, options):
    optimizer = build_optimizer(config(**solver), model_on("cpu"))
    assert type(optimizer) is kind
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [
        (2, 0.0),
        (2, 0.05),
        (4, 0.0),
    ]
    for group in optimizer.param_groups:
        assert group["fused"] and group["lr"] == 0.1 and group["lr_scale"] == 1.0
        assert {name: group[name] for name in options} == options


@on_devices
@every_method
def test_a_skipped_step_changes_nothing(solver, device):
    """found_inf = 1 leaves every weight and every state tensor, the step count included, as it was."""
    model = model_on(device)
    optimizer = build_optimizer(config(**solver), model)
    step(optimizer, 1)
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    step(optimizer, 2, skip=True)
    assert same(before, (model.state_dict(), optimizer.state_dict()))
    step(optimizer, 3)
    assert not same(before[0], model.state_dict())


@on_devices
@every_method
def test_a_skipped_first_step_leaves_no_trace(solver, device):
    """The state that the very first step allocates is zeros, and the run goes on as if the skipped steps had not
    been."""
    skipped, plain = model_on(device), model_on(device)
    optimizer, expected = build_optimizer(config(**solver), skipped), build_optimizer(config(**solver), plain)
    start = copy.deepcopy(skipped.state_dict())
    step(optimizer, 1, skip=True)
    step(optimizer, 2, skip=True)
    assert same(start, skipped.state_dict())
    assert all(not tensor.any() for state in optimizer.state.values() for tensor in state.values())
    for seed in (3, 4):
        step(optimizer, seed)
        step(expected, seed)
    assert same(skipped.state_dict(), plain.state_dict())
    assert same(optimizer.state_dict(), expected.state_dict())


@pytest.mark.parametrize("solver", [METHODS[name] for name in METHODS if "dampening" not in name])
def test_steps_are_those_of_plain_torch(solver):
    """Momentum that starts from zeros is torch's own when nothing is damped."""
    model, plain = model_on("cpu"), model_on("cpu")
    optimizer = build_optimizer(config(**solver), model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    named = dict(plain.named_parameters())
    groups = [
        {**group, "params": [named[names[id(p)]] for p in group["params"]], "fused": False}
        for group in optimizer.param_groups
    ]
    expected = type(optimizer)(groups)
    for seed in range(3):
        step(optimizer, seed)
        for parameter, other in zip(model.parameters(), plain.parameters(), strict=True):
            other.grad = parameter.grad.clone()
        expected.step()
    for parameter, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-6, atol=1e-6)


@on_devices
@every_method
def test_the_scaler_of_float16_skips_in_the_same_way(solver, device):
    """A GradScaler sets found_inf itself when scaled gradients overflow, also at the first step."""
    model = model_on(device)
    optimizer, scaler = build_optimizer(config(**solver), model), torch.amp.GradScaler(device, init_scale=4.0)
    scaler.scale(torch.ones((), device=device))
    start = copy.deepcopy(model.state_dict())
    fill_gradients(optimizer, 1)
    model[2].weight.grad[0, 0] = float("inf")
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert same(start, model.state_dict()) and scaler.get_scale() == 2.0
    assert all(not tensor.any() for state in optimizer.state.values() for tensor in state.values())
    assert not hasattr(optimizer, "found_inf")


@on_devices
@every_method
def test_a_parameter_may_get_its_first_gradient_late(solver, device):
    """A layer that drop path left out of the first step; fused SGD by itself fails when only some buffers exist."""
    model = model_on(device)
    optimizer = build_optimizer(config(**solver), model)
    late = model[3].bias  # no weight decay: its gradient is all there is
    before = late.clone()
    step(optimizer, 1, without=late)
    assert torch.equal(late, before)
    step(optimizer, 2)
    assert not torch.equal(late, before) and torch.isfinite(late).all()
    if "momentum_buffer" in optimizer.state[late]:
        torch.testing.assert_close(
            optimizer.state[late]["momentum_buffer"], late.grad * (1 - solver.get("DAMPENING", 0.0))
        )


@every_method
def test_state_survives_a_round_trip(solver, tmp_path):
    one, other = model_on("cpu"), model_on("cpu")
    optimizer = build_optimizer(config(**solver), one)
    step(optimizer, 1)
    torch.save({"model": one.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = build_optimizer(config(**solver), other)
    other.load_state_dict(state["model"])
    resumed.load_state_dict(state["optimizer"])
    for each in (optimizer, resumed):
        step(each, 2)
    assert same(one.state_dict(), other.state_dict()) and same(optimizer.state_dict(), resumed.state_dict())


@pytest.mark.parametrize(
    "solver, message",
    [
        (
            {"OPTIMIZING_METHOD": "adamW2"},
            "SOLVER.OPTIMIZING_METHOD 'adamW2' is not known; did you mean 'adamw'? Known: adam, adamw, sgd",
        ),
        (
            {"DAMPENING": 0.1},
            "SOLVER.NESTEROV True with SOLVER.MOMENTUM 0.9 and SOLVER.DAMPENING 0.1; allowed: a momentum above 0",
        ),
        ({"MOMENTUM": 0.0}, "SOLVER.NESTEROV True with SOLVER.MOMENTUM 0.0"),
    ],
)
def test_errors(solver, message):
    with pytest.raises(UserError, match=re.escape(message)):
        build_optimizer(config(**solver), model_on("cpu"))


def test_nothing_to_train():
    with pytest.raises(UserError, match="Sequential has no trainable parameter: nothing to optimise"):
        build_optimizer(config(), model_on("cpu").requires_grad_(False))


def test_schedule_from_config():
    schedule = build_schedule(
        config(BASE_LR=1.0, COSINE_END_LR=0.2, MAX_EPOCH=10, WARMUP_EPOCHS=2.0, COSINE_AFTER_WARMUP=True)
    )
    assert [schedule(epoch) for epoch in (0, 1, 2, 6, 10)] == pytest.approx([0.01, 0.505, 1.0, 0.6, 0.2])


def test_schedule_scaled_by_machines():
    case = next(case for case in golden("framework/lr_curves")["cases"] if "solver_after_scaling" in case)
    asked = {"BASE_LR": 1e-4, "WARMUP_START_LR": 1e-6, "COSINE_END_LR": 1e-6}
    cfg = config(**{**case["solver_after_scaling"], **asked, "BASE_LR_SCALE_NUM_SHARDS": True})
    cfg.defrost()
    cfg.NUM_SHARDS = 4
    cfg.freeze()
    schedule = build_schedule(cfg)
    for epoch, expected in case["curve"]:
        assert schedule(epoch) == pytest.approx(expected, rel=1e-8)
    assert {key: cfg.SOLVER[key] for key in asked} == asked  # nothing is written back


def test_schedule_scaled_by_the_videos_of_a_step():
    scaled = {"AUTO_SCALE_LR": True, "REFERENCE_BATCH": 8}
    cfg = config(
        BASE_LR=0.1, WARMUP_START_LR=0.02, COSINE_END_LR=0.01, WARMUP_EPOCHS=2.0, COSINE_AFTER_WARMUP=True, **scaled
    )
    schedule = build_schedule(cfg)  # 6 videos x 2 batches for a rate that is meant for 8
    assert [schedule(epoch) for epoch in (0, 2, 300)] == pytest.approx([0.03, 0.15, 0.015])
    assert cfg.SOLVER.BASE_LR == 0.1  # nothing is written back
    assert describe_peak(cfg) == (
        "peak learning rate 0.15 (SOLVER.BASE_LR 0.1 x 1.5: SOLVER.AUTO_SCALE_LR, 12 clips per step / "
        "SOLVER.REFERENCE_BATCH 8)"
    )


@pytest.mark.parametrize(
    "solver, message",
    [
        ({"LR_POLICY": "step"}, "SOLVER.LR_POLICY 'step' is not known"),
        ({"COSINE_END_LR": 0.5}, "SOLVER.COSINE_END_LR 0.5 is above SOLVER.BASE_LR 0.1"),
        ({"LR_POLICY": "steps_with_relative_lrs", "WARMUP_EPOCHS": 5.0}, r"SOLVER.STEPS \[\]"),
    ],
)
def test_a_wrong_schedule_fails_before_the_first_step(solver, message):
    with pytest.raises(UserError, match=message):
        build_schedule(config(**solver))
