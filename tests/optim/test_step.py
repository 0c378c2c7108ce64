import copy

import pytest
import torch
from torch import nn

from fragrant.errors import RunStopped
from fragrant.optim.build import start_momentum_at_zero
from fragrant.optim.step import Stepper


def sgd(groups) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.1, fused=True)
    optimizer.register_step_pre_hook(start_momentum_at_zero)
    return optimizer


OPTIMIZERS = {
    "sgd": sgd,
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
}


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def stepper_of(model: nn.Module, method: str = "adamw", **options) -> Stepper:
    groups = [{"params": list(model.parameters()), "lr_scale": 1.0}]
    return Stepper(
        model, OPTIMIZERS[method](groups), scaler=torch.amp.GradScaler("cpu", enabled=False), clip_norm=None, **options
    )


def batches(n: int, size: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, 4, generator=generator) for _ in range(n)]


def steps(model: nn.Module, stepper: Stepper, inputs: list[torch.Tensor], lr: float = 0.01) -> None:
    for i, x in enumerate(inputs):
        stepper.begin(lr, remaining=len(inputs) - i)
        stepper.backward(model(x).square().mean(), torch.tensor([i]))
    stepper.flush()


def everything(model: nn.Module, stepper: Stepper) -> list[torch.Tensor]:
    optimizer = stepper.optimizer.state_dict()["state"]
    return [t.clone() for t in model.state_dict().values()] + [
        state[name].clone()
        for _, state in sorted(optimizer.items())
        for name in sorted(state)
        if state[name] is not None
    ]


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_bad_step_changes_nothing(method, poison):
    model = net()
    stepper = stepper_of(model, method)
    good = batches(2)
    steps(model, stepper, good)
    before = everything(model, stepper)
    steps(model, stepper, [torch.full((6, 4), poison)])
    assert stepper.bad_steps == 1
    for left, right in zip(before, everything(model, stepper), strict=True):
        assert torch.equal(left, right)
    steps(model, stepper, good)
    assert stepper.bad_in_a_row == 0 and all(p.isfinite().all() for p in model.state_dict().values())


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_a_bad_first_step_is_as_if_it_had_not_been(method):
    clean, poisoned = net(), net()
    good = batches(3)
    steps(clean, a := stepper_of(clean, method), good)
    steps(poisoned, b := stepper_of(poisoned, method), [torch.full((6, 4), float("nan")), *good])
    assert (a.bad_steps, b.bad_steps) == (0, 1)
    for name, value in clean.state_dict().items():
        assert torch.equal(value, poisoned.state_dict()[name]), name


def test_too_many_bad_steps_stop_the_run_and_name_the_clips():
    model = net()
    stepper = stepper_of(model, max_bad_steps=3, name_clips=lambda ids: f"clips {ids}")
    with pytest.raises(RunStopped) as error:
        steps(model, stepper, [torch.full((6, 4), float("nan"))] * 5)
    assert "not finite for 3 steps in a row (TRAIN.MAX_BAD_STEPS); clips of the last batch: clips [2]" in str(
        error.value
    )


def test_bad_steps_with_good_ones_between_do_not_stop():
    model = net()
    stepper = stepper_of(model, max_bad_steps=2)
    bad, good = torch.full((6, 4), float("nan")), batches(1)[0]
    steps(model, stepper, [bad, good, bad, good, bad])
    assert stepper.bad_steps == 3


def test_accumulation_equals_the_large_batch():
    """4 batches of 2 are 1 batch of 8, for a model without BatchNorm; the epoch's rest is a smaller group."""
    generator = torch.Generator().manual_seed(3)
    data = torch.randn(12, 4, generator=generator)
    models = [nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3)) for _ in range(2)]
    models[1].load_state_dict(copy.deepcopy(models[0].state_dict()))
    steps(models[0], stepper_of(models[0]), [data[:8], data[8:]])
    steps(models[1], stepper_of(models[1], accum_steps=4), list(data.split(2)))
    for left, right in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.allclose(left, right, rtol=0, atol=1e-6)


def test_backward_says_when_a_step_was_taken():
    model = net()
    stepper = stepper_of(model, accum_steps=2)
    taken = []
    for i, x in enumerate(batches(3)):
        stepper.begin(0.1, remaining=3 - i)
        taken.append(stepper.backward(model(x).mean(), torch.tensor([i])))
    assert taken == [False, True, True]


def test_clipping_and_learning_rates():
    model = nn.Linear(2, 1, bias=False)
    groups = [{"params": [model.weight], "lr_scale": 0.5}]
    stepper = Stepper(
        model,
        torch.optim.SGD(groups, lr=1.0, fused=True),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        clip_norm=1.0,
    )
    before = model.weight.detach().clone()
    stepper.begin(0.2, remaining=1)
    stepper.backward((model.weight * torch.tensor([[30.0, 40.0]])).sum(), torch.tensor([0]))
    assert stepper.grad_norm.item() == pytest.approx(50)
    assert torch.allclose(before - model.weight, 0.2 * 0.5 * torch.tensor([[0.6, 0.8]]), atol=1e-6)


@pytest.mark.cuda
def test_float16_overflow_is_left_to_the_scaler():
    model = nn.Linear(4, 1).cuda()
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**120)
    stepper = Stepper(
        model, torch.optim.AdamW(model.parameters(), fused=True), scaler=scaler, clip_norm=1.0, max_bad_steps=1
    )
    before = model.weight.detach().clone()
    stepper.begin(0.1, remaining=1)
    stepper.backward(model(torch.ones(2, 4, device="cuda")).sum() * 1e10, torch.tensor([0], device="cuda"))
    stepper.flush()
    assert torch.equal(before, model.weight) and stepper.bad_steps == 0 and scaler.get_scale() < 2.0**120


# ------------------------------------------------------------------------------------------- clipping by value, explosion
def test_clipping_by_value_takes_the_place_of_the_norm():
    model = net()
    steps_of = {"lr": 1.0, "weight_decay": 0.0, "momentum": 0.0}
    optimizer = torch.optim.SGD([{"params": list(model.parameters()), "lr_scale": 1.0}], **steps_of, fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    stepper = Stepper(model, optimizer, scaler=scaler, clip_norm=1e-9, clip_value=0.01)
    before = copy.deepcopy(list(model.parameters()))
    steps(model, stepper, [100 * batches(1)[0]], lr=1.0)
    moved = [(new - old).detach().abs() for new, old in zip(model.parameters(), before, strict=True)]
    assert max(change.max().item() for change in moved) == pytest.approx(0.01, rel=1e-4)
    assert stepper.grad_norm > 1  # as it was before


@pytest.mark.parametrize("accum_steps", [1, 2])
def test_a_loss_that_explodes_ends_the_run(accum_steps):
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    stepper = stepper_of(model, explosion=10.0, accum_steps=accum_steps)
    inputs = [torch.ones(1, 1)] * 6 * accum_steps
    steps(model, stepper, inputs, lr=1e-9)
    steps(model, stepper, [torch.full((1, 1), 3.0)] * accum_steps, lr=1e-9)  # 9 times the loss
    with pytest.raises(
        RunStopped, match="the loss of a step is 100, more than TRAIN.KILL_LOSS_EXPLOSION_FACTOR 10 times"
    ):
        steps(model, stepper, [torch.full((1, 1), 10.0)] * accum_steps, lr=1e-9)


def test_without_a_factor_and_in_the_first_steps_it_may_rise():
    for options in ({}, {"explosion": 2.0}):
        model = nn.Linear(1, 1, bias=False)
        stepper = stepper_of(model, **options)
        steps(model, stepper, [torch.full((1, 1), 10.0**n) for n in range(5)], lr=1e-9)
        assert stepper.bad_steps == 0
