"""A checkpoint that does not fit the run is refused before anything of it is taken, in one line, whatever is wrong."""

import copy
import random

import pytest
import torch
from test_start import built, state_after_training

from fragrant.checkpoint import (
    CheckpointError,
    checkpoint_path,
    load_checkpoint,
    load_latest,
    rng_state,
    save_checkpoint,
)
from fragrant.engine.resumable import _optimizer
from fragrant.engine.start import Sources, Start, load_start
from fragrant.engine.state import take_up
from fragrant.objectives import Classify
from fragrant.optim.joint import Joint


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict:
    return state_after_training(tmp_path_factory.mktemp("state") / "a.pyth")


def moments(change):
    """The same change for what the optimiser keeps of every parameter."""

    def act(state):
        for values in state["optimizer_state"]["state"].values():
            change(values)

    return act


def set_at(*path_and_value):
    *path, last, value = path_and_value

    def act(state):
        for key in path:
            state = state[key]
        state[last] = value

    return act


def drop(*path):
    def act(state):
        for key in path[:-1]:
            state = state[key]
        del state[path[-1]]

    return act


NAN, GROUP = float("nan"), ("optimizer_state", "param_groups", 0)
WRONG = {
    "moments of one number": (moments(lambda v: v.update(exp_avg=torch.zeros(1))), "exp_avg of parameter 0 has shape"),
    "moments too large": (moments(lambda v: v.update(exp_avg_sq=torch.zeros(99, 99))), "exp_avg_sq of parameter 0 has"),
    "moments without numbers": (moments(lambda v: v.update(exp_avg=torch.zeros(0))), "has shape (0,)"),
    "moments of doubles": (moments(lambda v: v.update(exp_avg=v["exp_avg"].double())), "is torch.float64, not"),
    "moments that are a text": (moments(lambda v: v.update(exp_avg="x")), "is a str, not a tensor"),
    "moments that are nothing": (moments(lambda v: v.update(exp_avg=None)), "is a NoneType, not a tensor"),
    "moments missing": (moments(lambda v: v.pop("exp_avg_sq")), "parameter 0 has no exp_avg_sq"),
    "no step": (moments(lambda v: v.pop("step")), "parameter 0 has no step"),
    "a step of two": (moments(lambda v: v.update(step=torch.zeros(2))), "step of parameter 0 is no number of steps"),
    "a step that is none": (moments(lambda v: v.update(step=NAN)), "step of parameter 0 is no number of steps"),
    "a step below zero": (moments(lambda v: v.update(step=torch.tensor(-1.0))), "is no number of steps"),
    "a step that is a text": (moments(lambda v: v.update(step="3")), "is no number of steps"),
    "moments of sgd": (
        moments(lambda v: v.update(momentum_buffer=v["exp_avg"])),
        "'momentum_buffer' of parameter 0 belongs to another optimiser",
    ),
    "a parameter more": (set_at("optimizer_state", "state", 77, {"step": 1}), "a state of parameter 77"),
    "a parameter that is a text": (set_at("optimizer_state", "state", "x", {}), "a state of parameter 'x'"),
    "a group more": (lambda s: s["optimizer_state"]["param_groups"].append({"params": [9]}), "has groups of [4, 1]"),
    "no group": (set_at("optimizer_state", "param_groups", []), "has groups of [] parameters"),
    "a group without parameters": (drop(*GROUP, "params"), "has groups of [-1] parameters"),
    "parameters twice": (set_at(*GROUP, "params", [0, 0, 1, 2]), "does not number its parameters"),
    "parameters that are texts": (set_at(*GROUP, "params", ["a", "b", "c", "d"]), "does not number its parameters"),
    "an option more": (set_at(*GROUP, "momentum", 0.9), "has an option 'momentum', which today's has not"),
    "betas that are a text": (set_at(*GROUP, "betas", "x"), "has betas 'x', which is no value for it"),
    "one beta": (set_at(*GROUP, "betas", (0.9,)), "has betas (0.9,), which is no value for it"),
    "a decay that is none": (set_at(*GROUP, "weight_decay", NAN), "has weight_decay nan"),
    "a decay that is nothing": (set_at(*GROUP, "weight_decay", None), "has weight_decay None"),
    "fused that is a text": (set_at(*GROUP, "fused", "yes"), "has fused 'yes'"),
    "no learning rate": (drop(*GROUP, "lr"), "has no option 'lr'"),
    "a teacher of another shape": (set_at("objective_state", "teacher.0.weight", torch.zeros(1)), "has shape (1,)"),
    "a teacher of another type": (set_at("objective_state", "updates", torch.tensor(3)), "updates is torch.int64"),
    "a teacher without a weight": (drop("objective_state", "teacher.0.weight"), "it has no teacher.0.weight"),
    "no teacher": (set_at("objective_state", {}), "which is part of this objective"),
    "a mixer more": (set_at("objective_state", "mixer.w", torch.zeros(1)), "mixer.w is not part of this objective"),
    "no random numbers": (drop("rng"), "it holds no rng"),
    "random numbers of no kind": (set_at("rng", [{}]), "rng of rank 0 is not whole"),
    "python's that is a text": (set_at("rng", 0, "python", "x"), "rng of rank 0 is no state of random numbers"),
    "python's too short": (set_at("rng", 0, "python", (3, (1, 2), None)), "is no state of random numbers"),
    "python's of texts": (set_at("rng", 0, "python", (3, ("x",) * 625, None)), "is no state of random numbers"),
    "torch's too short": (set_at("rng", 0, "torch", torch.zeros(3, dtype=torch.uint8)), "is no state of random"),
    "torch's of floats": (set_at("rng", 0, "torch", torch.zeros(5056)), "is no state of random numbers"),
    "torch's of zeros": (set_at("rng", 0, "torch", torch.zeros(5056, dtype=torch.uint8)), "is no state of random"),
    "torch's that is nothing": (set_at("rng", 0, "torch", None), "is no state of random numbers"),
    "a GPU's that is a text": (set_at("rng", 0, "cuda", "x"), "is no state of a GPU's random numbers"),
    "a GPU's of floats": (set_at("rng", 0, "cuda", torch.zeros(16)), "is no state of a GPU's random numbers"),
    "no scaler": (drop("scaler_state"), "it holds no scaler_state"),
    "no counts": (set_at("stepper", {}), "it counts no bad steps"),
    "averages that are texts": (set_at("meter", ["x"]), "its averages are not whole"),
    "averages of texts": (
        set_at("meter", [{"window": {"loss": ["x", 1]}, "whole": {}, "seconds": 1.0}]),
        "its averages are no numbers",
    ),
    "averages without a duration": (set_at("meter", [{"window": {}, "whole": {}, "seconds": "x"}]), "have no duration"),
    "a batch beyond the epoch": (lambda s: s.update(batch=7, meter=[None]), "it stands after batch 7"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named_and_nothing_is_taken(good, name):
    change, message = WRONG[name]
    state = copy.deepcopy(good)
    change(state)
    parts = built()
    objective, optimizer = parts[:2]
    before, numbers = copy.deepcopy(objective.state_dict()), rng_state()
    with pytest.raises(CheckpointError) as caught:
        take_up(Start("", epoch=1, state=state), *parts)
    text = str(caught.value)
    assert f"{good['path']} is of another model or optimiser, it cannot be taken up again: " in text
    assert message in text and "\n" not in text
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())
    assert not optimizer.state and random.getstate() == numbers["python"]
    assert torch.equal(torch.get_rng_state(), numbers["torch"])


def test_the_scaler_of_half_precision(good):
    objective, optimizer, _, stepper = built()
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    fits = scaler.state_dict()
    take_up(Start("", epoch=1, state={**good, "scaler_state": fits}), objective, optimizer, scaler, stepper)
    for wrong in (
        {**fits, "scale": NAN},
        {**fits, "scale": 0.0},
        {**fits, "scale": "x"},
        {**fits, "growth_interval": 10**30},
        {"scale": 1.0},
    ):
        with pytest.raises(CheckpointError, match="its gradient scaler has"):
            take_up(Start("", epoch=1, state={**good, "scaler_state": wrong}), objective, optimizer, scaler, stepper)


@pytest.mark.parametrize("kind", ["adam", "sgd", "joint"])
def test_every_optimiser_is_taken_up_again(kind, tmp_path):
    """And one of the others is refused."""
    makers = {
        "adam": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
        "joint": lambda p: Joint([torch.optim.AdamW(p[:2], fused=True), torch.optim.SGD(p[2:], lr=0.1, momentum=0.9)]),
    }

    def stepped(name):
        objective, _, scaler, stepper = built(Classify)
        optimizer = makers[name](list(objective.parameters()))
        for parameter in objective.parameters():
            parameter.grad = torch.ones_like(parameter)
        return objective, optimizer, scaler, stepper

    objective, optimizer, scaler, stepper = stepped(kind)
    optimizer.step()
    state = {
        "path": tmp_path,
        "model_state": objective.model.state_dict(),
        "optimizer_state": copy.deepcopy(optimizer.state_dict()),
        "scaler_state": {},
        "rng": [rng_state()],
    }
    again = stepped(kind)
    take_up(Start("", epoch=1, state=state), *again)
    found = again[1].state_dict()["state"]
    assert all(torch.equal(found[0][key], value) for key, value in state["optimizer_state"]["state"][0].items())
    other = stepped("sgd" if kind != "sgd" else "adam")
    with pytest.raises(CheckpointError, match="is of another model or optimiser"):
        take_up(Start("", epoch=1, state=state), *other)


# ---- kinds of entries, in a file


ODD = ("x", 1.5, None, [1], {1: 2}, {"a": object}, torch.zeros(2), -7, True, 10**30, [[]], [None])
OF_A_RUN = {
    "epoch": 0,
    "batch": 0,
    "step": 5,
    "batches": [5, 6],
    "model_state": {"w": torch.zeros(2)},
    "objective_state": {},
    "optimizer_state": {"state": {}, "param_groups": []},
    "scaler_state": {},
    "stepper": {"bad_steps": 0, "bad_in_a_row": 0},
    "meter": [None],
    "best": {"top1_err": 3.0},
    "cfg": "NUM_GPUS: 0\n",
    "class_names": ["a"],
    "plugins": [],
    "selected_on": "val",
}
FINE = {"objective_state": (None,), "meter": (None, [1], {"a": object}, [[]], [None], {1: 2}), "class_names": (None,)}
FINE |= {"plugins": (None,)}


def test_entries_of_the_wrong_kind_are_one_line(tmp_path):
    path = checkpoint_path(tmp_path, 1)
    save_checkpoint(path, OF_A_RUN)
    assert load_checkpoint(path).keys() == OF_A_RUN.keys()
    for key, right in OF_A_RUN.items():
        for odd in ODD:
            odd = {"a": "text"} if isinstance(odd, dict) and object in odd.values() else odd
            if type(odd) is type(right) or odd in FINE.get(key, ()) or (key == "meter" and isinstance(odd, dict)):
                continue
            torch.save(OF_A_RUN | {key: odd}, path)
            with pytest.raises(CheckpointError) as caught:
                load_checkpoint(path)
            text = str(caught.value)
            assert f"checkpoint {path} is damaged: {key} is a {type(odd).__name__}, not " in text and "\n" not in text
            with pytest.raises(CheckpointError, match="no checkpoint in .* can be resumed"):
                load_latest(tmp_path)


def test_a_file_of_others_may_use_the_same_names_for_something_else(tmp_path):
    path, model = tmp_path / "theirs.pth", built(Classify)[0].model
    torch.save({"model_state": model.state_dict(), "epoch": "last", "optimizer_state": [1], "cfg": {"a": 1}}, path)
    assert load_checkpoint(path).keys() == {"model_state"}


@pytest.mark.parametrize("value", [torch.zeros(4, 4).double(), torch.zeros(4, 4).half(), torch.zeros(4, 4).long()])
def test_weights_of_another_number_type(tmp_path, value):
    model = built(Classify)[0].model
    state = OF_A_RUN | {"model_state": {**model.state_dict(), "0.weight": value}}
    save_checkpoint(checkpoint_path(tmp_path, 1), state)
    sources = Sources(str(tmp_path), True, "", epoch_reset=False, clear_patterns=(), inflation=None, pretrained="")
    with pytest.raises(CheckpointError, match=f"0.weight is {value.dtype}, not torch.float32"):
        load_start(model, sources, max_epoch=2)


def test_sums_of_another_optimiser():
    """Adagrad's fused step writes as far as the weights go, too."""
    objective = built()[0]
    optimizer = torch.optim.Adagrad(objective.parameters(), lr=0.1)
    state = {"optimizer_state": copy.deepcopy(optimizer.state_dict())}
    _optimizer(state["optimizer_state"], optimizer)
    moments(lambda values: values.update(sum=torch.zeros(1)))(state)
    with pytest.raises(ValueError, match="sum of parameter 0 has shape"):
        _optimizer(state["optimizer_state"], optimizer)
