"""Losses by value."""

import math
import re

import pytest
import torch
from conftest import golden, golden_input

from fragrant.config import load_cfg
from fragrant.errors import UserError
from fragrant.objectives.build import build_loss
from fragrant.objectives.losses import Loss, as_soft_labels, binary_cross_entropy, cross_entropy
from fragrant.objectives.mixup import Mix, mix_labels

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])
LOG_SUM = math.log(math.exp(2) + 1 + math.exp(-1))  # of the first row


def loss(text: str = "") -> Loss:
    return build_loss(load_cfg(None, ["MODEL.NUM_CLASSES", "3", *text.split()]))


@pytest.mark.parametrize("name", ["cross_entropy", "soft_cross_entropy"])
def test_hard_labels(name):
    expected = (LOG_SUM - 2 + math.log(3)) / 2
    for labels in (torch.tensor([0, 2]), torch.eye(3)[[0, 2]]):
        assert loss(f"MODEL.LOSS_FUNC {name}")(LOGITS, labels).item() == pytest.approx(expected, rel=1e-6)


def test_soft_labels():
    labels = torch.tensor([[0.7, 0.3, 0.0], [0.2, 0.2, 0.6]])
    expected = (0.7 * (LOG_SUM - 2) + 0.3 * LOG_SUM + math.log(3)) / 2
    assert cross_entropy(LOGITS, labels).item() == pytest.approx(expected, rel=1e-6)


def test_label_smoothing():
    smooth = as_soft_labels(torch.tensor([0, 2]), 3, smoothing=0.3)
    torch.testing.assert_close(smooth, torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]))
    torch.testing.assert_close(
        loss("LOSS.LABEL_SMOOTHING 0.3")(LOGITS, torch.tensor([0, 2])), cross_entropy(LOGITS, smooth)
    )
    expected = (0.8 * (LOG_SUM - 2) + 0.1 * LOG_SUM + 0.1 * (LOG_SUM + 1) + math.log(3)) / 2
    assert cross_entropy(LOGITS, smooth).item() == pytest.approx(expected, rel=1e-6)


def test_class_weights():
    weighted = loss("LOSS.CLASS_WEIGHTS [3.0,1.0,0.5]")
    expected = (3 * (LOG_SUM - 2) + 0.5 * math.log(3)) / 3.5  # a mean in which the first clip counts 3, the second 0.5
    for labels in (torch.tensor([0, 2]), torch.eye(3)[[0, 2]]):
        assert weighted(LOGITS, labels).item() == pytest.approx(expected, rel=1e-6)
    assert not weighted.state_dict()


def test_focal():
    p = math.exp(2 - LOG_SUM)
    expected = ((1 - p) ** 2 * (LOG_SUM - 2) + (2 / 3) ** 2 * math.log(3)) / 2
    assert loss("MODEL.LOSS_FUNC focal")(LOGITS, torch.tensor([0, 2])).item() == pytest.approx(expected, rel=1e-6)
    plain = loss("MODEL.LOSS_FUNC focal LOSS.FOCAL_GAMMA 0")(LOGITS, torch.tensor([0, 2]))
    assert plain.item() == pytest.approx(cross_entropy(LOGITS, torch.tensor([0, 2])).item(), rel=1e-6)


def test_focal_of_a_certain_clip_has_a_finite_gradient():
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    cross_entropy(logits, torch.tensor([0]), focus=0.5).backward()
    assert logits.grad.isfinite().all()


def test_several_labels_per_clip():
    labels = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    terms = [
        math.log(1 + math.exp(-x if y else x))
        for x, y in zip(LOGITS.flatten().tolist(), labels.flatten().tolist(), strict=True)
    ]
    assert loss("MODEL.LOSS_FUNC bce_logit")(LOGITS, labels).item() == pytest.approx(sum(terms) / 6, rel=1e-6)
    weighted = binary_cross_entropy(LOGITS, labels, class_weights=torch.tensor([2.0, 1.0, 0.0]))
    factors = [2, 1, 0, 2, 1, 0]
    assert weighted.item() == pytest.approx(sum(f * t for f, t in zip(factors, terms, strict=True)) / 6, rel=1e-6)


def test_losses_are_taken_in_float32():
    for labels in (torch.tensor([0, 1]), torch.eye(3)[:2].bfloat16()):
        for function in (cross_entropy, binary_cross_entropy):
            assert function(LOGITS.bfloat16(), labels).dtype == torch.float32


@pytest.mark.parametrize("case", golden("framework/mixup")["loss"])
def test_published_soft_cross_entropy(case):
    logits = golden_input(case["logits"]["seed"], case["logits"]["shape"])
    soft_labels = mix_labels(
        torch.tensor(case["labels"]), Mix(case["lam"]), num_classes=logits.shape[1], smoothing=case["smoothing"]
    )
    assert cross_entropy(logits, soft_labels).item() == pytest.approx(case["soft_cross_entropy"], rel=1e-6)


def test_unknown_loss():
    message = (
        "MODEL.LOSS_FUNC 'cross_entropi' is not known; did you mean 'cross_entropy'? Known: cross_entropy, "
        "soft_cross_entropy, focal"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        loss("MODEL.LOSS_FUNC cross_entropi")
