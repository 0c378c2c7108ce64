"""Volumes and tokens: same numbers, same memory where possible, the format of the input kept."""

import pytest
import torch
from torch import nn

from fragrant.layers.channel_norm import ChannelNorm
from fragrant.layers.tokens import to_tokens, to_volume

FORMATS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_there_and_back(memory_format):
    x = torch.randn(2, 3, 4, 5, 6).to(memory_format=memory_format)
    tokens = to_tokens(x)
    assert tokens.shape == (2, 120, 3) and tokens.data_ptr() == x.data_ptr()
    assert torch.equal(tokens[1, 2 * 30 + 3 * 6 + 4], x[1, :, 2, 3, 4])  # time first, then rows, then columns
    back = to_volume(tokens, like=x)
    assert torch.equal(back, x) and back.stride() == x.stride() and back.data_ptr() == x.data_ptr()


def test_channels_last_tokens_are_contiguous():
    assert to_tokens(torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d)).is_contiguous()


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("shape", [(2, 8, 3, 4, 5), (1, 8, 1, 1, 1)])
def test_channel_norm_is_layer_norm_at_every_position(shape, memory_format):
    torch.manual_seed(0)
    norm, x = ChannelNorm(8), torch.randn(shape).to(memory_format=memory_format)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    y = norm(x)
    expected = torch.nn.functional.layer_norm(x.movedim(1, -1), (8,), norm.weight, norm.bias, norm.eps).movedim(-1, 1)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous(memory_format=memory_format)
