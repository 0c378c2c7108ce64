"""The objectives of DGAM's gate: an exact expected loss that reaches the gate alone, and a balance of the experts."""

import pytest
import torch
import torch.nn.functional as F
from models_by_row import TINY

from fragrant.config import load_cfg
from fragrant.models.dgam import DGAM
from fragrant.models.uniformer import UniFormer
from fragrant.objectives import build_objective
from fragrant.objectives.classify import Classify
from fragrant.objectives.gate import ExpectedLoss, Gated, balance_loss
from fragrant.objectives.losses import Loss, binary_cross_entropy, cross_entropy


def small(**options) -> DGAM:
    torch.manual_seed(0)
    return DGAM(UniFormer(**{**TINY, "num_classes": 0}), num_classes=5, num_frames=4, gate_dropout=0.0, **options)


def batch(n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    exposure = torch.linspace(0.2, 1.5, n).view(-1, 1, 1, 1, 1)
    return exposure * torch.randn(n, 3, 4, 32, 32, generator=generator), torch.arange(n) % 5


@pytest.mark.parametrize("soft_labels", [False, True], ids=["class numbers", "shares"])
def test_expected_loss_has_the_gradient_of_its_definition(soft_labels):
    model = small(select="expected", frozen=("backbone", "heads")).train()
    clips, labels = batch()
    labels = F.one_hot(labels, 5).float() * 0.8 + 0.04 if soft_labels else labels
    out = ExpectedLoss(model, Loss(), balance=0.0)(clips, labels)
    out.loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert set(found) == {name for name, _ in model.named_parameters() if name.startswith("experts.gating.")}

    model.zero_grad()
    probs = model.experts.choose(clips).probs
    expected = 0.0
    for clip in range(len(clips)):
        for expert in range(5):
            logits = model.decide(clips[clip : clip + 1], torch.tensor([expert]))[0].detach()
            expected = expected + probs[clip, expert] * F.cross_entropy(logits, labels[clip : clip + 1]) / len(clips)
    expected.backward()
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, rtol=1e-4, atol=1e-6)


def test_expected_loss_finds_the_expert_that_each_clip_needs():
    """Bright clips have their class in head 0 alone, dark ones in head 4 alone: the gate has to learn which is
    which."""
    model = small(select="expected", frozen=("backbone", "heads")).train()
    clips, labels = batch(8)
    for number, head in enumerate(model.heads):
        torch.nn.init.zeros_(head.weight)
        head.bias.data = (
            torch.tensor([4.0, 0, 0, 0, 0]) if number == 0 else torch.tensor([0, 4.0 * (number == 4), 0, 0, 0])
        )
    labels = (torch.arange(8) < 4).long()  # the dark half: class 1
    objective = ExpectedLoss(model, Loss())
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        objective(clips, labels).loss.backward()
        optimizer.step()
    assert model.experts.choose(clips).probs.argmax(1).tolist() == [4] * 4 + [0] * 4
    out = objective(clips, labels)
    assert out.logged["top1_err"].item() == 0 and out.logged["gamma"].item() == pytest.approx(2.0)


def test_balance_is_one_where_all_experts_are_used_alike_and_moves_away_from_one_alone():
    probs = torch.full((10, 5), 0.2)
    assert balance_loss(probs, torch.arange(10) % 5).item() == pytest.approx(1.0)
    alone = F.one_hot(torch.zeros(10, dtype=torch.long), 5).float()
    assert balance_loss(alone, torch.zeros(10, dtype=torch.long)).item() == pytest.approx(5.0)
    skewed = torch.tensor([[0.6, 0.1, 0.1, 0.1, 0.1]]).requires_grad_()
    balance_loss(skewed, torch.tensor([0])).backward()
    assert skewed.grad[0, 0] > 0 and not skewed.grad[0, 1:].any()


def test_gated_classification_is_plain_classification_plus_the_balance():
    model, (clips, labels) = small(), batch()
    torch.manual_seed(3)
    plain = Classify(model)(clips, labels)
    torch.manual_seed(3)
    gated = Gated(model, Loss(), balance=0.5)(clips, labels)
    torch.manual_seed(3)
    choice = model.decide(clips)[1]
    torch.testing.assert_close(gated.loss, plain.loss + 0.5 * balance_loss(choice.probs, choice.expert))
    assert gated.logged["gamma"].item() == pytest.approx(model.experts.gammas[choice.expert].mean().item())


EACH = [
    (cross_entropy, {}),
    (cross_entropy, {"smoothing": 0.1}),
    (cross_entropy, {"focus": 2.0}),
    (cross_entropy, {"class_weights": torch.tensor([1.0, 2, 3, 4, 5])}),
    (binary_cross_entropy, {}),
    (binary_cross_entropy, {"class_weights": torch.tensor([1.0, 2, 3, 4, 5])}),
]


@pytest.mark.parametrize("soft_labels", [False, True], ids=["class numbers", "shares"])
@pytest.mark.parametrize("function, settings", EACH)
def test_losses_of_the_clips_have_the_loss_as_their_mean(function, settings, soft_labels):
    logits, labels = torch.randn(6, 5), torch.arange(6) % 5
    labels = torch.rand(6, 5).softmax(1) if soft_labels else labels
    each = function(logits, labels, each=True, **settings)
    assert each.shape == (6,)
    torch.testing.assert_close(each.mean(), function(logits, labels, **settings))


CHOSEN = [
    ("", Gated),
    ("DGAM.SELECT soft DGAM.BALANCE 0.01", Gated),
    ("DGAM.SELECT expected DGAM.FREEZE [backbone,heads]", ExpectedLoss),
    ("DGAM.SELECT expected DGAM.FREEZE [gate]", Classify),
]


@pytest.mark.parametrize("pairs, kind", CHOSEN)
def test_the_config_chooses(pairs, kind):
    cfg = load_cfg(None, ["MODEL.MODEL_NAME", "DGAM", "DGAM.BACKBONE", "Uniformer", *pairs.split()])
    objective = build_objective(cfg, small())
    assert type(objective) is kind
    assert getattr(objective, "balance", cfg.DGAM.BALANCE) == cfg.DGAM.BALANCE
