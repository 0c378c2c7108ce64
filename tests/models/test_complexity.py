"""Parameters and multiply-adds agree with the published tables."""

import pytest
import torch

from fragrant.models.complexity import describe, measure
from fragrant.models.fragrant import Fragrant
from fragrant.models.uniformer import uniformer_base, uniformer_small


@pytest.mark.parametrize(
    "build, options, num_frames, parameters, gmacs",
    [
        (uniformer_small, {}, 8, 21_400_400, 17.613),
        (uniformer_small, {}, 16, 21_400_400, 41.757),
        (uniformer_small, dict(split=True), 16, 27_847_504, 36.797),
        (uniformer_small, dict(std=True), 16, 23_104_336, 43.195),
        (uniformer_base, {}, 8, 49_813_200, 40.228),
    ],
)
def test_uniformer_costs_what_is_published(build, options, num_frames, parameters, gmacs):
    model = build(**options).train()
    complexity = measure(model, (3, num_frames, 224, 224))
    assert complexity.parameters == parameters
    assert complexity.gmacs == pytest.approx(gmacs, rel=1e-4)
    assert model.training  # as it was


def test_attention_is_counted_and_the_model_is_left_alone():
    model = uniformer_small().train()
    statistics = model.norm.running_mean.clone()
    complexity = measure(model, (3, 4, 64, 64))
    tokens, deep_tokens = 2 * 4 * 4, 2 * 2 * 2  # of stages 3 and 4
    assert complexity.by_operator["scaled_dot_product_attention"] * 1e9 == 2 * (
        8 * tokens**2 * 320 + 3 * deep_tokens**2 * 512
    )
    assert torch.equal(model.norm.running_mean, statistics)


def test_the_description_is_one_line():
    assert (
        describe(uniformer_small(), (3, 8, 224, 224))
        == "21.40 M parameters, 17.61 GMACs for a clip of 3 x 8 x 224 x 224"
    )


def test_fragrant_costs_less_than_the_published_order_of_sums():
    """18.292 (V/V), 18.337 (8 heads, VplusR/VplusR) and 31.411 GMACs (VplusR/R) are published forms' counts, without
    FAM's FFT."""
    plain = measure(uniformer_small(num_classes=12), (3, 8, 224, 224)).gmacs
    figure = Fragrant(num_classes=12)
    assert sum(parameter.numel() for parameter in figure.parameters()) - 21_201_356 == 378_160
    assert plain < measure(figure, (3, 8, 224, 224)).gmacs < 18.337
    positions, taps = 4 * 14 * 14, 3 * 7 * 7
    projection, kernels = positions * 320 * 336, positions * taps * (16 + 320)
    values_only = measure(Fragrant(num_classes=12, ram=dict(key_dim=16)), (3, 8, 224, 224))
    fam = 128 * 4 * 28 * 28 * 4
    assert (values_only.gmacs - plain) * 1e9 == pytest.approx(projection + kernels + fam)
