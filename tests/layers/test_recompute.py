"""Activation checkpointing changes nothing but memory: results, gradients and running statistics stay."""

import copy

import pytest
import torch
from torch import nn

from fragrant.layers.conv_block import ConvBlock
from fragrant.layers.recompute import recompute


def step(block: nn.Module, x: torch.Tensor, run) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    """Output, gradients and buffers after one step; the same random numbers every time."""
    block, x = copy.deepcopy(block), x.clone().requires_grad_()
    torch.manual_seed(3)
    y = run(block, x)
    y.square().sum().backward()
    return y, [x.grad, *(parameter.grad for parameter in block.parameters())], list(block.buffers())


@pytest.fixture
def block() -> nn.Module:
    torch.manual_seed(0)
    return ConvBlock(8, dropout=0.5, drop_path=0.5).train()


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last_3d], ids=["contiguous", "channels_last"]
)
def test_same_numbers_gradients_and_statistics(block, memory_format):
    x = torch.randn(4, 8, 2, 6, 6).to(memory_format=memory_format)
    expected = step(block, x, lambda block, x: block(x))
    found = step(block, x, recompute)
    assert torch.equal(found[0], expected[0])
    for actual, wanted in zip(found[1] + found[2], expected[1] + expected[2], strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-6)


def test_the_block_runs_twice_and_keeps_its_norms_as_they_were(block):
    calls = []
    block.register_forward_hook(lambda *args: calls.append(block.norm1.momentum))
    x = torch.randn(2, 8, 2, 6, 6, requires_grad=True)
    recompute(block, x).sum().backward()
    assert calls[0] == 0.1
    assert block.norm1.momentum == 0.1 and block.norm1.num_batches_tracked == 1


def test_only_the_input_is_kept(block):
    def bytes_kept(run) -> int:
        sizes = []
        x = torch.randn(2, 8, 4, 16, 16, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.nbytes) or tensor, lambda tensor: tensor
        ):
            run(block, x)
        return sum(sizes)

    assert bytes_kept(recompute) < 0.1 * bytes_kept(lambda block, x: block(x))


def test_without_gradients_nothing_is_set_up(block):
    with torch.no_grad():
        assert recompute(block.eval(), torch.randn(2, 8, 2, 6, 6)).grad_fn is None


def test_compiles_without_a_graph_break():
    torch.compiler.reset()
    torch.manual_seed(0)
    block, x = ConvBlock(8).train(), torch.randn(2, 8, 2, 6, 6)
    expected = step(block, x, lambda block, x: block(x))
    found = step(
        block, x, lambda block, x: torch.compile(lambda z: recompute(block, z), backend="aot_eager", fullgraph=True)(x)
    )
    for actual, wanted in zip([found[0], *found[1], *found[2]], [expected[0], *expected[1], *expected[2]], strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-5)
