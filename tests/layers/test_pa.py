"""PA computes the published motion maps and their gradients, whatever the layout and the number format."""

import pytest
import torch
from conftest import fill_v1, golden, golden_input
from golden_values import assert_golden
from torch import Tensor

from fragrant.errors import UserError
from fragrant.layers.pa import PA, ResponseDistance

GOLDEN = golden("mienet/pa")
FORMATS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


def golden_pa(frames_per_segment: int) -> PA:
    pa, state = PA(frames_per_segment), fill_v1(GOLDEN["state"])
    pa.conv.load_state_dict({name: state[f"shallow_conv.{name}"] for name in ("weight", "bias")})
    return pa


def as_clips(published: Tensor, segments: int = 1) -> Tensor:
    """(N*T, L*3, H, W) -> (N, 3, T*L, H, W)"""
    frames = published.unflatten(1, (-1, 3)).unflatten(0, (-1, segments))  # (N, T, L, 3, H, W)
    return frames.permute(0, 3, 1, 2, 4, 5).flatten(2, 3)


def published_maps(pa: PA, published: Tensor) -> Tensor:
    """The published order: every frame through the convolution, then the distance."""
    # (N*T, L, 8, H, W)
    responses = pa.conv(published.unflatten(1, (-1, 3)).flatten(0, 1)).unflatten(0, (len(published), -1))
    return (responses[:, :-1] - responses[:, 1:] + 1e-6).square().sum(2).sqrt()


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['n_length']}-{case['input']['post']}")
def test_maps_match_the_published_code(case, memory_format):
    source, num_frames = dict(case["input"]), case["n_length"]
    post = source.pop("post")
    frames = golden_input(**source).unflatten(1, (num_frames, 3))
    if post == "first_frame_repeated":
        frames = frames[:, :1].expand_as(frames)
    elif post == "last_frame_repeated_from_1":
        frames = torch.cat([frames[:, :1], frames[:, 1:2].expand(-1, num_frames - 1, -1, -1, -1)], 1)
    assert_golden(golden_pa(num_frames).conv(frames.flatten(0, 1)), case["probes"]["shallow_conv"])
    clips = as_clips(frames.flatten(1, 2)).contiguous(memory_format=memory_format)
    maps = golden_pa(num_frames)(clips)
    assert_golden(maps, case["output"]["pa"])
    assert_golden(maps, case["probes"]["pa"])


def test_frames_that_are_equal_are_exactly_epsilon_apart():
    maps = golden_pa(4)(torch.rand(1, 3, 1, 9, 9).expand(-1, -1, 8, -1, -1))
    torch.testing.assert_close(maps, torch.full_like(maps, 8**0.5 * 1e-6), rtol=1e-6, atol=0)


def test_no_map_crosses_the_ends_of_a_segment():
    pa, clips = golden_pa(4), torch.rand(2, 3, 8, 9, 9)
    maps = pa(clips)
    assert maps.shape == (4, 3, 9, 9)
    each = torch.cat([pa(clips[n : n + 1, :, 4 * t : 4 * t + 4]) for n in (0, 1) for t in (0, 1)])
    torch.testing.assert_close(maps, each)


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_gradients_are_those_of_the_published_order(memory_format):
    pa, published = golden_pa(4).double(), torch.randn(6, 12, 9, 8, dtype=torch.float64)
    published[0, 6:9] = published[0, 3:6]  # nothing moves from frame 1 to frame 2
    direction = torch.randn(6, 3, 9, 8, dtype=torch.float64)
    wanted = torch.autograd.grad(
        (published_maps(pa, published.requires_grad_()) * direction).sum(), [published, pa.conv.weight]
    )
    clips = as_clips(published.detach(), segments=3).contiguous(memory_format=memory_format).requires_grad_()
    found = torch.autograd.grad((pa(clips) * direction).sum(), [clips, *pa.parameters()])
    torch.testing.assert_close(found[0], as_clips(wanted[0], segments=3))
    torch.testing.assert_close(found[1], wanted[1])
    assert not found[2].any()  # the bias cancels


def test_gradients_are_those_of_the_maps():
    clips = torch.randn(1, 3, 4, 8, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda clips, weight: ResponseDistance.apply(clips, weight, bias, 2), (clips, weight)
    )


def test_no_gradient_is_computed_for_clips_that_need_none(monkeypatch):
    wanted = []
    backward = torch.ops.aten.convolution_backward
    monkeypatch.setattr(
        torch.ops.aten, "convolution_backward", lambda *args: wanted.append(args[-1]) or backward(*args)
    )
    PA(4)(torch.randn(1, 3, 4, 8, 8)).sum().backward()
    assert wanted == [[False, True, False]]


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_bfloat16_loses_little(memory_format):
    pa, clips = golden_pa(4), torch.randn(2, 3, 12, 32, 32).contiguous(memory_format=memory_format)
    results = {}
    for enabled in (False, True):
        pa.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            maps = pa(clips)
        assert maps.dtype == torch.float32
        maps.square().mean().backward()
        results[enabled] = maps.detach(), pa.conv.weight.grad.clone()
    (exact, exact_grad), (maps, grad) = results[False], results[True]
    assert (maps - exact).abs().max() < 0.02 * exact.max()
    assert torch.cosine_similarity(grad.flatten(), exact_grad.flatten(), dim=0) > 0.999


def test_initial_values():
    torch.manual_seed(0)
    pan, default = PA(4, init="pan").conv, PA(4).conv
    assert 0.0009 < pan.weight.std() < 0.0011 and not pan.bias.any()
    limit = (3 * 7 * 7) ** -0.5
    assert 0.9 * limit < default.weight.abs().max() <= limit


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1,), "needs at least 2 frames per segment; got 1"),
        ((4, "zeros"), "PA init 'zeros' is not known; known: default, pan"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        PA(arguments[0], init=(*arguments, "default")[1])
