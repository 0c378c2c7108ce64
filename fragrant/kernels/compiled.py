"""Triton kernels compiled for a GPU that is not here, and what ptxas says of them: registers, shared memory, spills."""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fragrant.kernels.variants import Variant

MOST_REGISTERS = 255
SHARED_BYTES = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}  # that one program may have, by compute capability


class Usage(NamedTuple):
    """Of one thread (registers, spilled bytes) and one program (shared bytes)."""

    registers: int
    spilled_bytes: int
    shared_bytes: int

    def fits(self, capability: int) -> bool:
        within = self.registers <= MOST_REGISTERS and self.shared_bytes <= SHARED_BYTES[capability]
        return within and self.spilled_bytes == 0


def source_of(variant: Variant) -> ASTSource:
    """The kernel with its arguments specialised as a launch does it: 1 compiled in, pointers and multiples of 16 known as such."""
    signature, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(variant.kernel.params):
        value = variant.arguments[parameter.name]
        if parameter.is_constexpr or (value == 1 and isinstance(value, int)):
            signature[parameter.name], constants[(place,)] = "constexpr", value
            continue
        signature[parameter.name] = value if isinstance(value, str) else "fp32" if isinstance(value, float) else "i32"
        if isinstance(value, str) or (isinstance(value, int) and value % 16 == 0):
            attributes[(place,)] = [["tt.divisibility", 16]]
    return ASTSource(variant.kernel, signature, constants, attributes)


def compile_for(variant: Variant, capability: int) -> Usage:
    """Machine code of the variant for a compute capability such as 90, and what it uses."""
    options = {"num_warps": variant.num_warps, "num_stages": variant.num_stages}
    compiled = triton.compile(source_of(variant), target=GPUTarget("cuda", capability, 32), options=options)
    registers, stack = resource_usage(compiled.asm["cubin"])
    return Usage(registers, stack, compiled.metadata.shared)


def resource_usage(cubin: bytes) -> tuple[int, int]:
    """Registers, and bytes of the stack: Triton's kernels have nothing on it but what did not fit the registers."""
    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [os.fspath(program), "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(int(re.search(rf"\b{name}:(\d+)", text)[1]) for name in ("REG", "STACK"))
