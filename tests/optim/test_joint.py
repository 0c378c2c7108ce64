"""Two optimisers in one: same steps as alone, one state dict, nothing moves in a step that is left out."""

import copy

import pytest
import torch
from torch import nn

from fragrant.config import load_cfg
from fragrant.optim import build_optimizer
from fragrant.optim.joint import Joint


class Mixer(nn.Linear):
    def optimizer_groups(self):
        settings = {"momentum": 0.9, "nesterov": False, "dampening": 0.0}
        return [
            {
                "name": "mixer",
                "params": list(self.parameters()),
                "optimizer": "sgd",
                "fixed_lr": 0.1,
                "weight_decay": 0.0,
                **settings,
            }
        ]


def setting() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 3), Mixer(3, 2))
    return module, build_optimizer(
        load_cfg(None, ["SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.BASE_LR", "0.1"]), module
    )


def steps(module: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        module(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_each_part_moves_as_alone():
    module, joint = setting()
    alone = copy.deepcopy(module)
    assert isinstance(joint, Joint) and [type(part) for part in joint.parts] == [torch.optim.SGD, torch.optim.AdamW]
    parts = [
        torch.optim.SGD(alone[1].parameters(), lr=0.1, momentum=0.9),
        torch.optim.AdamW(alone[0].parameters(), lr=0.1, weight_decay=1e-4),
    ]
    steps(module, joint, range(3))
    for seed in range(3):
        alone(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        for part in parts:
            part.step()
            part.zero_grad()
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, msg=name)


def test_state_goes_to_a_dict_and_back():
    module, joint = setting()
    steps(module, joint, range(2))
    saved, weights = copy.deepcopy(joint.state_dict()), copy.deepcopy(module.state_dict())
    assert sorted(saved["state"]) == [0, 1, 2, 3] and len(saved["param_groups"]) == 2
    steps(module, joint, range(2, 4))
    other, again = setting()
    other.load_state_dict(weights)
    again.load_state_dict(saved)
    steps(other, again, range(2, 4))
    for name, value in module.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


@pytest.mark.parametrize("bad", [0.0, 1.0])
def test_a_step_that_is_left_out_moves_nothing(bad):
    module, joint = setting()
    before = copy.deepcopy(module.state_dict())
    module(torch.ones(1, 3)).sum().backward()
    joint.grad_scale, joint.found_inf = None, torch.tensor(bad)
    joint.step()
    same = [torch.equal(value, before[name]) for name, value in module.state_dict().items()]
    assert all(same) if bad else not any(same)
    assert not hasattr(joint.parts[0], "found_inf")


def test_learning_rates_are_seen_by_the_parts():
    _, joint = setting()
    for group in joint.param_groups:
        group["lr"] = 0.25
    assert [group["lr"] for part in joint.parts for group in part.param_groups] == [0.25, 0.25]
