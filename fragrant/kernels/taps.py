"""Choice of the implementation of the sums over kernel taps: PyTorch anywhere, Triton on CUDA.

Both offer ``apply_taps``, ``correlate_taps`` and ``scatter_taps``, with the same arguments; see ``taps_torch.py`` for
what they compute."""

import importlib
import importlib.util
import os
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from fragrant.errors import UserError

IMPLEMENTATIONS = ("auto", "torch", "triton")
TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class KernelError(UserError):
    """An implementation of a kernel that cannot run here."""


def check_implementation(name: str) -> str:
    """Checks that this Python environment has the implementation ``name``, and returns it.

    Raises:
        KernelError: an unknown name, or Triton without the package.
    """
    if name not in IMPLEMENTATIONS:
        raise KernelError(f"the implementation '{name}' is not known; known: {', '.join(IMPLEMENTATIONS)}")
    if name == "triton" and not triton_is_installed():
        raise KernelError(
            "the implementation 'triton' needs the package triton, which is not installed; use 'auto' or "
            "'torch', or install it"
        )
    return name


def pick_taps(name: str, x: Tensor) -> ModuleType:
    """Picks the module that computes the sums, see ``picks_triton``."""
    return importlib.import_module("fragrant.kernels." + ("taps_triton" if picks_triton(name, x) else "taps_torch"))


def picks_triton(name: str, x: Tensor, dtypes: Sequence[torch.dtype] = TRITON_DTYPES) -> bool:
    """Whether to compute with Triton: ``auto`` does for CUDA tensors in a number format it has, if it is installed.

    A file that is exported would need this package to run its operators: ``auto`` keeps them out.

    Args:
        x: a tensor like those to compute with.
        dtypes: number formats that Triton's kernels have.

    Raises:
        KernelError: Triton was asked for, but cannot run on this device.
    """
    on_gpu = x.device.type == "cuda"
    if check_implementation(name) == "triton" and not (on_gpu or triton_is_interpreted()):
        raise KernelError(
            f"the implementation 'triton' needs tensors on a CUDA GPU, got {x.device}; use 'auto' or 'torch'"
        )
    able = on_gpu and x.dtype in dtypes and not torch.compiler.is_exporting()
    return name == "triton" or (name == "auto" and able and triton_is_installed())


@torch.compiler.assume_constant_result  # torch.compile cannot trace an import
def has_operators(module: str) -> bool:
    """Imports the operators of a module of Triton kernels into ``torch.ops.fragrant``, and returns True.

    The module is imported at the first call, because importing Triton costs a second."""
    importlib.import_module(f"fragrant.kernels.{module}")
    return True


@torch.compiler.assume_constant_result
def triton_is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


@torch.compiler.assume_constant_result
def triton_is_interpreted() -> bool:
    """Whether Triton's own switch for running kernels on the CPU, slowly, is on: for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"
