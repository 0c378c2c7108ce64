"""Which implementation of the sums over taps runs."""

import subprocess
import sys

import pytest
import torch

from fragrant.kernels import taps
from fragrant.kernels.taps import KernelError, check_implementation, pick_taps


class Like:
    """Stands for a tensor of a device that may not be here."""

    def __init__(self, device: str, dtype: torch.dtype):
        self.device, self.dtype = torch.device(device), dtype


@pytest.mark.parametrize(
    "name, device, dtype, installed, expected",
    [
        ("auto", "cpu", torch.float32, True, "taps_torch"),
        ("auto", "cuda", torch.float32, False, "taps_torch"),
        ("auto", "cuda", torch.float64, True, "taps_torch"),
        ("auto", "cuda", torch.bfloat16, True, "taps_triton"),
        ("triton", "cuda", torch.float32, True, "taps_triton"),
        ("torch", "cuda", torch.float32, True, "taps_torch"),
    ],
)
def test_pick(name, device, dtype, installed, expected, monkeypatch):
    monkeypatch.setattr(taps, "triton_is_installed", lambda: installed)
    monkeypatch.setattr(taps.importlib, "import_module", lambda module: module)
    assert pick_taps(name, Like(device, dtype)) == f"fragrant.kernels.{expected}"


def test_what_cannot_run(monkeypatch):
    with pytest.raises(KernelError, match="the implementation 'fast' is not known; known: auto, torch, triton"):
        check_implementation("fast")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(taps, "triton_is_installed", lambda: True)
    with pytest.raises(
        KernelError, match="the implementation 'triton' needs tensors on a CUDA GPU, got cpu; use 'auto' or 'torch'"
    ):
        pick_taps("triton", Like("cpu", torch.float32))
    monkeypatch.setattr(taps, "triton_is_installed", lambda: False)
    with pytest.raises(
        KernelError, match="needs the package triton, which is not installed; use 'auto' or 'torch', or install it"
    ):
        pick_taps("triton", Like("cuda", torch.float32))


def test_layers_do_not_import_triton():
    """Importing it costs a second, and it may be missing."""
    code = (
        "import sys, fragrant.layers.ram, fragrant.layers.fam; sys.exit('fragrant.kernels.taps_triton' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
