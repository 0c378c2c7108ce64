"""What the loop gets from an objective."""

import pytest
import torch
from conftest import golden
from torch import nn

from fragrant.config import load_cfg
from fragrant.objectives import Classify, Objective, StepOutput, build_objective
from fragrant.objectives.losses import binary_cross_entropy, cross_entropy

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])


class Table(nn.Module):
    """A model whose answer is its parameter."""

    def __init__(self, logits: torch.Tensor):
        super().__init__()
        self.logits = nn.Parameter(logits.clone())

    def forward(self, clips):
        return self.logits[: len(clips)]


def clips_of(num: int) -> torch.Tensor:
    return torch.zeros(num, 3, 2, 4, 4)


@pytest.mark.parametrize(
    "labels", [torch.tensor([0, 0]), torch.tensor([[0.8, 0.2, 0.0], [0.5, 0.4, 0.1]])], ids=["hard", "soft"]
)
def test_classify(labels):
    model = Table(LOGITS)
    objective = Classify(model, cross_entropy)
    out = objective(clips_of(2), labels)
    assert isinstance(objective, Objective) and isinstance(out, StepOutput)
    assert out.loss.shape == () and torch.equal(out.loss, cross_entropy(model.logits, labels))
    assert {name: value.item() for name, value in out.logged.items()} == {"top1_err": 0.0, "top5_err": 0.0}
    assert all(value.shape == () and not value.requires_grad for value in out.logged.values())
    out.loss.backward()
    assert torch.isfinite(model.logits.grad).all() and model.logits.grad.any()


def test_errors_in_percent():
    case = golden("framework/log_lines")["topk"][0]
    labels = torch.tensor(case["labels"])
    logits = torch.zeros(case["N"], case["C"])
    logits[torch.arange(5), labels[:5]] = 1  # 5 of 50 are right at the first guess
    logits[5:] = -torch.arange(case["C"]).float()  # the others guess 0, 1, 2, ...
    logits[5:][labels[5:] == 0] = torch.arange(case["C"]).float()
    within_5 = 5 + ((labels[5:] > 0) & (labels[5:] < 5)).sum().item()
    logged = Classify(Table(logits))(clips_of(50), labels).logged
    assert logged["top1_err"].item() == pytest.approx(90.0)
    assert logged["top5_err"].item() == pytest.approx(100 - 2 * within_5)


def test_of_several_labels_any_is_right():
    logits = torch.arange(14.0).reshape(2, 7)  # class 6 first, 0 and 1 are not among the best 5
    labels = torch.tensor([[1, 0, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    out = Classify(Table(logits), binary_cross_entropy)(clips_of(2), labels)
    assert {name: value.item() for name, value in out.logged.items()} == {"top1_err": 50.0, "top5_err": 50.0}
    assert torch.equal(out.loss, binary_cross_entropy(logits, labels.float()))
    assert Classify(Table(logits[:, :3]), binary_cross_entropy)(clips_of(2), labels[:, 4:]).logged["top5_err"] == 50.0


def test_what_the_loop_and_the_evaluation_use():
    model = Table(LOGITS)
    objective = build_objective(load_cfg(None), model)
    assert objective.eval_model is model
    assert objective.after_step() is None
    assert [name for name, _ in objective.named_parameters()] == ["model.logits"]
    assert objective.eval().eval_model.training is False


def test_the_base_class_promises_only():
    base = Objective()
    base.after_step()
    with pytest.raises(NotImplementedError):
        base.eval_model  # noqa: B018
    with pytest.raises(NotImplementedError):
        base(clips_of(1), torch.tensor([0]))


@pytest.mark.cuda
def test_logged_numbers_stay_on_the_device():
    objective = Classify(Table(LOGITS)).cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        out = objective(clips_of(2).cuda(), torch.tensor([0, 1]).cuda())
    assert {value.device.type for value in (out.loss, *out.logged.values())} == {"cuda"}
