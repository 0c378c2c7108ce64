"""What comes back from a checkpoint besides the model: what an objective adds, and what a changed run hears about
it."""

import copy

import pytest
import torch
from torch import nn

from fragrant.checkpoint import CheckpointError, rng_state, save_checkpoint
from fragrant.engine.start import Start
from fragrant.engine.state import check_same_batches, states, take_up
from fragrant.objectives import Classify
from fragrant.optim.step import Stepper


class WithTeacher(Classify):
    """A moving average of the model, as an EMA keeps it."""

    def __init__(self, model: nn.Module):
        super().__init__(model)
        self.teacher = copy.deepcopy(model)
        self.register_buffer("updates", torch.zeros(()))

    def after_step(self) -> None:
        self.updates += 1
        for mean, value in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
            mean.detach().lerp_(value.detach(), 0.1)


def built(objective_of=WithTeacher):
    torch.manual_seed(0)
    objective = objective_of(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    optimizer = torch.optim.AdamW(objective.model.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return objective, optimizer, scaler, Stepper(objective, optimizer, scaler=scaler, clip_norm=None)


def state_after_training(path) -> dict:
    objective, optimizer, scaler, stepper = built()
    for _ in range(3):
        stepper.begin(0.1, remaining=1)
        stepper.backward(objective(torch.randn(6, 4), torch.arange(6) % 4).loss, torch.arange(6))
        objective.after_step()
    state = {
        "scaler_state": scaler.state_dict(),
        "stepper": stepper.state_dict(),
        "rng": [rng_state()],
        "epoch": 0,
        "batches": [5, 6],
    }
    state |= states(objective.model, objective, optimizer)
    save_checkpoint(path, state)
    return {**torch.load(path, weights_only=True), "path": path}


def test_what_the_objective_holds_besides_the_model_comes_back(tmp_path):
    state = state_after_training(tmp_path / "a.pyth")
    assert set(state["objective_state"]) == {"updates"} | {f"teacher.{name}" for name in state["model_state"]}
    objective, optimizer, scaler, stepper = built()
    objective.model.load_state_dict(state["model_state"])
    take_up(Start("", epoch=1, state=state), objective, optimizer, scaler, stepper)
    for name, value in state["objective_state"].items():
        assert torch.equal(value, objective.state_dict()[name]), name
    assert not torch.equal(objective.teacher[0].weight, objective.model[0].weight) and objective.updates == 3
    assert optimizer.state_dict()["state"][0]["step"] == 3


def test_another_objective_is_an_error(tmp_path):
    state = state_after_training(tmp_path / "a.pyth")
    with pytest.raises(CheckpointError) as error:
        take_up(Start("", epoch=1, state=state), *built(Classify))
    reason = "it cannot be taken up again: 'updates is not part of this objective'"
    assert str(error.value) == f"{tmp_path / 'a.pyth'} is of another model or optimiser, {reason}"


def test_what_a_changed_run_hears(tmp_path):
    state = {"path": "x.pyth", "batches": [5, 6], "rng": [{}, {}]}
    assert check_same_batches(Start(""), num_batches=5, videos=6) == ""
    said = check_same_batches(Start("", epoch=1, state=state), num_batches=10, videos=3)
    assert "a batch had 6 videos, now it has 3" in said and "2 processes before, 1 now" in said
    with pytest.raises(
        CheckpointError,
        match="x.pyth stands in the middle of an epoch of 5 batches of 6 videos .* now they are 10 of 3",
    ):
        check_same_batches(Start("", epoch=1, batch=2, state=state), num_batches=10, videos=3)
