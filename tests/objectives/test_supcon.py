"""Supervised contrast: the loss against a plain formula, the shares of two ranks, both kinds of views, its rules."""

import math

import pytest
import torch
import torch.nn.functional as F
from models_by_row import CLASSES, MODELS_BY_ROW, random_clips

from fragrant.config import ConfigError, load_cfg
from fragrant.objectives import build_objective
from fragrant.objectives.contrast import Projector, contrastive_losses
from fragrant.objectives.supcon import SupCon, supcon_losses

LABELS = torch.tensor([0, 0, 1, 1, 0, 0, 2, 2])


def vectors(n: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, 8, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_loss_is_that_of_a_plain_formula(temperature):
    z, labels = vectors(9), [*LABELS.tolist(), 3]
    wanted = []
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        below = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in others)
        same = [k for k in others if labels[k] == labels[i]]
        terms = [math.log(math.exp(float(z[i] @ z[k]) / temperature) / below) for k in same]
        wanted.append(-sum(terms) / len(terms) if terms else 0.0)
    classes = torch.tensor(labels)
    found = supcon_losses(z, z, classes, classes, temperature=temperature)
    assert found.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert found[8] == 0


def test_a_class_for_each_video_is_nt_xent():
    z, classes = vectors(8), torch.arange(8) // 2
    assert torch.allclose(supcon_losses(z, z, classes, classes), contrastive_losses(z, z)[0], atol=1e-6)


def test_the_shares_of_two_ranks_are_the_whole():
    z = vectors(8)
    parts = [supcon_losses(z[at], z, LABELS[at], LABELS, first=at.start) for at in (slice(0, 3), slice(3, 8))]
    assert torch.allclose(torch.cat(parts), supcon_losses(z, z, LABELS, LABELS), atol=1e-6)


@pytest.mark.parametrize("row, views", [("DualStream", 2), ("DualStream:dff", 2), ("Uniformer", 1), ("DGAM", 1)])
def test_both_losses_count_and_train_everything(row, views):
    torch.manual_seed(0)
    model = MODELS_BY_ROW[row]()
    objective = SupCon(model, Projector(model.num_features, width=8, dim=4), weight=0.5)
    clips, labels = random_clips(row, 4), torch.tensor([0, 0, 3, 3])
    assert model.logits_and_pooled(clips)[1].shape == (4, views, model.num_features)
    out = objective(clips, labels)
    parts = out.logged["loss_labels"] + 0.5 * out.logged["loss_supcon"]
    assert out.loss.item() == pytest.approx(parts.item(), rel=1e-5) and out.logged["loss_supcon"] > 0
    out.loss.backward()
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trained)


@torch.no_grad()
@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.slow] * (row[0] in "MSR")) for row in MODELS_BY_ROW]
)
def test_logits_with_features_are_the_logits(row):
    model, clips = MODELS_BY_ROW[row]().eval(), random_clips(row, 1)
    logits, pooled = model.logits_and_pooled(clips)
    torch.testing.assert_close(logits, model(clips))
    assert logits.shape == (1, CLASSES) and pooled.shape[0] == 1 and pooled.shape[2] == model.num_features


def test_the_config_builds_it_with_the_class_weights():
    words = "MODEL.NUM_CLASSES 5 LOSS.SUPCON 0.3 LOSS.SUPCON_TEMPERATURE 0.07 LOSS.SUPCON_DIM 16 AUG.NUM_SAMPLE 2"
    cfg = load_cfg(None, [*words.split(), "LOSS.CLASS_WEIGHTS", "[1,1,2,1,1]"])
    objective = build_objective(cfg, MODELS_BY_ROW["Uniformer"]())
    assert isinstance(objective, SupCon) and (objective.weight, objective.temperature) == (0.3, 0.07)
    assert objective.projector[2].out_features == 16 and objective.loss_fn.class_weights.tolist() == [1, 1, 2, 1, 1]


REFUSED = [
    ("", "compares views of a clip: allowed are AUG.NUM_SAMPLE 2 or more"),
    ("AUG.NUM_SAMPLE 2 MIXUP.ENABLE True", "LOSS.SUPCON 1 with MIXUP.ENABLE True"),
    ("AUG.NUM_SAMPLE 2 DISTILL.CHECKPOINT x.pyth", "with DISTILL.CHECKPOINT x.pyth"),
    ("AUG.NUM_SAMPLE 2 TRAIN.OBJECTIVE contrastive TEST.ENABLE False", "with TRAIN.OBJECTIVE contrastive"),
    ("AUG.NUM_SAMPLE 2 MODEL.MODEL_NAME DGAM", "with a gate that learns"),
]


@pytest.mark.parametrize("words, message", REFUSED)
def test_what_it_does_not_go_with(words, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg(None, ["LOSS.SUPCON", "1", *words.split()])
