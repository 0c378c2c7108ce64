"""Benchmark of UniFormerV2's one-query attention, forward and backward, next to the published order of operations."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.benchmarks.beside_published import heading, rows
from fragrant.benchmarks.published.one_query import PublishedOneQuery
from fragrant.benchmarks.timing import measure
from fragrant.layers.global_uniblock import OneQueryAttention


class Case(NamedTuple):
    """A case to measure: a video's token and the tokens of its frames."""

    title: str
    clips: int
    tokens: int
    width: int
    heads: int


def global_cases(*, clips: int) -> list[Case]:
    """The global blocks of B/16 and L/14 with the frames of their recipes: T' x (1 + 14 x 14 or 16 x 16) tokens."""
    return [
        Case("B/16, 8 frames", clips, 8 * 197, 768, 12),
        Case("B/16, 16 of 32 frames", clips, 16 * 197, 768, 12),
        Case("L/14, 16 frames", clips, 16 * 257, 1024, 16),
    ]


def benchmark_global(
    cases: list[Case], *, device: torch.device, rounds: int = 5, autocast: torch.dtype | None = None
) -> str:
    """Table of time and memory with a row for both forms in every case."""
    lines = [heading("forward + backward")]
    for case in cases:
        torch.manual_seed(0)
        forms: dict[str, nn.Module] = {
            "published": PublishedOneQuery(case.width, num_heads=case.heads).to(device),
            "folded": OneQueryAttention(case.width, num_heads=case.heads).to(device),
        }
        forms["folded"].load_state_dict(forms["published"].state_dict())
        video = torch.randn(case.clips, case.width, device=device)
        tokens = torch.randn(case.clips, case.tokens, case.width, device=device)
        outputs: dict[str, Tensor] = {}
        runs: dict[str, Callable[[], object]] = {}
        for name, form in forms.items():
            outputs[name] = _pass(form, video, tokens, autocast)()
            runs[name] = _pass(form, video.clone().requires_grad_(), tokens.clone().requires_grad_(), autocast)
        title = f"{case.title}, {case.clips} x {case.tokens} x {case.width}"
        lines += rows(title, measure(runs, device=device, rounds=rounds), outputs)
    return "\n".join(lines)


def _pass(form: nn.Module, video: Tensor, tokens: Tensor, autocast: torch.dtype | None) -> Callable[[], Tensor]:
    """A forward pass, and a backward pass where the tokens want a gradient."""

    def run() -> Tensor:
        with torch.autocast(video.device.type, dtype=autocast, enabled=autocast is not None):
            y = form(video, tokens)
        if tokens.requires_grad:
            y.backward(torch.ones_like(y))
            video.grad = tokens.grad = None
            form.zero_grad(set_to_none=True)
        return y.detach()

    return run
