"""Preparation in one Triton kernel equals its PyTorch steps: in Triton's interpreter on the CPU, and on a GPU.

The interpreter is switched on before Triton is first imported, so these cases run in a process of their own, which a
test below starts.
"""

import importlib.util
import os

import pytest
import torch
from interpreter import passed_in_interpreter

from fragrant.kernels.taps import KernelError
from fragrant.layers.normalize import ClipNormalize
from fragrant.layers.preparation import ClipPreparation
from fragrant.layers.random_erasing import RandomErasing

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")

FORMATS = [torch.contiguous_format, torch.channels_last_3d]
SHAPES = [(1, 1, 1, 1, 1), (1, 3, 1, 2, 3), (2, 3, 3, 16, 24), (3, 2, 2, 7, 9), (0, 3, 2, 4, 4)]
DTYPES = [torch.uint8, torch.float32]
MEAN, STD = (0.45, 0.3, 0.6), (0.225, 0.2, 0.3)


def pixels_of(shape, dtype: torch.dtype, device: str = "cpu") -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(dtype).to(device)


def prepared(pixels: torch.Tensor, impl: str, keys=None, *, reverse: bool = False, **options) -> torch.Tensor:
    channels = pixels.shape[1]
    normalize = ClipNormalize(MEAN[:channels], STD[:channels], reverse_channels=reverse).to(pixels.device)
    return ClipPreparation(normalize, impl=impl, **options)(pixels, keys)


def check_formats(shape, dtype: torch.dtype, device: str = "cpu") -> None:
    """Every memory format to every other, both orders of the channels: equal to the last bit; PyTorch on the CPU."""
    # The interpreter cuts numbers off where bfloat16 is rounded.
    outs = (torch.float32, torch.float16) if device == "cpu" else (torch.float32, torch.float16, torch.bfloat16)
    for source in FORMATS:
        pixels = pixels_of(shape, dtype).contiguous(memory_format=source)
        for channels_last in (False, True):
            for reverse in (False, True):
                for out in outs:
                    options = dict(reverse=reverse, channels_last=channels_last, dtype=out)
                    expected, found = (
                        prepared(pixels, "torch", **options),
                        prepared(pixels.to(device), "triton", **options),
                    )
                    assert found.dtype == out and torch.equal(found.cpu(), expected)
                    assert found.is_contiguous(memory_format=FORMATS[channels_last])


def check_erasing(mode: str, device: str = "cpu") -> None:
    """The same boxes as PyTorch's, everything around them equal; noise that is normal and follows from the key."""
    pixels, keys = pixels_of((4, 3, 5, 24, 30), torch.uint8), ["a", "b", "c", "d"]
    erasing = RandomErasing(0.7, mode=mode, max_count=3)
    options = dict(erasing=erasing, channels_last=True)
    plain, expected = prepared(pixels, "torch"), prepared(pixels, "torch", keys, **options)
    found = prepared(pixels.to(device), "triton", keys, **options).cpu()
    changed = (expected != plain).any(2, keepdim=True).any(1, keepdim=True)  # (4, 1, 1, 24, 30)
    assert 0 < changed.sum() < changed.numel() / 2 and not all(changed.flatten(1).any(1))
    assert torch.equal((found != plain).any(2, keepdim=True).any(1, keepdim=True), changed)
    assert torch.equal(found.where(~changed, 0), expected.where(~changed, 0))
    noise = found.masked_select(changed)
    if mode == "const":
        return
    assert abs(noise.mean()) < 0.4 and 0.7 < noise.std() < 1.3 and noise.isfinite().all()
    assert mode == "rand" or noise.unique().numel() > 0.99 * noise.numel()
    if mode == "rand":  # one colour per frame of a box
        box = erasing.table(24, 30, keys)[changed.flatten(1).any(1).nonzero()[0, 0], 0]
        assert noise.unique().numel() <= 3 * 5 * 3 * 4 and box[2] > 0
    assert torch.equal(prepared(pixels.to(device), "triton", keys, **options).cpu(), found)
    contiguous = prepared(pixels.to(device), "triton", keys, erasing=erasing).cpu()
    assert torch.equal((contiguous != plain).any(2, keepdim=True).any(1, keepdim=True), changed)
    other = prepared(pixels.to(device), "triton", ["a", "b", "c", "e"], **options).cpu()
    assert torch.equal(other[:3], found[:3]) and not torch.equal(other[3], found[3])


@interpreted
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_formats_in_the_interpreter(shape, dtype):
    check_formats(shape, dtype)


@interpreted
@pytest.mark.parametrize("mode", ["pixel", "rand", "const"])
def test_erasing_in_the_interpreter(mode):
    check_erasing(mode)


@interpreted
def test_views_in_the_interpreter():
    pixels = pixels_of((2, 3, 4, 9, 8), torch.uint8)[:, :, ::2, 1:, :-1]
    assert torch.equal(prepared(pixels, "triton"), prepared(pixels, "torch"))


@interpreted
def test_operator_in_the_interpreter():
    """Its fake function, as PyTorch checks it; torch.compile keeps it in one graph."""
    from fragrant.kernels.preparation_triton import prepare_clips

    pixels, boxes = pixels_of((2, 3, 2, 5, 4), torch.uint8), torch.tensor([[[1, 1, 2, 2, 7]], [[0, 0, 0, 0, 0]]])
    for channels_last in (False, True):
        arguments = (pixels, torch.tensor(MEAN), torch.tensor(STD), boxes, "pixel", True, channels_last, torch.bfloat16)
        torch.library.opcheck(prepare_clips, arguments)
    prepare = ClipPreparation(ClipNormalize(MEAN, STD), impl="triton", channels_last=True)
    assert torch.equal(torch.compile(prepare.__call__, backend="aot_eager", fullgraph=True)(pixels), prepare(pixels))


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_interpreted():
    assert passed_in_interpreter(__file__) == len(SHAPES) * len(DTYPES) + 5


def test_what_the_kernel_lacks():
    from fragrant.kernels.preparation_triton import prepare_clips

    arguments = (
        torch.zeros(1),
        torch.zeros(1),
        torch.zeros(1, 0, 5, dtype=torch.int64),
        "const",
        False,
        False,
        torch.float32,
    )
    with pytest.raises(
        KernelError,
        match=r"clips of \(1, 1, 1, 1, 1\) from float64 to float32 cannot be prepared by Triton; use .* 'torch'",
    ):
        prepare_clips(torch.zeros(1, 1, 1, 1, 1, dtype=torch.double), *arguments)


@pytest.mark.skipif(INTERPRETED, reason="there it runs")
def test_triton_asked_for_on_the_cpu():
    with pytest.raises(KernelError, match="'triton' needs tensors on a CUDA GPU, got cpu; use 'auto' or 'torch'"):
        prepared(pixels_of((1, 3, 1, 2, 2), torch.uint8), "triton")


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 8, 112, 112)], ids=str)
def test_formats_on_a_gpu(shape, dtype):
    check_formats(shape, dtype, "cuda")


@pytest.mark.cuda
@pytest.mark.parametrize("mode", ["pixel", "rand", "const"])
def test_erasing_on_a_gpu(mode):
    check_erasing(mode, "cuda")
