"""Every model of the registry trains two steps under each objective."""

import random
from collections.abc import Callable

import pytest
import torch
from models_by_row import CLASSES, MODELS_BY_ROW, random_clips
from torch import nn

from fragrant.objectives import Classify, Objective
from fragrant.objectives.distill import Distill
from fragrant.objectives.ema import Ema, frozen_copy
from fragrant.objectives.losses import binary_cross_entropy
from fragrant.objectives.mixup import Mixup
from fragrant.objectives.selective_module import SelectiveModule
from fragrant.objectives.sv_mix import Draw, Draws, SvMix
from fragrant.optim import parameter_groups
from fragrant.optim.step import Stepper

LARGE = {"MViTv2", "S3D", "R2Plus1D"}  # torchvision's own sizes: seconds for each
ROWS = [  # one of each name in the registry
    pytest.param(row, marks=[pytest.mark.slow] * (row in LARGE)) for row in MODELS_BY_ROW if ":" not in row
]


def sv_mix(model: nn.Module) -> SvMix:
    both = iter([Draws(True, Draw(0.4, [1, 0]), Draw(0.7, [1, 0])), Draws(False, Draw(0.6, [1, 0]), Draw(0.2, [1, 0]))])
    learning = {"lr_scale": 5.0, "clip_norm": 20.0}
    return SvMix(
        model, SelectiveModule(model.num_features, 8, learning=learning), lambda n: next(both), num_classes=CLASSES
    )


OBJECTIVES: dict[str, Callable[[nn.Module], Objective]] = {
    "plain": Classify,
    "mixup": lambda model: Classify(model, mix=Mixup(CLASSES, random.Random(0), cutmix_alpha=0.0)),
    "cutmix": lambda model: Classify(model, mix=Mixup(CLASSES, random.Random(0), alpha=0.0)),
    "yes or no per class": lambda model: Classify(model, binary_cross_entropy),
    "ema": lambda model: Ema(Classify(model), decay=0.9),
    "distill": lambda model: Distill(model, frozen_copy(model)),
    "svmix": sv_mix,
}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("row", ROWS)
def test_two_steps(row, name):
    torch.manual_seed(0)
    model = MODELS_BY_ROW[row]()
    objective = OBJECTIVES[name](model).train()
    optimizer = torch.optim.AdamW(parameter_groups(objective, weight_decay=0.01), lr=1e-3, fused=True)
    stepper = Stepper(objective, optimizer, scaler=torch.amp.GradScaler("cpu", enabled=False), clip_norm=20.0)
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    trainable = {key for key, parameter in objective.named_parameters() if parameter.requires_grad}
    for step in range(2):
        stepper.begin(1e-3, remaining=2 - step)
        out = objective(random_clips(row, 2), torch.tensor([0, 3]))
        assert out.loss.isfinite() and all(value.isfinite() and value.shape == () for value in out.logged.values())
        assert stepper.backward(out.loss, torch.arange(2))
        objective.after_step()
    stepper.flush()
    assert stepper.bad_steps == 0
    moved = {key for key, value in objective.state_dict().items() if not torch.equal(value, before[key])}
    assert len(moved & trainable) > 0.9 * len(trainable)  # the others have no gradient but rounding, and no decay
    if name in ("ema", "svmix"):
        part = {"ema": "averaged.", "svmix": "teacher."}[name]
        assert any(key.startswith(part) and key.endswith("weight") for key in moved)
    logits = objective.eval().eval_model(random_clips(row, 1))
    assert logits.shape == (1, CLASSES) and logits.isfinite().all()
