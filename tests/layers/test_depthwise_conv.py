"""The CPU's own backward pass of the depthwise convolution is PyTorch's, and it is used where it should be."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fragrant.kernels.depthwise_torch import HAS_ONEDNN
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
