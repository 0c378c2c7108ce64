"""Pixel values to model input."""

import pytest
import torch
from conftest import golden

from fragrant.layers.normalize import ClipNormalize


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_published_values(dtype):
    rows = golden("framework/normalize")["rows"]
    pixels = torch.tensor([row["u8"] for row in rows], dtype=dtype).expand(1, 3, 1, 1, -1)
    out = ClipNormalize([0.45] * 3, [0.225] * 3)(pixels)
    expected = torch.tensor([row["norm"] for row in rows])
    torch.testing.assert_close(out, expected.expand_as(out), atol=2e-6, rtol=1e-6)


def test_each_channel_has_its_own_numbers_before_the_order_is_reversed():
    pixels = torch.full((1, 3, 1, 1, 1), 255, dtype=torch.uint8)
    mean, std = [0.0, 0.5, 1.0], [1.0, 0.5, 0.25]
    assert ClipNormalize(mean, std)(pixels).flatten().tolist() == [1.0, 1.0, 0.0]
    assert ClipNormalize(mean, std, reverse_channels=True)(pixels).flatten().tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("reverse", [False, True])
def test_keeps_memory_format_and_input(dtype, reverse):
    pixels = torch.randint(0, 256, (2, 3, 4, 6, 6)).to(dtype).contiguous(memory_format=torch.channels_last_3d)
    before = pixels.clone()
    out = ClipNormalize([0.45] * 3, [0.225] * 3, reverse_channels=reverse)(pixels)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(pixels, before)


def test_leaves_nothing_in_a_checkpoint():
    assert not ClipNormalize([0.45] * 3, [0.225] * 3).state_dict()
