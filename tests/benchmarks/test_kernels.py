"""The table of Triton kernels, and what it refuses."""

import importlib.util

import pytest

from fragrant.benchmarks import kernels
from fragrant.benchmarks.kernels import kernel_table, kernels_command
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
    with pytest.raises(UserError, match="--bandwidth 0.0 must be above 0"):
        kernels_command(["--bandwidth", "0"])


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_an_unknown_gpu():
    with pytest.raises(UserError, match="--capability 85 is not known; known: 80, 90, 100"):
        kernel_table(capability=85, bandwidth=1e12)
