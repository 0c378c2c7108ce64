"""Two streams that are also trained alone: against plain sums, and what it does not go with."""

import pytest
import torch

from fragrant.config import ConfigError, load_cfg
from fragrant.models import build_model
from fragrant.models.dual_stream import FUSIONS
from fragrant.objectives import build_objective
from fragrant.objectives.each_stream import EachStream
from fragrant.objectives.losses import cross_entropy

SMALL = """MODEL.MODEL_NAME DualStream DUAL.BACKBONE Uniformer UNIFORMER.EMBED_DIM [8,16,16,16] UNIFORMER.DEPTH [1,1,1,1]
    UNIFORMER.HEAD_DIM 8 DUAL.NUM_HEADS 2 MODEL.NUM_CLASSES 4 DATA.NUM_FRAMES 4 DATA.TRAIN_CROP_SIZE 32 LOSS.EACH_STREAM 0.5
    MODEL.DROPOUT_RATE 0.0 DUAL.DROPOUT 0.0 DATA.INPUT_CHANNEL_NUM [3]""".split()
LABELS = torch.tensor([0, 2, 3])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_loss_is_that_of_both_and_the_mean_of_those_of_each(fusion):
    cfg = load_cfg(None, [*SMALL, "DUAL.FUSION", fusion])
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    objective = build_objective(cfg, model)
    assert isinstance(objective, EachStream) and objective.weight == 0.5
    clips = torch.randn(3, 6, 4, 32, 32)
    out = objective(clips, LABELS)
    losses = [cross_entropy(model(clips), LABELS)]
    first, second = model.maps(clips)
    losses += [cross_entropy(model.classify(first, None), LABELS), cross_entropy(model.classify(None, second), LABELS)]
    assert out.loss.item() == pytest.approx((losses[0] + 0.5 * (losses[1] + losses[2]) / 2).item(), rel=1e-5)
    out.loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


REFUSED = [
    ("MODEL.MODEL_NAME Uniformer", "MODEL.MODEL_NAME Uniformer: allowed is DualStream"),
    ("LOSS.SUPCON 1", "with LOSS.SUPCON 1"),
    ("MIXUP.ENABLE True MIXUP.TYPE svmix", "with MIXUP.TYPE svmix"),
    ("DISTILL.CHECKPOINT x.pyth", "with DISTILL.CHECKPOINT x.pyth"),
    ("TRAIN.COMPILE True", "with TRAIN.COMPILE True"),
]


@pytest.mark.parametrize("words, message", REFUSED)
def test_what_it_does_not_go_with(words, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg(None, [*SMALL, *words.split()])
