"""The blocks of UniFormer compute what the published code computes, outputs and gradients."""

from functools import partial

import pytest
import torch
from conftest import fill_v1, golden, golden_input

from fragrant.layers.attention_block import AttentionBlock
from fragrant.layers.conv_block import ConvBlock
from fragrant.layers.patch_embed import PatchEmbed
from fragrant.layers.split_attention_block import SplitAttentionBlock

FORMATS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
BLOCKS = {  # golden file -> the same block here
    "block_CBlock": partial(ConvBlock, 16),
    "block_SABlock": partial(AttentionBlock, 16, num_heads=2),
    "block_SplitSABlock": partial(SplitAttentionBlock, 16, num_heads=2),
    "block_PatchEmbed": partial(PatchEmbed, 8, 16, patch_size=2),
    "block_PatchEmbed_std": partial(PatchEmbed, 8, 16, patch_size=2, time_kernel=3),
    "block_SpeicalPatchEmbed": partial(PatchEmbed, 3, 16, patch_size=4, time_kernel=3, time_stride=2),
}


def worst(actual: torch.Tensor, expected, std: float) -> float:
    """max |difference| over the standard deviation of what is expected."""
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    return (actual.detach().double() - expected.double()).abs().max().item() / std


def probe_of(tensor: torch.Tensor) -> torch.Tensor:
    values = tensor.detach().contiguous().flatten().double()
    return torch.stack([values.mean(), values.std(correction=0), *values[:8]])


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("name", BLOCKS)
def test_block_matches_the_published_code(name, memory_format):
    expected = golden(f"uniformer/{name}")
    block = BLOCKS[name]().eval()
    assert [(key, list(value.shape)) for key, value in block.state_dict().items()] == [
        (key, shape) for key, shape, _ in expected["state"]
    ]
    block.load_state_dict(fill_v1(expected["state"]))
    block.to(memory_format=memory_format)
    for case in expected["cases"]:
        block.zero_grad()
        x = golden_input(**case["input"]).to(memory_format=memory_format).requires_grad_()
        y = block(x)
        if len(x) > 1:  # for one tiny clip PyTorch itself takes a convolution that ignores the format
            assert y.is_contiguous(memory_format=memory_format)
        assert worst(y, case["output"]["y"], case["tolerance"]["y_std"]) <= 2e-5
        (y * golden_input(case["input"]["seed"] + 1000, list(y.shape))).sum().backward()
        gradients = {"x": x.grad, **{key: parameter.grad for key, parameter in block.named_parameters()}}
        assert gradients.keys() == case["grads"].keys()
        for key, probe in case["grads"].items():
            assert list(gradients[key].shape) == probe["shape"]
            off = worst(probe_of(gradients[key]), [probe["mean"], probe["std"], *probe["first8"]], probe["std"])
            assert off <= 2e-4, f"gradient of {key} is off by {off:.1e} x std"


def test_drop_path_is_drawn_per_place_per_frame_and_per_clip():
    block = SplitAttentionBlock(16, num_heads=2, drop_path=0.5).train()
    drawn = []
    block.drop_path.register_forward_hook(lambda module, args, output: drawn.append(tuple(args[0].shape)))
    block(torch.randn(2, 16, 3, 4, 5))
    assert drawn == [(2 * 4 * 5, 3, 16), (2 * 3, 4 * 5, 16), (2, 3 * 4 * 5, 16)]


@pytest.mark.parametrize(
    "block", [ConvBlock(8, drop_path=0.5), AttentionBlock(8, num_heads=1, drop_path=0.5)], ids=["conv", "attention"]
)
def test_a_dropped_clip_keeps_its_residual_and_others_are_scaled(block):
    torch.manual_seed(0)
    seen = []
    block.train().drop_path.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    block(torch.randn(64, 8, 2, 2, 2))
    for before, after in seen:
        kept = after.flatten(1).abs().sum(1) > 0
        assert 16 <= kept.sum() <= 48
        torch.testing.assert_close(after[kept], 2 * before[kept])
