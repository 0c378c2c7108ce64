"""Grad-CAM of UniFormerV2: at its feature map, and at the maps that its global blocks read."""

import pytest
import torch
from models_by_row import CLIP, TINY_V2
from torch import nn

from fragrant.models.uniformer_v2 import UniFormerV2
from fragrant.report.grad_cam import grad_cam


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("layer", [None, "dpe.0", "dpe.1"])
def test_maps(layer, frozen):
    torch.manual_seed(0)
    model = UniFormerV2(**TINY_V2, frozen=frozen)
    for block in model.dec:  # which change nothing at first, so that nothing would depend on what they read
        nn.init.normal_(block.attn.proj.weight, std=0.5)
    nn.init.normal_(model.temporal_cls_token)
    clips = torch.randn(2, *CLIP)
    maps, classes, probs = grad_cam(model, clips, layer)
    assert maps.shape == (2, 2, 4, 4) and maps.isfinite().all() and (maps >= 0).all() and maps.sum() > 0
    assert classes.shape == probs.shape == (2,)
    assert all(parameter.grad is None for parameter in model.parameters())
