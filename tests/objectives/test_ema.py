"""The moving average of the weights: what it is, when it moves, who is scored."""

import pytest
import torch
from torch import nn

from fragrant.config import load_cfg
from fragrant.objectives import Classify, build_objective, part_to_test
from fragrant.objectives.ema import Ema


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.BatchNorm1d(4))


def test_average_follows_the_definition():
    torch.manual_seed(0)
    model = network()
    objective = Ema(Classify(model), decay=0.9).train()
    expected = model[1].weight.detach().clone()
    for _ in range(3):
        objective(torch.randn(5, 6), torch.arange(5) % 4)
        with torch.no_grad():
            model[1].weight.add_(1)
        objective.after_step()
        expected = 0.9 * expected + 0.1 * model[1].weight.detach()
    torch.testing.assert_close(objective.averaged[1].weight, expected)
    assert torch.equal(objective.averaged[2].running_mean, model[2].running_mean)  # taken over, not averaged
    assert not any(parameter.requires_grad for parameter in objective.averaged.parameters())
    assert model.training and not objective.averaged.training


@pytest.mark.parametrize("evaluate, beside", [("ema", "raw"), ("raw", "ema")])
def test_who_is_scored(evaluate, beside):
    cfg = load_cfg(None, ["TRAIN.EMA.ENABLE", "True", "TRAIN.EMA.EVAL", evaluate])
    model = network()
    objective = build_objective(cfg, model)
    assert list(objective.scored_beside) == [beside]
    models = {"ema": objective.averaged, "raw": model}
    assert objective.eval_model is models[evaluate] and objective.scored_beside[beside] is models[beside]
    assert part_to_test(cfg) == {"ema": "averaged.", "raw": ""}[evaluate]


def test_the_loss_is_that_of_the_objective_inside():
    torch.manual_seed(0)
    model, clips, labels = network(), torch.randn(3, 6), torch.tensor([0, 1, 2])
    inside = Classify(model)
    assert torch.equal(Ema(inside, decay=0.9)(clips, labels).loss, inside(clips, labels).loss)
