"""Distillation: the loss by value, what the teacher sees, what is saved."""

import math

import pytest
import torch
from torch import nn

from fragrant.config import load_cfg
from fragrant.data.transforms.gamma import brighten
from fragrant.errors import UserError
from fragrant.layers.normalize import ClipNormalize
from fragrant.objectives import Teacher, build_objective
from fragrant.objectives.distill import Distill, distillation_loss


class Recorder(nn.Module):
    """Answers with its parameter and remembers what it was shown."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, clips):
        self.seen = clips
        return self.logits


def config(text: str = ""):
    return load_cfg(None, ["MODEL.NUM_CLASSES", "2", *text.split()])


def test_loss_by_value():
    student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    p, q = (1 / (1 + math.exp(x)) for x in (2.0, -1.0))  # of the first class, at temperature 2: teacher, student
    expected = 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert distillation_loss(student, teacher, temperature=2.0).item() == pytest.approx(expected, rel=1e-5)
    assert distillation_loss(student, student, temperature=3.0).item() == pytest.approx(0, abs=1e-7)


def test_both_losses_count():
    student, teacher = Recorder([[1.0, 0.0], [0.0, 0.0]]), Recorder([[0.0, 3.0], [1.0, 0.0]])
    out = Distill(student, teacher, alpha=0.25, temperature=4.0)(torch.zeros(2, 3, 1, 2, 2), torch.tensor([0, 1]))
    parts = 0.75 * out.logged["loss_labels"] + 0.25 * out.logged["loss_teacher"]
    assert out.loss.item() == pytest.approx(parts.item())
    out.loss.backward()
    assert student.logits.grad.any() and teacher.logits.grad is None


def test_the_teacher_is_neither_trained_nor_saved():
    objective = Distill(Recorder([[1.0, 0.0]]), Recorder([[0.0, 1.0]]))
    assert [name for name, _ in objective.named_parameters()] == list(objective.state_dict()) == ["model.logits"]


def test_the_teacher_sees_what_it_was_trained_on():
    teacher_cfg = config("DATA.GAMMA [3.0] DATA.MEAN [0.4,0.4,0.4] DATA.STD [0.2,0.2,0.2]")
    cfg = config("DATA.MEAN [0.1,0.1,0.1] DATA.STD [0.05,0.05,0.05]")
    pixels = torch.randint(0, 60, (2, 3, 4, 8, 8), dtype=torch.uint8)
    clips = ClipNormalize(cfg.DATA.MEAN, cfg.DATA.STD)(pixels)
    for given, shown in (("dark", pixels), ("enhanced", brighten(pixels, 3.0))):
        cfg.defrost()
        cfg.DISTILL.INPUT = given
        teacher = Recorder([[0.0, 1.0], [0.0, 1.0]])
        build_objective(cfg, Recorder([[0.0, 1.0], [0.0, 1.0]]), teacher=Teacher(teacher, teacher_cfg))(
            clips, torch.tensor([0, 1])
        )
        torch.testing.assert_close(teacher.seen, ClipNormalize([0.4] * 3, [0.2] * 3)(shown))


WRONG = [
    ("", "MODEL.NUM_CLASSES 3", "knows 3 classes; allowed: the 2 of MODEL.NUM_CLASSES"),
    ("DISTILL.INPUT enhanced", "", "DISTILL.INPUT enhanced, but DISTILL.CHECKPOINT was trained with DATA.ENHANCE none"),
]


@pytest.mark.parametrize("ours, teachers, message", WRONG)
def test_a_teacher_that_does_not_fit(ours, teachers, message):
    with pytest.raises(UserError, match=message):
        build_objective(config(ours), Recorder([[0.0]]), teacher=Teacher(Recorder([[0.0]]), config(teachers)))
