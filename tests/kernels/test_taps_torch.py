"""The sums over taps in PyTorch equal their definition, for any map and kernel, with their transposes."""

import pytest
import torch

from fragrant.benchmarks.published.taps import tap_sum
from fragrant.kernels import taps_torch
from fragrant.kernels.taps_torch import apply_taps, correlate_taps, scatter_taps

SIZES = [(3, 7, 7), (1, 1, 1), (5, 3, 1), (1, 3, 5)]
SHAPES = [
    (2, 3, 9, 11, 2, 5),
    (1, 2, 7, 7, 1, 4),
    (2, 1, 5, 3, 3, 4),
    (5, 1, 1, 1, 1, 1),
    (1, 4, 17, 30, 1, 3),
    (3, 2, 4, 8, 8, 2),
]


def operands(shape, size, seed: int = 0):
    """kernels, v, y of shape (N, T, H, W, h, U)"""
    *place, heads, channels = shape
    generator = torch.Generator().manual_seed(seed)
    sizes = [(*place, heads, size[0] * size[1] * size[2]), (*place, channels), (*place, heads, channels)]
    return [torch.randn(s, generator=generator, dtype=torch.double, requires_grad=True) for s in sizes]


def check(shape, size) -> None:
    kernels, v, y = operands(shape, size)
    expected = tap_sum(kernels, v, size)
    grad_kernels, grad_v = torch.autograd.grad(expected, (kernels, v), y)
    close = dict(rtol=0, atol=1e-12 * kernels.shape[-1])
    torch.testing.assert_close(apply_taps(kernels, v, size), expected.detach(), **close)
    torch.testing.assert_close(correlate_taps(y, v, size), grad_kernels, **close)
    torch.testing.assert_close(scatter_taps(kernels, y, size), grad_v, **close)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_the_definition(shape, size):
    check(shape, size)


@pytest.mark.parametrize("work_bytes", [1, 20_000, 200_000, 1 << 30])
def test_any_number_of_tiles_at_once(work_bytes, monkeypatch):
    monkeypatch.setattr(taps_torch, "CPU_WORK_BYTES", work_bytes)
    check((3, 2, 10, 13, 2, 3), (3, 5, 3))


def test_operands_may_lie_anywhere_in_memory():
    size = (3, 3, 3)
    kernels, v, y = (x.detach() for x in operands((2, 3, 6, 5, 2, 4), size))
    strided = [
        x.permute(*range(x.dim() - 1, -1, -1)).contiguous().permute(*range(x.dim() - 1, -1, -1))
        for x in (kernels, v, y)
    ]
    assert not strided[0].is_contiguous()
    torch.testing.assert_close(apply_taps(strided[0], strided[1], size), apply_taps(kernels, v, size))
    torch.testing.assert_close(correlate_taps(strided[2], strided[1], size), correlate_taps(y, v, size))
    torch.testing.assert_close(scatter_taps(strided[0], strided[2], size), scatter_taps(kernels, y, size))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    size = (3, 5, 5)
    kernels, v, y = (x.detach().to(dtype) for x in operands((1, 3, 8, 6, 2, 16), size))
    pairs = [(apply_taps, kernels, v), (correlate_taps, y, v), (scatter_taps, kernels, y)]
    for function, a, b in pairs:
        found, exact = function(a, b, size), function(a.double(), b.double(), size)
        assert found.dtype == dtype
        assert (found.double() - exact).std() <= 1e-2 * exact.std()
