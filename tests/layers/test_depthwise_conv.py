"""The CPU's own backward pass of the depthwise convolution is PyTorch's, and it is used where it should be."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fragrant.kernels.depthwise_torch import HAS_ONEDNN
from fragrant.layers.convolution import Conv3d, trust_convolutions
from fragrant.layers.depthwise_conv import DepthwiseConv3d

SHAPES = [(2, 8, 4, 9, 7), (1, 16, 1, 1, 1), (3, 5, 2, 3, 2), (1, 4, 5, 1, 9), (2, 16, 8, 14, 14), (4, 8, 1, 6, 6)]


def gradients(conv: nn.Conv3d, x: torch.Tensor, plain: bool) -> list[torch.Tensor]:
    """Output and gradients, through the layer or through PyTorch's own convolution."""
    x = x.detach().requires_grad_()
    y = nn.Conv3d.forward(conv, x) if plain else conv(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(7))
    return [y, *torch.autograd.grad(y, [x, *conv.parameters()], upstream.to(y.dtype))]


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_those_of_double_precision(kernel_size, shape):
    torch.manual_seed(0)
    conv, x = (
        DepthwiseConv3d(shape[1], kernel_size=kernel_size),
        torch.randn(shape).to(memory_format=torch.channels_last_3d),
    )
    found = gradients(conv, x, plain=False)
    exact = gradients(conv.double(), x.double(), plain=True)
    for actual, expected in zip(found, exact, strict=True):
        assert actual.shape == expected.shape
        assert (actual - expected).abs().max() <= 5e-6 * expected.abs().max()


@pytest.mark.parametrize("stride", [1, 2])
def test_without_a_bias_and_with_a_stride(stride):
    torch.manual_seed(0)
    conv = DepthwiseConv3d(8, kernel_size=3, stride=stride, bias=False)
    x = torch.randn(2, 8, 5, 7, 4).to(memory_format=torch.channels_last_3d)
    found, exact = gradients(conv, x, plain=False), gradients(conv.double(), x.double(), plain=True)
    assert found[0].shape == ((2, 8, 5, 7, 4) if stride == 1 else (2, 8, 3, 4, 2))
    for actual, expected in zip(found, exact, strict=True):
        assert (actual - expected).abs().max() <= 5e-6 * expected.abs().max()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bfloat16_autocast_has_no_wrong_filter_gradient(shape):
    """oneDNN's is wrong for clips shorter than the filter."""
    torch.manual_seed(0)
    conv, x = DepthwiseConv3d(shape[1], kernel_size=5), torch.randn(shape).to(memory_format=torch.channels_last_3d)
    exact = gradients(conv, x, plain=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(conv, x, plain=False)
    assert found[0].dtype == torch.bfloat16
    for actual, expected in zip(found, exact, strict=True):
        assert (actual.float() - expected).abs().max() <= 0.03 * expected.abs().max()


def odd_cases(count: int) -> list[tuple]:
    """(channels, kernel, stride, size, memory format, dtype), maps smaller than the filter among them."""
    rng = random.Random(0)
    sizes = [rng.choices((1, 2, 3, 4, 6, 7), k=3) for _ in range(count)]
    formats = (torch.contiguous_format, torch.channels_last_3d)
    return [
        (rng.choice((1, 3, 4, 8, 16, 17)), rng.choice((3, 5, 7)), rng.choice((1, 2, 2)), size, *rest)
        for size, *rest in zip(
            sizes,
            rng.choices(formats, k=count),
            rng.choices((torch.bfloat16, torch.float32), (3, 1), k=count),
            strict=True,
        )
    ]


def worst_of(conv: nn.Conv3d, x: torch.Tensor, dtype: torch.dtype) -> float:
    """The largest difference from double precision, output and gradients, relative to the largest value of each."""
    conv, x = conv.to(dtype), x.to(dtype)
    found = gradients(conv, x, plain=False)
    exact = gradients(conv.double(), x.double(), plain=True)
    return max(((a.double() - b).abs().max() / b.abs().max()).item() for a, b in zip(found, exact, strict=True))


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_any_size_in_any_format_is_double_precision_up_to_rounding(first):
    torch.manual_seed(0)
    for channels, kernel_size, stride, size, memory_format, dtype in odd_cases(300)[first : first + 100]:
        conv = DepthwiseConv3d(channels, kernel_size=kernel_size, stride=stride)
        x = torch.randn(2, channels, *size).contiguous(memory_format=memory_format)
        most = 0.03 if dtype == torch.bfloat16 else 1e-5
        assert worst_of(conv, x, dtype) <= most, (channels, kernel_size, stride, size, memory_format, dtype)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("size", [(1, 7, 7), (2, 4, 9), (1, 1, 1), (8, 3, 7), (4, 16, 16)], ids=str)
def test_the_convolution_of_stems_and_patches(size, memory_format):
    torch.manual_seed(0)
    conv = Conv3d(3, 8, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3))
    x = torch.randn(2, 3, *size).contiguous(memory_format=memory_format)
    exact = gradients(conv, x, plain=True)
    for actual, expected in zip(gradients(conv, x, plain=False), exact, strict=True):
        assert (actual - expected).abs().max() <= 5e-6 * expected.abs().max()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(conv, x, plain=False)
    assert found[0].dtype == torch.bfloat16
    for actual, expected in zip(found, exact, strict=True):
        assert (actual.float() - expected).abs().max() <= 0.03 * expected.abs().max()


@pytest.mark.skipif(not HAS_ONEDNN, reason="this PyTorch has no oneDNN")
def test_own_backward_runs_for_channels_last_training_only():
    conv, x = DepthwiseConv3d(8, kernel_size=3), torch.randn(2, 8, 3, 4, 4)
    names = {}
    for name, clip in {"contiguous": x, "channels_last": x.to(memory_format=torch.channels_last_3d)}.items():
        names[name] = type(conv(clip).grad_fn).__name__
    assert names == {"contiguous": "ConvolutionBackward0", "channels_last": "DepthwiseConv3dOnCpuBackward"}
    with torch.no_grad():
        assert torch.equal(conv(x), F.conv3d(x, conv.weight, conv.bias, padding=1, groups=8))


def test_frozen_parts_get_no_gradient():
    conv, x = DepthwiseConv3d(8, kernel_size=3), torch.randn(2, 8, 3, 4, 4).to(memory_format=torch.channels_last_3d)
    conv.weight.requires_grad_(False)
    conv(x).sum().backward()
    assert conv.weight.grad is None and conv.bias.grad is not None


@pytest.mark.parametrize("kernel_size", [1, 2, 4])
def test_a_kernel_without_a_middle_is_an_error(kernel_size):
    with pytest.raises(ValueError, match=f"kernel_size must be odd and at least 3; got {kernel_size}"):
        DepthwiseConv3d(8, kernel_size=kernel_size)


def test_convolutions_of_another_package_are_replaced_with_their_parameters():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(3, 8, (3, 7, 7), stride=2, padding=(1, 3, 3)), nn.Sequential(nn.Conv3d(8, 4, 3)))
    drawn, names, parameters = torch.get_rng_state(), list(net.state_dict()), list(net.parameters())
    trust_convolutions(net)
    assert [type(net[0]), type(net[1][0])] == [Conv3d, Conv3d] and torch.equal(drawn, torch.get_rng_state())
    assert list(net.state_dict()) == names
    assert all(new is old for new, old in zip(net.parameters(), parameters, strict=True))
    x = torch.randn(2, 3, 2, 6, 5)
    assert torch.isfinite(net[0].bfloat16()(x.bfloat16())).all() and net[0](x.bfloat16()).shape == (2, 8, 1, 3, 3)


@pytest.mark.parametrize("more", [{"dilation": 2}, {"padding": "same"}, {"padding_mode": "reflect", "padding": 1}])
def test_convolutions_that_cannot_be_replaced(more):
    with pytest.raises(ValueError, match="is not known here"):
        trust_convolutions(nn.Sequential(nn.Conv3d(1, 1, 3, **more)))
