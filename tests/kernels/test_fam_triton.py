"""FAM's Triton kernels equal their PyTorch twin: in Triton's interpreter on the CPU, and on a GPU.

The interpreter is switched on before Triton is first imported, so these cases run in a process of their own, which a
test below starts.
"""

import importlib.util
import os

import pytest
import torch
from interpreter import passed_in_interpreter

from fragrant.kernels.taps import KernelError
from fragrant.layers.fam import FAM

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")

FORMATS = [torch.contiguous_format, torch.channels_last_3d]
LENGTHS = [1, 2, 3, 4, 5, 8, 12, 16, 32]
ALLOWED = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 6e-3}  # of the largest number


def clips(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def with_gradient(function, x: torch.Tensor, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.detach().requires_grad_()
    y = function(x)
    return y.detach(), torch.autograd.grad(y, x, grad)[0]


def worst_difference(x: torch.Tensor, exponent: int = 1) -> float:
    """Of output and gradient from those of the twin in float64, as a share of the largest number."""
    grad = clips(*x.shape, dtype=x.dtype).roll(1, 0).to(x.device)
    found = with_gradient(FAM(amplitude_exponent=exponent, impl="triton"), x, grad)
    expected = with_gradient(FAM(amplitude_exponent=exponent, impl="torch"), x.double(), grad.double())
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == x.dtype and a.isfinite().all()
        assert a.is_contiguous(memory_format=torch.channels_last_3d) == b.is_contiguous(
            memory_format=torch.channels_last_3d
        )
    return max(
        ((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-30)).item()
        for a, b in zip(found, expected, strict=True)
    )


@interpreted
@pytest.mark.parametrize("num_frames", LENGTHS)
def test_lengths_in_the_interpreter(num_frames):
    for exponent in (1, 2):
        for memory_format in FORMATS:
            assert (
                worst_difference(clips(2, 4, num_frames, 3, 5).contiguous(memory_format=memory_format), exponent)
                <= 2e-6
            )


@interpreted
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_the_interpreter(dtype):
    for memory_format in FORMATS:
        assert (
            worst_difference(clips(1, 8, 8, 4, 2, dtype=dtype).contiguous(memory_format=memory_format))
            <= ALLOWED[dtype]
        )


@interpreted
@pytest.mark.parametrize(
    "shape", [(1, 1, 4, 1, 1), (1, 3, 4, 7, 50), (3, 1, 4, 33, 33), (2, 160, 4, 3, 3), (0, 3, 4, 2, 2)], ids=str
)
def test_sizes_in_the_interpreter(shape):
    """Columns that fill a block in part, and vectors of 1, 2 and 4 columns."""
    for memory_format in FORMATS:
        x = clips(*shape).contiguous(memory_format=memory_format)
        assert not len(x) or worst_difference(x) <= 2e-6
        assert FAM(impl="triton")(x).shape == shape


@interpreted
def test_maps_anywhere_in_memory_in_the_interpreter():
    x = clips(2, 8, 6, 7, 5)
    for view in (x[:, ::2, :, 1:, :-1], x.transpose(1, 2), x[:, :, :1].expand(-1, -1, 4, -1, -1)):
        grad = clips(*view.shape)
        found, expected = with_gradient(FAM(impl="triton"), view, grad), with_gradient(FAM(impl="torch"), view, grad)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    strided = clips(2, 7, 6, 5, 8).permute(0, 4, 2, 1, 3)  # a gradient in a format of its own
    torch.testing.assert_close(
        with_gradient(FAM(impl="triton"), x, strided),
        with_gradient(FAM(impl="torch"), x, strided),
        rtol=1e-5,
        atol=1e-6,
    )


@interpreted
@pytest.mark.parametrize(
    "pattern", [[0.0], [1e4 / 3], [0.1, 0.7], [1 / 3, 1e3, 1 / 7, 5.0]], ids=["0", "const", "2", "4"]
)
def test_silent_frequencies_are_zero_with_their_gradient_in_the_interpreter(pattern):
    """Columns of period p have T / p frequencies; the others cancel up to rounding."""
    for num_frames in (8, 12, 16):
        x = torch.tensor(pattern).repeat(num_frames // len(pattern)).view(1, 1, -1, 1, 1).expand(2, 3, -1, 2, 2)
        for exponent in (1, 2):
            found = with_gradient(FAM(amplitude_exponent=exponent, impl="triton"), x, clips(*x.shape))
            expected = with_gradient(FAM(amplitude_exponent=exponent, impl="torch"), x, clips(*x.shape))
            for a, b in zip(found, expected, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())
            silent = torch.tensor([bin % (num_frames // len(pattern)) != 0 or bin == 0 for bin in range(num_frames)])
            assert (found[0][:, :, silent] == 0).all() and (len(pattern) > 1 or (found[1] == 0).all())


@interpreted
def test_compiled_in_the_interpreter():
    """One graph, with operators that stay as they are; forward and backward."""
    x = clips(2, 4, 8, 3, 4).contiguous(memory_format=torch.channels_last_3d)
    module = FAM(impl="triton")
    compiled = torch.compile(lambda x: module(x * 2) + 1, backend="aot_eager", fullgraph=True)
    found = with_gradient(compiled, x, x)
    torch.testing.assert_close(found, with_gradient(lambda x: module(x * 2) + 1, x, x), rtol=0, atol=0)


@interpreted
def test_operators_in_the_interpreter():
    """Fake functions, aliasing, autograd, as PyTorch checks them."""
    from fragrant.kernels import fam_triton

    for memory_format in FORMATS:
        x = clips(2, 4, 5, 3, 2).contiguous(memory_format=memory_format)
        torch.library.opcheck(fam_triton.frequency_gain, (x.requires_grad_(), 1))
        torch.library.opcheck(fam_triton.frequency_gain_backward, (x.detach(), x.detach(), 2))


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_interpreted():
    assert passed_in_interpreter(__file__) == len(LENGTHS) + 14


def test_what_the_kernels_lack():
    from fragrant.kernels.fam_triton import frequency_gain

    message = r"take 1 to 32 frames of float32, bfloat16 or float16, .*; got \(1, 1, 33, 1, 1\) in float32; use the implementation 'torch'"
    with pytest.raises(KernelError, match=message):
        frequency_gain(torch.zeros(1, 1, 33, 1, 1), 1)
    with pytest.raises(KernelError, match=r"got \(1, 1, 3, 1, 1\) in float64"):
        frequency_gain(torch.zeros(1, 1, 3, 1, 1, dtype=torch.double), 1)


@pytest.mark.skipif(INTERPRETED, reason="there it runs")
def test_triton_asked_for_on_the_cpu():
    with pytest.raises(KernelError, match="'triton' needs tensors on a CUDA GPU, got cpu; use 'auto' or 'torch'"):
        FAM(impl="triton")(torch.zeros(1, 1, 2, 1, 1))


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ALLOWED, ids=str)
@pytest.mark.parametrize(
    "shape", [(2, 64, 8, 28, 28), (2, 320, 16, 14, 14), (1, 33, 32, 7, 7), (1, 5, 1, 9, 9), (3, 7, 5, 3, 5)], ids=str
)
def test_on_a_gpu(shape, dtype):
    for memory_format in FORMATS:
        for exponent in (1, 2):
            assert (
                worst_difference(clips(*shape, dtype=dtype).cuda().contiguous(memory_format=memory_format), exponent)
                <= 4 * ALLOWED[dtype]
            )


@pytest.mark.cuda
def test_long_clips_on_a_gpu():
    """``auto`` is PyTorch where the kernels have too few registers."""
    x = clips(1, 4, 40, 6, 6).cuda()
    torch.testing.assert_close(FAM()(x).cpu(), FAM()(x.cpu()), rtol=1e-4, atol=1e-5)


@pytest.mark.cuda
def test_compiled_on_a_gpu():
    module, x = (
        FAM(),
        clips(2, 64, 8, 14, 14, dtype=torch.bfloat16).cuda().contiguous(memory_format=torch.channels_last_3d),
    )
    compiled = torch.compile(lambda x: module(x * 2) + 1, fullgraph=True)
    torch.testing.assert_close(with_gradient(compiled, x, x), with_gradient(lambda x: module(x * 2) + 1, x, x))
