"""FAM computes what the published code computes, outputs and gradients, and keeps nothing but its input."""

import pytest
import torch
from conftest import golden
from golden_cases import check_golden_case

from fragrant.benchmarks.published.fam import published_fam
from fragrant.errors import UserError
from fragrant.layers import fam
from fragrant.layers.fam import FAM

FORMATS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
CASES = golden("uniformer/fam")["cases"]


def with_gradient(function, x, grad):
    x = x.detach().requires_grad_()
    y = function(x)
    return y, torch.autograd.grad(y, x, grad)[0]


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("case", CASES, ids=[f"T{case['input']['shape'][2]}" for case in CASES])
def test_golden(case, memory_format):
    check_golden_case(case, FAM(), {}, memory_format=memory_format)


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 7, 8, 12, 16, 32, 64])
def test_equals_the_published_order_in_float64(num_frames, exponent):
    generator = torch.Generator().manual_seed(num_frames)
    x, grad = torch.randn(2, 2, 3, num_frames, 4, 2, generator=generator, dtype=torch.double)
    expected = with_gradient(lambda x: published_fam(x, exponent), x, grad)
    for memory_format in FORMATS.values():
        found = with_gradient(FAM(amplitude_exponent=exponent), x.contiguous(memory_format=memory_format), grad)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
            assert a.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("num_frames", [1, 2, 5, 8])
def test_gradcheck(num_frames, exponent):
    x = torch.randn(
        1, 2, num_frames, 2, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    assert torch.autograd.gradcheck(FAM(amplitude_exponent=exponent), (x,))


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize(
    "pattern", [[0.0], [0.3], [1e4 / 3], [0.1, 0.7], [1 / 3, 1e3, 1 / 7, 5.0]], ids=["0", "const", "large", "2", "4"]
)
@pytest.mark.parametrize("num_frames", [8, 12, 16])
def test_what_the_fft_finds_to_be_zero_is_zero_with_its_gradient(num_frames, pattern, exponent):
    """Columns of period p have T / p frequencies; the others cancel exactly, and their amplitude has no direction."""
    x = torch.tensor(pattern).repeat(num_frames // len(pattern)).view(1, 1, -1, 1, 1).expand(2, 3, -1, 2, 2)
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    y, grad_x = with_gradient(FAM(amplitude_exponent=exponent), x, grad)
    exact, exact_grad = with_gradient(lambda x: published_fam(x, exponent), x.double(), grad.double())
    silent = torch.tensor([bin % (num_frames // len(pattern)) != 0 or bin == 0 for bin in range(num_frames)])
    assert (y[:, :, silent] == 0).all()
    assert grad_x.isfinite().all()
    assert (y - exact).abs().max() <= 1e-5 * max(pattern) ** (1 + exponent)
    if len(pattern) == 1:
        assert (grad_x == 0).all()
    elif num_frames != 12:  # the reference's own FFT is exact for powers of two only
        scale = exact_grad.abs().max()
        assert (grad_x - exact_grad).abs().max() <= 1e-5 * scale


def test_zeros_beside_numbers_have_finite_gradients():
    x = torch.randn(1, 4, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 0
    x[:, 2] = 2.5
    y, grad_x = with_gradient(FAM(), x, torch.ones_like(x))
    assert (y[:, 1:3] == 0).all() and (grad_x[:, 1:3] == 0).all()
    assert grad_x.isfinite().all() and (grad_x[:, 0] != 0).all()


def test_small_parts_give_the_same(monkeypatch):
    x = torch.randn(2, 3, 8, 5, 7, generator=torch.Generator().manual_seed(0))
    for memory_format in FORMATS.values():
        x = x.contiguous(memory_format=memory_format)
        monkeypatch.setattr(fam, "CPU_WORK_NUMBERS", 1 << 30)
        whole = with_gradient(FAM(), x, x)
        for numbers in (1, 8 * 13, 8 * 80):
            monkeypatch.setattr(fam, "CPU_WORK_NUMBERS", numbers)
            torch.testing.assert_close(with_gradient(FAM(), x, x), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    x = torch.randn(2, 3, 8, 4, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, grad_x = with_gradient(FAM(), x, x)
    wide, grad_wide = with_gradient(FAM(), x.float(), x.float())
    assert y.dtype == grad_x.dtype == dtype
    torch.testing.assert_close(y, wide.to(dtype))
    torch.testing.assert_close(grad_x, grad_wide.to(dtype))


def test_float32_stays_float32_inside_autocast():
    x = torch.randn(1, 2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = with_gradient(FAM(), x, x)
    assert all(torch.equal(a, b) for a, b in zip(inside, with_gradient(FAM(), x, x), strict=True))


def test_keeps_its_input_alone():
    x = torch.randn(2, 3, 8, 4, 4, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.data_ptr()) or tensor, lambda tensor: tensor
    ):
        FAM()(x)
    assert kept == [x.data_ptr()]


def test_takes_maps_that_lie_anywhere_in_memory():
    x = torch.randn(2, 8, 6, 7, 5, generator=torch.Generator().manual_seed(0))
    for view in (x[:, ::2, :, 1:, :-1], x.transpose(1, 2), x[:, :, :1].expand(-1, -1, 4, -1, -1)):
        torch.testing.assert_close(
            with_gradient(FAM(), view, view), with_gradient(published_fam, view.contiguous(), view)
        )


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("num_frames", [1, 4, 7])
def test_gain_is_the_factor(num_frames, exponent):
    x = torch.randn(2, 3, num_frames, 4, 2, generator=torch.Generator().manual_seed(0))
    module = FAM(amplitude_exponent=exponent)
    torch.testing.assert_close(x * module.gain(x), module(x))


def test_unknown_exponent():
    with pytest.raises(
        UserError, match=r"FAM amplitude_exponent must be 1 \(published code\) or 2 \(published figure\); got 3"
    ):
        FAM(amplitude_exponent=3)


@pytest.mark.cuda
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_cuda_equals_the_cpu(memory_format):
    x = torch.randn(2, 8, 16, 14, 14, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=memory_format
    )
    found = with_gradient(FAM(), x.cuda(), x.cuda())
    torch.testing.assert_close([y.cpu() for y in found], list(with_gradient(FAM(), x, x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 5, 5), (2, 1, 3, 4, 5, 5), (8,), ()])
def test_what_is_no_volume(shape):
    for call in (FAM(), FAM().gain):
        with pytest.raises(UserError) as caught:
            call(torch.zeros(shape))
        assert str(caught.value) == f"FAM needs a volume (N, C, T, H, W), a batch of clips; got the shape {shape}"
