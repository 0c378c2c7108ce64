"""DPTAM computes the published attention, on frames in a row and inside other models."""

import pytest
import torch
from conftest import fill_v1, golden, golden_input
from golden_values import assert_golden

from fragrant.errors import UserError
from fragrant.layers.dptam import DPTAM
from fragrant.models.uniformer import Insertion, UniFormer

CASES = golden("mienet/dptam")["cases"]
OURS = {"p1_conv1": "mix", "dptam.0": "reduce", "dptam.1": "norm", "dptam.3": "expand"}


def golden_dptam(case: dict) -> DPTAM:
    dptam, state = DPTAM(case["build"]["in_channels"]), {}
    for key, value in fill_v1(case["state"]).items():
        module, name = key.rsplit(".", 1)
        if module in OURS:
            state[f"{OURS[module]}.{name}"] = value
    dptam.load_state_dict(state)
    return dptam.eval()


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['build']['in_channels']}x{case['build']['n_segment']}")
def test_output_matches_the_published_code(case, memory_format):
    frames = golden_input(**case["input"]).contiguous(memory_format=memory_format)  # (N*T, C, H, W)
    clips = frames.unflatten(0, (-1, case["build"]["n_segment"])).transpose(1, 2)  # (N, C, T, H, W)
    dptam = golden_dptam(case)
    with torch.no_grad():
        assert_golden(dptam(clips).transpose(1, 2).flatten(0, 1), case["output"]["y"])
        assert_golden(dptam.scale(clips), case["probes"]["gate [n,c,t]"])
    entering = []
    dptam.reduce.register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
    dptam(clips)
    assert_golden(entering[0], case["probes"]["pooled_plus_product [n,c,t]"])


@pytest.mark.parametrize(
    "clips",
    [
        torch.randn(2, 8, 3, 4, 5),
        torch.randn(2, 8, 3, 4, 5).contiguous(memory_format=torch.channels_last_3d),
        torch.randn(6, 8, 4, 5).unflatten(0, (2, 3)).transpose(1, 2),
        torch.randn(6, 8, 4, 5).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 3)).transpose(1, 2),
    ],
    ids=["clips", "channels_last_3d", "frames", "frames channels_last"],
)
def test_every_memory_format_stays_as_it_is(clips):
    dptam = DPTAM(8).train()
    y = dptam(clips)
    assert y.stride() == clips.stride()
    torch.testing.assert_close(y, dptam(clips.contiguous()))


def test_gradients():
    dptam = DPTAM(4).double().train()
    x = torch.randn(2, 4, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*dptam.named_parameters(), strict=True)
    run = lambda x, *values: torch.func.functional_call(dptam, dict(zip(names, values, strict=True)), x)  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, *parameters))


def test_scales_are_computed_in_float32_under_autocast():
    dptam, x = DPTAM(16), torch.randn(2, 16, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, scale = dptam(x.bfloat16()), dptam.scale(x.bfloat16())
    assert (y.dtype, scale.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(scale, dptam.scale(x.bfloat16().float()))


def test_goes_into_a_3d_backbone():
    insertions = [Insertion("embed3", "dptam", DPTAM(32), residual=False)]
    tiny = dict(num_classes=5, embed_dim=(8, 16, 32, 32), depth=(1, 1, 1, 1), head_dim=16)
    model = UniFormer(**tiny, insertions=insertions)
    model(torch.randn(2, 3, 8, 32, 32)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.dptam.parameters())
    assert any(key.startswith("dptam.mix") for key in model.state_dict())


@pytest.mark.parametrize("arguments", [dict(channels=3), dict(channels=8, time_kernel=2)])
def test_arguments(arguments):
    with pytest.raises(UserError, match="DPTAM needs at least 4 channels and an odd time_kernel; got"):
        DPTAM(**arguments)
