"""The table of Triton kernels, and what it refuses."""

import importlib.util

import pytest
import torch

from fragrant.benchmarks import kernels
from fragrant.benchmarks.depthwise import Ceilings, Layer, benchmark_depthwise
from fragrant.benchmarks.kernels import kernel_table
from fragrant.errors import UserError


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_a_row_for_each_variant(monkeypatch):
    from fragrant.kernels import compiled
    from fragrant.kernels.compiled import Usage
    from fragrant.kernels.variants import Variant

    found = {"slim": Usage(32, 0, 1024), "wide": Usage(255, 24, 300 << 10)}
    monkeypatch.setattr(compiled, "compile_for", lambda variant, capability: found[variant.name])
    monkeypatch.setattr(
        kernels, "all_variants", lambda: [Variant(name, None, {}, bytes_moved=8_000_000) for name in found]
    )
    title, slim, wide = kernel_table(capability=90, bandwidth=4e12).splitlines()
    assert title.split()[:5] == ["compute", "capability", "9.0,", "4.0", "TB/s"]
    assert slim.split() == ["slim", "32", "0", "1.0", "8.00", "2.0", "yes"]
    assert wide.split() == ["wide", "255", "24", "300.0", "8.00", "2.0", "NO"]


def test_what_cannot_be_shown(monkeypatch):
    monkeypatch.setattr(kernels, "triton_is_installed", lambda: False)
    with pytest.raises(UserError, match="needs the package triton, which is not installed"):
        kernel_table(capability=90, bandwidth=1e12)
    with pytest.raises(UserError, match="are timed on a CUDA GPU with the package triton; one of them is missing here"):
        benchmark_depthwise(clips=1, device=torch.device("cpu"))


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_an_unknown_gpu():
    with pytest.raises(UserError, match="--capability 85 is not known; known: 80, 90, 100"):
        kernel_table(capability=85, bandwidth=1e12)


def test_the_floor_is_the_slower_of_memory_and_arithmetic():
    layer = Layer(2, 10, (4, 10, 10), (3, 3, 3), (2, 2, 2), True)  # 8000 inputs, 1000 outputs
    assert layer.out == (2, 5, 5)
    assert Ceilings(bytes=1e3, multiply_adds=1e9).floor(layer, torch.bfloat16) == pytest.approx(18)
    assert Ceilings(bytes=1e9, multiply_adds=1e3).floor(layer, torch.bfloat16) == pytest.approx(27)
