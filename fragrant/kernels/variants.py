"""Variants of the Triton kernels that the configs use, so that all can be compiled and checked without a GPU.

Every module of Triton kernels offers ``variants() -> list[Variant]`` and has its name in ``TRITON_MODULES``. A variant
lists what one launch passes, by parameter name:

    Variant("apply 3x7x7 bf16", apply_kernel, {"v": "*bf16", "T": 16, "KT": 3, ...}, num_warps=4, bytes_moved=...)

- a tensor is the type of its pointer ("*fp32", "*bf16", "*fp16", "*u8", "*i32", ...), a number that a launch computes
  its own value,
- a ``tl.constexpr`` parameter its value,
- integers are specialised as a launch does it: 1 is compiled in, multiples of 16 are known to be such.

``tests/kernels/test_compiles.py`` compiles the ``quick`` ones by default (for two generations of GPUs where they
multiply matrices), all of them for three where slow tests run; ``tools/benchmark.py kernels`` prints the table."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRITON_MODULES = ("taps_triton", "depthwise_triton", "fam_triton", "gamma_triton", "preparation_triton")


@dataclass(frozen=True)
class Variant:
    """One kernel with the arguments of one launch.

    Args:
        name: a row of the table: operation, sizes, number format.
        kernel: a function under ``triton.jit``.
        arguments: parameter name -> pointer type, number, or value of a constexpr.
        num_warps, num_stages, maxnreg: the launch's options of these names.
        bytes_moved: bytes that the launch must read and write, every operand once; 0 = not counted.
        quick: compiled by the default tests; False for those that resemble another one. They may take 20 seconds
            together.
    """

    name: str
    kernel: Any
    arguments: Mapping[str, Any]
    num_warps: int = 4
    num_stages: int = 3
    maxnreg: int | None = None
    bytes_moved: int = 0
    quick: bool = True


def all_variants() -> list[Variant]:
    """Variants of all kernels, in the order of their modules. Needs Triton."""
    modules = (importlib.import_module(f"fragrant.kernels.{name}") for name in TRITON_MODULES)
    return [variant for module in modules for variant in module.variants()]
