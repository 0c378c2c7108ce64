"""Compiles Triton kernels for a GPU that is not present, and reports their use of registers, shared memory and
spills."""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from fragrant.kernels.variants import Variant

MOST_REGISTERS = 255
SHARED_BYTES = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}  # that one program may have, by compute capability


class Usage(NamedTuple):
    """Resources that a compiled kernel uses: registers and spilled bytes of one thread, shared bytes of one program."""

    registers: int
    spilled_bytes: int
    shared_bytes: int

    def fits(self, capability: int) -> bool:
        within = self.registers <= MOST_REGISTERS and self.shared_bytes <= SHARED_BYTES[capability]
        return within and self.spilled_bytes == 0


def source_of(variant: Variant) -> ASTSource:
    """Source of a variant for the compiler, with arguments specialised as a launch does it: 1 compiled in, pointers and
    multiples of 16 known as such."""
    signature, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(variant.kernel.params):
        value = variant.arguments[parameter.name]
        free = parameter.do_not_specialize
        if parameter.is_constexpr or (value == 1 and isinstance(value, int) and not free):
            signature[parameter.name], constants[(place,)] = "constexpr", value
            continue
        signature[parameter.name] = value if isinstance(value, str) else "fp32" if isinstance(value, float) else "i32"
        if isinstance(value, str) or (isinstance(value, int) and value % 16 == 0 and not free):
            attributes[(place,)] = [["tt.divisibility", 16]]
    return ASTSource(variant.kernel, signature, constants, attributes)


def compile_for(variant: Variant, capability: int) -> Usage:
    """Compiles the variant for a compute capability such as 90, and returns the resources that it uses."""
    options = {"num_warps": variant.num_warps, "num_stages": variant.num_stages, "maxnreg": variant.maxnreg}
    compiled = triton.compile(source_of(variant), target=GPUTarget("cuda", capability, 32), options=options)
    registers, stack = resource_usage(compiled.asm["cubin"])
    return Usage(registers, spilled_bytes(compiled.asm["ptx"], capability) if stack else 0, compiled.metadata.shared)


def resource_usage(cubin: bytes) -> tuple[int, int]:
    """Reads the registers and the bytes of the stack from a cubin; without a stack nothing is spilled."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [os.fspath(tool), "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack = re.search(r"\bREG:(\d+)", text), re.search(r"\bSTACK:(\d+)", text)
    assert registers and stack, text
    return int(registers[1]), int(stack[1])


def spilled_bytes(ptx: str, capability: int) -> int:
    """Bytes that ptxas spills when it compiles the PTX again: those stored or loaded, whichever are more."""
    target = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)
    assert target, "PTX names the architecture that it is for"
    architecture = target[1]
    with tempfile.NamedTemporaryFile(suffix=".ptx", mode="w") as file:
        file.write(ptx)
        file.flush()
        tool = get_ptxas(capability).path
        command = [tool, "-v", f"--gpu-name={architecture}", file.name, "-o", os.devnull]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return max(map(int, re.findall(r"(\d+) bytes spill", text)), default=0)
