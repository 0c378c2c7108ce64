"""Benchmark of FAM and RAM, forward and backward, next to the published order of operations in the same run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fragrant.benchmarks.beside_published import heading, rows
from fragrant.benchmarks.published.fam import PublishedFAM
from fragrant.benchmarks.published.rsa import PublishedRSA
from fragrant.benchmarks.timing import measure
from fragrant.kernels.taps import triton_is_installed
from fragrant.layers.fam import FAM
from fragrant.layers.ram import RAM


class Case(NamedTuple):
    """A case to measure: a map (N, C, 8, S, S) and the settings of the module that takes it."""

    title: str
    clips: int
    channels: int
    size: int
    settings: dict


def ram_cases(*, clips: int, clips_of_relational_features: int) -> list[Case]:
    """Cases of RAM: the maps after stage 2 and stage 3 of a 16 x 224 x 224 clip, four kinds of relations.

    ``clips_of_relational_features``: number of clips for feature type R; with many value channels the published form
    takes up to 1.4 GB for each."""
    kinds: dict[str, dict[str, Any]] = {
        "V/V, 1 head": dict(key_dim=16),
        "VplusR/V, 1 head": dict(key_dim=16, kernel_type="VplusR"),
        "VplusR/R, 1 head": dict(key_dim=16, kernel_type="VplusR", feature_type="R"),
        "VplusR/VplusR, 8 heads": dict(heads=8, key_dim=0, kernel_type="VplusR", feature_type="VplusR"),
    }
    return [
        Case(title, clips_of_relational_features if title.startswith("VplusR/R,") else clips, channels, size, settings)
        for channels, size in ((128, 28), (320, 14))
        for title, settings in kinds.items()
    ]


def fam_cases(*, clips: int) -> list[Case]:
    return [Case("FAM", clips, channels, size, {}) for channels, size in ((128, 28), (320, 14))]


def benchmark_ram(
    cases: list[Case], *, device: torch.device, rounds: int = 5, autocast: torch.dtype | None = None
) -> str:
    """Table of time and memory with a row for every form of RAM in every case."""

    def forms(case: Case) -> dict[str, nn.Module]:
        torch.manual_seed(0)
        dims = (case.channels, case.channels)
        forms = {
            "published": PublishedRSA(*dims, **case.settings),
            "PyTorch": RAM(*dims, **case.settings, impl="torch"),
        }
        if device.type == "cuda" and triton_is_installed():
            forms["Triton"] = RAM(*dims, **case.settings, impl="triton")
        for form in forms.values():
            form.load_state_dict(forms["published"].state_dict())
        return forms

    return _benchmark(cases, forms, device=device, rounds=rounds, autocast=autocast)


def benchmark_fam(cases: list[Case], *, device: torch.device, rounds: int = 5) -> str:
    """Table of time and memory with a row for every form of FAM in every case, in float32."""
    forms = {"published": PublishedFAM(), "PyTorch": FAM(impl="torch")}
    if device.type == "cuda" and triton_is_installed():
        forms["Triton"] = FAM(impl="triton")
    return _benchmark(cases, lambda case: forms, device=device, rounds=rounds, autocast=None)


def _benchmark(
    cases: list[Case],
    forms_of: Callable[[Case], dict[str, nn.Module]],
    *,
    device: torch.device,
    rounds: int,
    autocast: torch.dtype | None,
) -> str:
    lines = [heading("forward + backward")]
    for case in cases:
        forms = {name: form.to(device) for name, form in forms_of(case).items()}
        x = torch.randn(case.clips, case.channels, 8, case.size, case.size, device=device)
        outputs: dict[str, Tensor] = {}
        variants: dict[str, Callable[[], object]] = {}
        for name, form in forms.items():
            outputs[name] = _output(form, x, autocast)  # also the first run, which sets up what is used ever after
            variants[name] = _forward_backward(
                form, x.clone().requires_grad_(), torch.randn_like(outputs[name]), autocast
            )
        if device.type == "cuda" and isinstance(forms["PyTorch"], RAM):
            variants["floor"] = _memory_floor(forms["PyTorch"], outputs["PyTorch"])
        title = f"{case.title}, {case.clips} x {case.channels} x 8 x {case.size} x {case.size}"
        lines += rows(title, measure(variants, device=device, rounds=rounds), outputs)
    return "\n".join(lines)


@torch.no_grad()
def _output(form: nn.Module, x: Tensor, autocast: torch.dtype | None) -> Tensor:
    with torch.autocast(x.device.type, dtype=autocast, enabled=autocast is not None):
        return form(x)


def _forward_backward(form: nn.Module, x: Tensor, grad: Tensor, autocast: torch.dtype | None) -> Callable[[], None]:
    def run() -> None:
        with torch.autocast(x.device.type, dtype=autocast, enabled=autocast is not None):
            y = form(x)
        y.backward(grad)
        x.grad = None
        form.zero_grad(set_to_none=True)

    return run


def _memory_floor(ram: RAM, y: Tensor) -> Callable[[], Tensor]:
    """Builds a function that copies as many bytes as any form must read and write: q, v, y forward; q, v and the
    gradients of y, q, v backward."""
    h, dk, dv, _ = ram.dims
    numbers = y[:, 0].numel() * (3 * (h * dk + dv) + 2 * h * dv)
    source, target = y.new_empty(2, numbers // 2)
    return lambda: target.copy_(source)
