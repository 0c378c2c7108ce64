"""The Triton kernels equal their PyTorch twin: in Triton's interpreter on the CPU, and on a GPU.

The interpreter is switched on before Triton is first imported, so these cases run in a process of their own, which a
test below starts. The interpreter has no bfloat16 products; the 16-bit case there is float16."""

import importlib.util
import os

import pytest
import torch
from interpreter import passed_in_interpreter

from fragrant.kernels import taps_torch

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

# (N, T, H, W, h, U), (kT, kH, kW): more and less than a tile and a window, rows of heads, several blocks of channels
SMALL_CASES = [
    ((1, 1, 1, 1, 1, 1), (1, 1, 1)),
    ((1, 2, 9, 10, 1, 3), (3, 3, 3)),
    ((1, 1, 3, 9, 3, 5), (3, 7, 7)),
    ((2, 1, 2, 3, 8, 20), (1, 3, 5)),
    ((1, 1, 3, 2, 1, 130), (1, 5, 11)),
]
LARGE_CASES = [
    ((2, 8, 28, 28, 1, 128), (3, 7, 7)),
    ((2, 8, 14, 14, 1, 320), (3, 7, 7)),
    ((3, 5, 15, 9, 8, 40), (5, 7, 7)),
    *SMALL_CASES,
]


def worst_differences(shape, size, dtype: torch.dtype, device: str) -> list[float]:
    """Largest difference over standard deviation for apply, correlate and scatter; the twin computes in float64."""
    from fragrant.kernels import taps_triton

    *place, heads, channels = shape
    generator = torch.Generator().manual_seed(0)

    def random(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=generator).to(dtype)

    kernels, v, y = (
        random(*place, heads, size[0] * size[1] * size[2]),
        random(*place, channels),
        random(*place, heads, channels),
    )
    worst = []
    for name, operands in (("apply_taps", (kernels, v)), ("correlate_taps", (y, v)), ("scatter_taps", (kernels, y))):
        expected = getattr(taps_torch, name)(*(x.double() for x in operands), size)
        found = getattr(taps_triton, name)(*(x.to(device) for x in operands), size)
        assert found.shape == expected.shape and found.dtype == dtype
        worst.append(((found.cpu().double() - expected).abs().max() / expected.abs().max()).item())
    return worst


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
@pytest.mark.parametrize("dtype, allowed", [(torch.float32, 1e-6), (torch.float16, 1e-3)], ids=["float32", "float16"])
@pytest.mark.parametrize(
    "shape, size", [SMALL_CASES[0], pytest.param(*SMALL_CASES[1], marks=pytest.mark.slow), *SMALL_CASES[2:]], ids=str
)
def test_in_the_interpreter(shape, size, dtype, allowed):
    assert max(worst_differences(shape, size, dtype, "cpu")) <= allowed


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
def test_module_in_the_interpreter():
    """The whole module, forward and backward, with the kernels."""
    from fragrant.layers.ram import RAM

    torch.manual_seed(0)
    x = torch.randn(1, 6, 2, 3, 4)
    found = {}
    module = RAM(
        6, 6, heads=2, key_dim=0, kernel_size=(3, 3, 3), kernel_type="VplusR", feature_type="VplusR", order="kernels"
    )
    for module.impl in ("torch", "triton"):
        leaf = x.clone().requires_grad_()
        found[module.impl] = [
            module(leaf),
            *torch.autograd.grad(module(leaf).square().sum(), [leaf, *module.parameters()]),
        ]
    torch.testing.assert_close(found["triton"], found["torch"], rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_interpreted():
    assert passed_in_interpreter(__file__) == 2 * (len(SMALL_CASES) - 1) + 1


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_the_rest_interpreted():
    assert passed_in_interpreter(__file__, slow=True) == 2


def test_wrong_numbers_are_refused():
    from fragrant.kernels.taps import KernelError
    from fragrant.kernels.taps_triton import apply_taps

    with pytest.raises(
        KernelError, match="compute in float32, bfloat16, float16; got torch.float64; use the implementation 'torch'"
    ):
        apply_taps(
            torch.zeros(1, 1, 1, 1, 1, 1, dtype=torch.double), torch.zeros(1, 1, 1, 1, 1, dtype=torch.double), (1, 1, 1)
        )
    too_many = torch.zeros(1, 1, 1, 1, 1, 1).expand(2**11, 2**10, 2**10, 1, 1, 1)
    with pytest.raises(KernelError, match=r"take fewer than 2\^31 numbers; got \(2048, 1024, 1024, 1, 1, 1\)"):
        apply_taps(too_many, torch.zeros(1, 1, 1, 1, 1), (1, 1, 1))


@pytest.mark.cuda
@pytest.mark.parametrize(
    "dtype, allowed", [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 5e-3)], ids=str
)
@pytest.mark.parametrize("shape, size", LARGE_CASES, ids=str)
def test_on_a_gpu(shape, size, dtype, allowed):
    assert max(worst_differences(shape, size, dtype, "cuda")) <= allowed


@pytest.mark.cuda
@pytest.mark.parametrize("shape, size", LARGE_CASES, ids=str)
def test_pytorch_twin_on_a_gpu(shape, size):
    *place, heads, channels = shape
    kernels, v = torch.randn(*place, heads, size[0] * size[1] * size[2]), torch.randn(*place, channels)
    expected = taps_torch.apply_taps(kernels.double(), v.double(), size)
    found = taps_torch.apply_taps(kernels.cuda(), v.cuda(), size)
    assert (found.cpu() - expected).abs().max() <= 1e-5 * expected.abs().max()
