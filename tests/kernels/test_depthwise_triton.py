"""The depthwise convolution in Triton equals F.conv3d in double precision: in Triton's interpreter on the CPU, and on a
GPU.

The interpreter is switched on before Triton is first imported, so these cases run in a process of their own, which a
test below starts."""

import importlib.util
import os

import pytest
import torch
from interpreter import passed_in_interpreter

from fragrant.kernels import depthwise_torch
from fragrant.layers.depthwise_conv import DepthwiseConv3d

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
CUBE3, CUBE5 = (3, 3, 3), (5, 5, 5)

# (N, C, T, H, W), kernel, stride: one position, clips shorter than the filter, several tiles and blocks of channels,
# remainders
SMALL_CASES = [
    ((1, 1, 1, 1, 1), CUBE3, (1, 1, 1)),
    ((2, 5, 1, 5, 3), CUBE3, (1, 1, 1)),
    ((1, 3, 2, 2, 17), CUBE5, (1, 1, 1)),
    ((1, 80, 2, 3, 4), CUBE3, (1, 1, 1)),
    ((2, 3, 4, 5, 9), CUBE3, (2, 2, 2)),
    ((1, 4, 4, 6, 8), CUBE5, (2, 2, 2)),
    ((1, 4, 3, 19, 3), CUBE3, (1, 2, 2)),
    ((1, 4, 7, 3, 4), CUBE3, (2, 1, 1)),
    ((2, 4, 5, 3, 4), (3, 1, 1), (1, 1, 1)),
    ((1, 4, 3, 5, 6), (1, 3, 5), (1, 1, 2)),
    ((1, 2, 1, 3, 5), (1, 7, 7), (1, 1, 1)),
    ((1, 2, 7, 10, 7), CUBE3, (3, 3, 3)),
]
# the others take the interpreter long, and run where slow tests do
QUICK = [0, 2, 3, 4, 9, 10]


def in_turn(numbers: list[int]) -> list:
    """The small cases of these numbers."""
    slow = {number: () if number in QUICK else pytest.mark.slow for number in numbers}
    return [pytest.param(*SMALL_CASES[number], marks=slow[number], id=f"{number}") for number in numbers]


LARGE_CASES = [
    ((2, 64, 8, 56, 56), CUBE3, (1, 1, 1)),
    ((2, 64, 8, 56, 56), CUBE5, (1, 1, 1)),
    ((2, 128, 8, 28, 28), CUBE5, (1, 1, 1)),
    ((2, 320, 8, 14, 14), CUBE3, (1, 1, 1)),
    ((3, 512, 8, 7, 7), CUBE3, (1, 1, 1)),
    ((2, 128, 32, 56, 56), CUBE3, (2, 2, 2)),
    ((1, 512, 8, 14, 14), CUBE3, (2, 2, 2)),
    ((2, 40, 5, 23, 31), CUBE5, (1, 1, 1)),
    *SMALL_CASES,
]


def all_results(module, x, weight, bias, stride, upstream) -> dict[str, torch.Tensor]:
    """The output and all gradients."""
    leaves = {"x": x, "weight": weight, "bias": bias}
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in leaves.items() if leaf is not None}
    y = module.depthwise_conv3d(leaves["x"], leaves["weight"], leaves.get("bias"), stride)
    return {"y": y} | dict(zip(leaves, torch.autograd.grad(y, list(leaves.values()), upstream), strict=True))


def worst_differences(shape, size, stride, dtype: torch.dtype, device: str, has_bias: bool = True) -> dict[str, float]:
    """Largest difference over largest number, for the output and each gradient; PyTorch computes in float64."""
    from fragrant.kernels import depthwise_triton

    generator = torch.Generator().manual_seed(0)

    def random(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=generator).to(dtype)

    x, weight, bias = random(*shape), random(shape[1], 1, *size), random(shape[1]) if has_bias else None
    upstream = random(*shape[:2], *(-(-length // step) for length, step in zip(shape[2:], stride, strict=True)))
    operands = [x, weight, bias, upstream]
    expected = all_results(depthwise_torch, *as_args(operands, stride, lambda operand: operand.double()))
    x = x.to(memory_format=torch.channels_last_3d)
    found = all_results(
        depthwise_triton, *as_args([x, weight, bias, upstream], stride, lambda operand: operand.to(device))
    )
    worst = {}
    for name, value in expected.items():
        assert found[name].shape == value.shape and found[name].dtype == dtype
        worst[name] = ((found[name].cpu().double() - value).abs().max() / value.abs().max()).item()
    return worst


def as_args(operands, stride, convert):
    x, weight, bias, upstream = (None if operand is None else convert(operand) for operand in operands)
    return x, weight, bias, stride, upstream


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
@pytest.mark.parametrize("shape, size, stride", in_turn([*range(len(SMALL_CASES))]))
def test_in_the_interpreter(shape, size, stride):
    worst = worst_differences(shape, size, stride, torch.float32, "cpu")
    assert max(worst.values()) <= 2e-6, worst


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
@pytest.mark.parametrize("dtype, allowed", [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)], ids=str)
@pytest.mark.parametrize("shape, size, stride", in_turn([9, 3, 5]))
def test_16_bits_in_the_interpreter(shape, size, stride, dtype, allowed):
    worst = worst_differences(shape, size, stride, dtype, "cpu", has_bias=dtype != torch.float16)
    assert max(worst.values()) <= allowed, worst


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
@pytest.mark.parametrize("has_bias, memory_format", [(True, torch.channels_last_3d), (False, torch.contiguous_format)])
def test_operators_in_the_interpreter(has_bias, memory_format):
    """Fake functions, autograd registration and strides of the results, as torch.compile relies on them."""
    from fragrant.kernels import depthwise_triton

    x = torch.randn(1, 2, 1, 2, 3).to(memory_format=memory_format).requires_grad_()
    weight, bias = (
        torch.randn(2, 1, 1, 1, 3, requires_grad=True),
        torch.randn(2, requires_grad=True) if has_bias else None,
    )
    torch.library.opcheck(depthwise_triton.depthwise_conv3d, (x, weight, bias, [1, 2, 2]))
    grad = torch.randn(1, 2, 1, 1, 2)
    torch.library.opcheck(depthwise_triton.input_grad, (grad, weight.detach(), [1, 2, 3], [1, 2, 2]))
    torch.library.opcheck(depthwise_triton.filter_grad, (grad, x.detach(), [1, 1, 3], [1, 2, 2]))


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
def test_layer_in_the_interpreter():
    """Under autocast, from a view that is not contiguous, with parameters in float32, compiled too."""
    torch.manual_seed(0)
    x = torch.randn(1, 2, 4, 3, 5)[:, :, ::2].transpose(1, 2)  # (1, 2, 2, 3, 5)
    conv = DepthwiseConv3d(2, kernel_size=3, impl="triton")
    found, compiled = {}, torch.compile(conv, backend="aot_eager", fullgraph=True)
    for name, impl in (("torch", "torch"), ("triton", "triton"), ("compiled", "triton")):
        conv.impl, leaf = impl, x.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = compiled(leaf) if name == "compiled" else conv(leaf)
        found[name] = [y.float(), *torch.autograd.grad(y.float().square().sum(), [leaf, *conv.parameters()])]
        assert y.dtype == torch.bfloat16 and [grad.dtype for grad in found[name][1:]] == [torch.float32] * 3
    torch.testing.assert_close(found["triton"], found["torch"], rtol=3e-2, atol=3e-2)
    torch.testing.assert_close(found["compiled"], found["triton"], rtol=0, atol=0)


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
def test_frozen_parts_get_no_gradient_in_the_interpreter():
    conv, x = DepthwiseConv3d(2, kernel_size=3, impl="triton"), torch.randn(1, 2, 2, 3, 3)
    conv.weight.requires_grad_(False)
    conv(x).sum().backward()
    assert conv.weight.grad is None
    assert torch.equal(conv.bias.grad, torch.full((2,), 18.0))


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_interpreted():
    assert passed_in_interpreter(__file__) == len(QUICK) + 2 * 2 + 4


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_the_rest_interpreted():
    assert passed_in_interpreter(__file__, slow=True) == len(SMALL_CASES) - len(QUICK) + 2


def test_wrong_numbers_are_refused():
    from fragrant.kernels.depthwise_triton import depthwise_conv3d
    from fragrant.kernels.taps import KernelError

    weight = torch.zeros(1, 1, 3, 3, 3)
    with pytest.raises(
        KernelError, match="compute in float32, bfloat16, float16; got torch.float64; use the implementation 'torch'"
    ):
        depthwise_conv3d(torch.zeros(1, 1, 1, 1, 1).double(), weight.double(), None, (1, 1, 1))
    too_many = torch.zeros(1, 1, 1, 1, 1).expand(2**11, 1, 2**10, 2**10, 1)
    with pytest.raises(KernelError, match=r"take fewer than 2\^31 numbers; got \(2048, 1, 1024, 1024, 1\)"):
        depthwise_conv3d(too_many, weight, None, (1, 1, 1))


@pytest.mark.cuda
@pytest.mark.parametrize(
    "dtype, allowed", [(torch.float32, 1e-5), (torch.bfloat16, 8e-3), (torch.float16, 2e-3)], ids=str
)
@pytest.mark.parametrize("shape, size, stride", LARGE_CASES, ids=str)
def test_on_a_gpu(shape, size, stride, dtype, allowed):
    worst = worst_differences(shape, size, stride, dtype, "cuda")
    assert max(worst.values()) <= allowed, worst


@pytest.mark.cuda
def test_gradients_on_a_gpu_are_the_same_every_time():
    from fragrant.kernels import depthwise_triton

    x = torch.randn(2, 64, 8, 28, 28, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last_3d)
    weight, bias = torch.randn(64, 1, 5, 5, 5, device="cuda").bfloat16(), torch.randn(64, device="cuda").bfloat16()
    first, second = (all_results(depthwise_triton, x, weight, bias, (1, 1, 1), x) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.cuda
def test_layer_on_a_gpu_uses_the_kernel_under_autocast():
    conv = DepthwiseConv3d(64, kernel_size=3).cuda()
    x = torch.randn(1, 64, 4, 14, 14, device="cuda").to(memory_format=torch.channels_last_3d)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16 and "depthwise" in y.grad_fn.name()
    exact = torch.nn.functional.conv3d(x.double(), conv.weight.double(), conv.bias.double(), padding=1, groups=64)
    assert (y.double() - exact).abs().max() <= 2e-2 * exact.abs().max()
