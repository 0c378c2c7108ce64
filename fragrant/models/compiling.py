"""torch.compile of a model: whether this machine can, and a way around it for what must see the model as written."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.kernels.taps import triton_is_installed

BACKEND = "inductor"  # of torch.compile; tests take one that needs no compiler


class CompileError(UserError):
    """TRAIN.COMPILE True where nothing can be compiled."""

    def __init__(self, what: str, way_out: str):
        super().__init__(f"TRAIN.COMPILE True {what}; allowed: {way_out}, or TRAIN.COMPILE False")


def compile_in_place(model: nn.Module, device: torch.device) -> None:
    """Compiles the model where it lies at its first call; the names of its state dict stay.

    A graph for each shape of a batch, none for a range of shapes: which kernels a step runs then follows from its shape
    alone, not from the batches before it, so that a resumed run computes the same.

    Raises:
        CompileError: there is no compiler, or it does not work.
    """
    find_compiler(device)
    try_compiler(device)
    model.compile(dynamic=False, backend=BACKEND)


def find_compiler(device: torch.device) -> None:
    """Looks for the compiler of a device.

    Raises:
        CompileError: the compiler that torch.compile calls for this device is not installed.
    """
    if BACKEND != "inductor":
        return
    if device.type == "cpu":
        name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        if not _is_installed(name):
            raise CompileError(
                f"needs a C++ compiler on the CPU, and there is no '{name}'", "install g++, name another one in CXX"
            )
        return
    if not triton_is_installed():
        raise CompileError("needs the package triton on a GPU, which is not installed", "install it")
    names = [os.environ["CC"]] if os.environ.get("CC") else ["clang", "gcc"]
    if not any(map(_is_installed, names)):
        raise CompileError(
            f"needs a C compiler for Triton, and there is no '{names[-1]}'", "install gcc, name another one in CC"
        )


def _is_installed(command: str) -> bool:
    return bool(shutil.which(shlex.split(command)[0]))  # "ccache g++" is a command too


def try_compiler(device: torch.device) -> None:
    """Compiles one addition, some seconds: a compiler without its headers shows before the first epoch, in one line.

    Raises:
        CompileError: it fails.
    """
    try:
        torch.compile(_doubled, dynamic=False, backend=BACKEND)(torch.ones(8, device=device))
    except Exception as error:  # of torch, Triton, the compiler: what stops the smallest function stops a model
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        telling = next((line for line in lines if "error" in line.lower()), (lines or [type(error).__name__])[0])
        raise CompileError(f"does not work on this machine: {telling}", "mend the compiler") from error


def _doubled(x: Tensor) -> Tensor:
    return x + x


@contextmanager
def as_written(model: nn.Module) -> Iterator[None]:
    """Within it the model runs uncompiled.

    For tracers, which cannot look into compiled code, and for batches of many sizes, each of which would be compiled:
    the numbers of a test are the same with and without a compiler.
    """
    compiled = {module: module._compiled_call_impl for module in model.modules()}
    for module in compiled:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, call in compiled.items():
            module._compiled_call_impl = call
