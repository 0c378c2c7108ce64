"""H2CN against the published network."""

import pytest
import torch
from conftest import fill_v1, golden, golden_input
from golden_values import assert_golden

from fragrant.models import ModelError
from fragrant.models.h2cn import H2CN
from fragrant.models.weights import load_weights

GOLDEN = golden("h2cn/h2cn_r50_t8")
TOLERANCE = 1e-5  # of the standard deviation; found: 3e-6


@pytest.fixture(scope="module")
def model() -> H2CN:
    model = H2CN(num_classes=6)
    report = load_weights(model, fill_v1(GOLDEN["state"]))
    assert not (report.missing or report.unexpected or report.dropped)
    return model.eval()


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_published_numbers(model, case):
    given, probes = case["input"], case["probes"]
    # (N, 3, T*5, H, W)
    clips = golden_input(given["seed"], given["shape"]).unflatten(2, (5, 3)).flatten(1, 2).transpose(1, 2)
    seen = {}
    layer1, layer4 = model.resnet.layer1, model.resnet.layer4
    watched = {
        "fhgc1[0] (hourglass on 5 half-resolution frames)": model.short_term["1"]["hourglass"],
        "fhgc2[0]": model.short_term["2"]["hourglass"],
        "conv_fhgc": model.short_term["norm"],
        "layer1_bak[0].mtdin": layer1[0].temporal,
        "layer1_bak": layer1[-1],
        "layer3_bak": model.resnet.layer3[-1],
        "layer4_bak": layer4[-1],
        "feature 2048 per segment": model.dropout,
        "logits per segment": model.head,
    }
    assert watched.keys() == probes.keys()
    hooks = [
        part.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
        for name, part in watched.items()
    ]
    with torch.no_grad():
        logits = model(clips)
    for hook in hooks:
        hook.remove()
    seen["conv_fhgc"] = seen["conv_fhgc"].relu()
    for name, probe in probes.items():
        found = seen[name]
        found = found.transpose(1, 2).flatten(0, 1) if found.ndim == 5 else found
        assert_golden(found.reshape(probe["shape"]), probe, tolerance=TOLERANCE)
    assert_golden(logits, case["output"]["logits"], tolerance=TOLERANCE)


def test_clips_that_are_no_whole_segments(model):
    with pytest.raises(ModelError, match="multiple of 5 frames, the segments; got 8 frames"):
        model(torch.zeros(1, 3, 8, 32, 32))
