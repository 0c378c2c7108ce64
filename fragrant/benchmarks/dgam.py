"""Benchmark of DGAM's frame statistics and gamma experts, next to their published form in the same run."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from fragrant.benchmarks.beside_published import heading, rows
from fragrant.benchmarks.published.dgam import PublishedGammaExperts, published_statistics
from fragrant.benchmarks.timing import measure
from fragrant.kernels.taps import triton_is_installed
from fragrant.layers.frame_statistics import frame_statistics
from fragrant.layers.gamma_experts import GAMMAS, PUBLISHED_TAU, GammaExperts
from fragrant.layers.normalize import ClipNormalize


def dark_clips(n: int, *, num_frames: int = 32, size: int = 224, device: torch.device) -> Tensor:
    """Random normalised clips (N, 3, T, S, S) of whole pixel values, each with an exposure of its own, most of their
    pixels dark."""
    exposures = torch.linspace(0.05, 1, n, device=device).view(-1, 1, 1, 1, 1)
    generator = torch.Generator(device).manual_seed(0)
    pixels = (
        256 * exposures * torch.rand(n, 3, num_frames, size, size, device=device, generator=generator) ** 3
    ).floor()
    return ClipNormalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).to(device)(pixels)


def benchmark_dgam(clips: Tensor, *, rounds: int = 5) -> str:
    """Table of time and memory of the statistics alone, and of statistics, gate and experts together, under the
    published rule of choice."""
    num_frames = clips.shape[2]
    torch.manual_seed(0)
    published = PublishedGammaExperts(num_frames, tau=PUBLISHED_TAU).to(clips.device)
    statistics: dict[str, Callable] = {"published": published_statistics}
    experts: dict[str, Callable] = {"published": published}
    implementations = {"PyTorch": "torch"} | (
        {"Triton": "triton"} if clips.device.type == "cuda" and triton_is_installed() else {}
    )
    for name, impl in implementations.items():
        ours = GammaExperts(num_frames, select="hard", tau=PUBLISHED_TAU, dropout=0.0, impl=impl).to(clips.device)
        ours.load_state_dict(published.state_dict())
        statistics[name], experts[name] = partial(frame_statistics, impl=impl), partial(brightened, ours)
    grad = torch.randn_like(clips)
    cases: tuple[tuple[str, dict[str, Callable], Callable], ...] = (
        ("statistics, forward", statistics, lambda form: _forward(form, clips)),
        ("statistics + experts, forward", experts, lambda form: _forward(form, clips)),
        ("statistics + experts, forward + backward", experts, lambda form: form(clips).backward(grad)),
    )
    lines = [heading(" x ".join(map(str, clips.shape)))]
    for title, forms, run in cases:
        outputs = {name: _forward(form, clips) for name, form in forms.items()}
        variants = {name: partial(run, form) for name, form in forms.items()}
        lines += rows(title, measure(variants, device=clips.device, rounds=rounds), outputs)
    taken = sorted(GAMMAS[k] for k in ours.choose(clips).expert.tolist())
    return "\n".join([*lines, f"gammas taken: {', '.join(map(str, taken))}"])


def brightened(experts: GammaExperts, clips: Tensor) -> Tensor:
    return experts(clips)[0]


@torch.no_grad()
def _forward(form: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
    return form(clips)
