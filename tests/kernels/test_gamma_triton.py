"""DGAM's Triton kernels equal their PyTorch twins: in Triton's interpreter on the CPU, and on a GPU.

The interpreter is switched on before Triton is first imported, so these cases run in a process of their own, which a
test below starts.
"""

import importlib.util
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from dgam_inputs import dgam_input
from interpreter import passed_in_interpreter

from fragrant.kernels.taps import KernelError
from fragrant.layers.frame_statistics import frame_statistics, histogram_counts
from fragrant.layers.gamma_experts import GAMMAS, Brighten, GammaExperts

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_interpreted starts")
# log of 0, and of no value
quiet = pytest.mark.filterwarnings("ignore:(divide by zero|invalid value|overflow) encountered:RuntimeWarning")

FORMATS = [torch.contiguous_format, torch.channels_last_3d]
# the last: several blocks
SHAPES = [
    (1, 1, 1, 1, 2),
    (1, 3, 2, 7, 9),
    (2, 2, 1, 33, 5),
    pytest.param((2, 3, 3, 64, 70), marks=pytest.mark.slow),
    (1, 3, 1, 150, 120),
]
DISTRIBUTIONS = ["normal", "frames", "dark_u8", "edge_bins", "constant", "two_values"]
EXPONENTS = 1 / torch.tensor(GAMMAS)


def clips(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def frames_at_the_edges() -> torch.Tensor:
    """(F, 1, 1, 1, P): values whose stretched ones are the edges of the bins and the numbers next to them, in other
    ranges."""
    edges = (np.arange(257) * 255 / 256).astype(np.float32)
    values = np.concatenate([edges, np.nextafter(edges, np.float32(-1)), np.nextafter(edges, np.float32(999))]).clip(
        0, 255
    )
    scales = np.concatenate([[1, 0.5, 1 / 255, 1 / 3], np.random.RandomState(0).random_sample(28)]).astype(np.float32)
    return torch.from_numpy((values * scales[:, None]).astype(np.float32)).view(32, 1, 1, 1, -1)


def check_counts(clips: torch.Tensor) -> None:
    """Equal to the twin's, which are numpy's, to the last count."""
    from fragrant.kernels import gamma_triton

    found = gamma_triton.histogram_counts(clips, gamma_triton.block_moments(clips))
    expected = histogram_counts(clips.cpu().transpose(1, 2).flatten(2).flatten(0, 1))
    assert torch.equal(found.cpu().double(), expected)


def check_statistics(clips: torch.Tensor, names=("mean", "std", "entropy")) -> None:
    wanted = frame_statistics(clips.cpu(), names)
    torch.testing.assert_close(
        frame_statistics(clips, names, impl="triton").cpu(), wanted, rtol=2e-6, atol=1e-6, equal_nan=True
    )


def check_experts(clips: torch.Tensor, *, one_each: bool) -> None:
    """Brightened clips and the gradient of the weights."""
    from fragrant.kernels.gamma_triton import brighten_clips, measure_frames

    weights = torch.rand(len(clips), len(GAMMAS), generator=torch.Generator().manual_seed(0))
    weights = F.one_hot(weights.argmax(1), len(GAMMAS)).float() if one_each else weights
    weights, exponents = weights.to(clips.device).requires_grad_(), EXPONENTS.to(clips.device)
    grad = clips.roll(1, -1) + 0.1
    wide = Brighten.apply(clips.double(), weights.double(), exponents.double(), one_each)
    found = brighten_clips(clips, measure_frames(clips, "")[1], weights, exponents, one_each)
    assert found.stride() == wide.stride() and found.dtype == clips.dtype
    torch.testing.assert_close(found.double(), wide, rtol=1e-5, atol=1e-5)
    wide_gradient, gradient = (torch.autograd.grad(y, weights, grad.to(y.dtype))[0] for y in (wide, found))
    torch.testing.assert_close(gradient, wide_gradient, rtol=1e-4, atol=1e-5 * wide_gradient.abs().max().item())


@interpreted
@pytest.mark.parametrize("dist", DISTRIBUTIONS)
def test_counts_in_the_interpreter(dist):
    for memory_format in FORMATS:
        check_counts(dgam_input(1, [1, 3, 2, 24, 20], dist).contiguous(memory_format=memory_format))


@interpreted
def test_counts_next_to_the_edges_in_the_interpreter():
    frames = frames_at_the_edges()
    # some maximum rounds to more than 255
    assert (histogram_counts(frames.flatten(1)).sum(1) < frames[0].numel()).any()
    check_counts(frames)


@interpreted
@quiet
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_statistics_in_the_interpreter(shape):
    for memory_format in FORMATS:
        check_counts(clips(*shape).contiguous(memory_format=memory_format))
        check_statistics(clips(*shape).contiguous(memory_format=memory_format) * 3 + 40)
    check_statistics(clips(*shape), ["entropy", "mean"])
    check_statistics(clips(*shape), ["std"])


@interpreted
def test_clips_anywhere_in_memory_in_the_interpreter():
    for view in (clips(2, 6, 3, 8, 9)[:, ::2, :, 1:, :-1], clips(2, 3, 4, 8, 9).transpose(1, 2)):
        check_statistics(view)
        torch.testing.assert_close(
            frame_statistics(view.half(), impl="triton"), frame_statistics(view.half()), rtol=2e-6, atol=1e-6
        )


@interpreted
@quiet
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_experts_in_the_interpreter(shape):
    for memory_format in FORMATS:
        for one_each in (True, False):
            check_experts(clips(*shape).contiguous(memory_format=memory_format), one_each=one_each)


@interpreted
@quiet
@pytest.mark.parametrize("select", ["hard", "st_gumbel", "expected", "soft"])
def test_module_in_the_interpreter(select):
    """Gate and experts: forward, the choice, and the gradients of all parameters; told an expert; in evaluation."""
    torch.manual_seed(0)
    module, x = GammaExperts(2, select=select, dropout=0.0), clips(3, 3, 2, 6, 5)
    for training, expert in ((True, None), (False, None), (True, torch.tensor([4, 0, 2]))):
        module.train(training).gating.eval()  # statistics of three clips would enlarge the differences
        found = []
        for module.impl in ("triton", "torch"):
            torch.manual_seed(1)
            brightened, choice = module(x, expert)
            loss = brightened.square().mean() + (choice.probs * choice.probs).sum()
            gradients = torch.autograd.grad(loss, list(module.parameters())) if expert is None else []
            found.append([brightened, *choice, *gradients])
        torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-5)


@interpreted
@quiet
def test_operators_in_the_interpreter():
    """Fake functions, aliasing, autograd, as PyTorch checks them."""
    from fragrant.kernels import gamma_triton

    for memory_format in FORMATS:
        x = clips(2, 3, 2, 5, 4).contiguous(memory_format=memory_format)
        ranges, weights = gamma_triton.measure_frames(x, "")[1], torch.rand(2, 5, requires_grad=True)
        torch.library.opcheck(gamma_triton.measure_frames, (x, "mean entropy"))
        torch.library.opcheck(gamma_triton.brighten_clips, (x, ranges, weights, EXPONENTS, False))
        torch.library.opcheck(gamma_triton.expert_products, (x, x, ranges, EXPONENTS))


@interpreted
@quiet
def test_compiled_in_the_interpreter():
    """One graph, with operators that stay as they are."""
    module, x = GammaExperts(2, impl="triton", dropout=0.0).eval(), clips(2, 3, 2, 6, 5)
    found = torch.compile(lambda x: module(x)[0] + 1, backend="aot_eager", fullgraph=True)(x)
    torch.testing.assert_close(found, module(x)[0] + 1, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_interpreted():
    assert passed_in_interpreter(__file__) == len(DISTRIBUTIONS) + 2 * (len(SHAPES) - 1) + 8


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_the_rest_interpreted():
    assert passed_in_interpreter(__file__, slow=True) == 2


def test_what_the_kernels_lack():
    from fragrant.kernels.gamma_triton import measure_frames

    with pytest.raises(
        KernelError, match=r"DGAM's Triton kernels take float32, bfloat16 or float16; got \(1, 1, 1, 1, 1\) in float64"
    ):
        measure_frames(torch.zeros(1, 1, 1, 1, 1, dtype=torch.double), "mean")


@pytest.mark.cuda
@pytest.mark.parametrize("dist", DISTRIBUTIONS)
def test_counts_on_a_gpu(dist):
    for memory_format in FORMATS:
        check_counts(dgam_input(1, [2, 3, 8, 112, 100], dist).cuda().contiguous(memory_format=memory_format))
    check_counts(frames_at_the_edges().cuda())


@pytest.mark.cuda
@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 32, 224, 224)], ids=str)
def test_clips_on_a_gpu(shape):
    for memory_format in FORMATS:
        x = clips(*shape).cuda().contiguous(memory_format=memory_format)
        check_statistics(x * 3 + 40)
        for one_each in (True, False):
            check_experts(x, one_each=one_each)


@pytest.mark.cuda
def test_compiled_on_a_gpu():
    module, x = GammaExperts(4, select="soft", dropout=0.0).cuda(), clips(2, 3, 4, 32, 32).cuda()
    expected = torch.autograd.grad(module(x)[0].square().mean(), list(module.gating.parameters()))
    found = torch.autograd.grad(
        torch.compile(lambda x: module(x)[0], fullgraph=True)(x).square().mean(), list(module.gating.parameters())
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
