"""Choice of the implementation of FAM's frequency gain: Triton kernels (``fam_triton.py``), or the PyTorch of
``layers/fam.py``."""

from torch import Tensor

from fragrant.kernels.taps import TRITON_DTYPES, has_operators, picks_triton

MOST_FRAMES = 32  # that the registers of a thread hold
# in rounding errors of the column: a bin below counts as zero, as it is in an FFT, where equal numbers cancel exactly
NOISE = 8.0


def has_kernels_for(x: Tensor) -> bool:
    """Whether the kernels take the number format and sizes of x (N, C, T, H, W)."""
    return x.dtype in TRITON_DTYPES and 1 <= x.shape[2] <= MOST_FRAMES and x.numel() // x.shape[2] < 2**31


def gains_by_triton(name: str, x: Tensor) -> bool:
    """Whether the implementation ``name`` computes with the kernels; where they lack the size of x, ``auto`` is
    PyTorch.

    Raises:
        KernelError: Triton was asked for, but cannot run on this device.
    """
    return picks_triton(name, x) and (name == "triton" or has_kernels_for(x)) and has_operators("fam_triton")
