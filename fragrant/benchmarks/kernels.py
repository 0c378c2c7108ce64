"""Every Triton kernel compiled, without a GPU: what it uses of the chip, and how fast it could be at most.

The command line: python tools/benchmark.py kernels --capability 90 --bandwidth 3.35.
"""

import argparse

from fragrant.errors import UserError
from fragrant.kernels.taps import triton_is_installed
from fragrant.kernels.variants import all_variants


def kernel_table(*, capability: int, bandwidth: float) -> str:
    """A row for each variant: a thread's registers and spilled bytes, shared memory, bytes moved for one clip, their floor.

    Args:
        capability: of the GPU to compile for: 80 (A100), 90 (H100, H200), 100 (B200).
        bandwidth: of its memory, in bytes per second.

    Raises:
        UserError: Triton is not installed, or an unknown capability.
    """
    if not triton_is_installed():
        raise UserError("the table of kernels needs the package triton, which is not installed; pip install triton")
    from fragrant.kernels.compiled import SHARED_BYTES, compile_for

    if capability not in SHARED_BYTES:
        raise UserError(f"--capability {capability} is not known; known: {', '.join(map(str, SHARED_BYTES))}")
    heads = ("registers", "spilled", "shared KiB", "MB", "floor us", "fits")
    title = f"compute capability {capability / 10}, {bandwidth / 1e12} TB/s"
    lines = [f"{title:<62}" + "".join(f"{head:>11}" for head in heads)]
    for variant in all_variants():
        usage = compile_for(variant, capability)
        moved, floor = variant.bytes_moved / 1e6, variant.bytes_moved / bandwidth * 1e6
        shared, fits = usage.shared_bytes / 1024, "yes" if usage.fits(capability) else "NO"
        numbers = f"{usage.registers:>11}{usage.spilled_bytes:>11}{shared:>11.1f}{moved:>11.2f}{floor:>11.1f}{fits:>11}"
        lines.append(f"{variant.name:<62}{numbers}")
    return "\n".join(lines)


def kernels_command(words: list[str]) -> str:
    """
    Raises:
        UserError: Triton is not installed, or an argument is wrong.
    """
    parser = argparse.ArgumentParser(prog="benchmark.py kernels", description=__doc__)
    parser.add_argument(
        "--capability", type=int, default=90, metavar="N", help="of the GPU to compile for: 80, 90 (default) or 100"
    )
    parser.add_argument(
        "--bandwidth", type=float, default=3.35, metavar="TB/S", help="of its memory; default: an H100's 3.35"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(words)
    if arguments.bandwidth <= 0:
        raise UserError(f"--bandwidth {arguments.bandwidth} must be above 0")
    return kernel_table(capability=arguments.capability, bandwidth=arguments.bandwidth * 1e12)
