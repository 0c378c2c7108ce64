"""Table of the Triton kernels, compiled without a GPU: the resources that each uses, and how fast it could be at
most."""

from fragrant.errors import UserError
from fragrant.kernels.taps import triton_is_installed
from fragrant.kernels.variants import all_variants


def kernel_table(*, capability: int, bandwidth: float) -> str:
    """Table with a row for each variant: registers of a thread, bytes that it spills, shared memory, bytes moved for
    one clip, their floor.

    Args:
        capability: compute capability of the GPU to compile for: 80 (A100), 90 (H100, H200), 100 (B200).
        bandwidth: that of the GPU's memory, in bytes per second.

    Raises:
        UserError: Triton is not installed, or an unknown capability.
    """
    if not triton_is_installed():
        raise UserError("the table of kernels needs the package triton, which is not installed; pip install triton")
    from fragrant.kernels.compiled import SHARED_BYTES, compile_for

    if capability not in SHARED_BYTES:
        raise UserError(f"--capability {capability} is not known; known: {', '.join(map(str, SHARED_BYTES))}")
    heads = ("registers", "spilled", "shared KiB", "MB", "floor us", "fits")
    lines = [
        f"{f'compute capability {capability / 10}, {bandwidth / 1e12} TB/s':<62}"
        + "".join(f"{head:>11}" for head in heads)
    ]
    for variant in all_variants():
        usage = compile_for(variant, capability)
        moved, floor = variant.bytes_moved / 1e6, variant.bytes_moved / bandwidth * 1e6
        numbers = (
            f"{usage.registers}",
            f"{usage.spilled_bytes}",
            f"{usage.shared_bytes / 1024:.1f}",
            f"{moved:.2f}",
            f"{floor:.1f}",
        )
        fits = "yes" if usage.fits(capability) else "NO"
        lines.append(f"{variant.name:<62}" + "".join(f"{number:>11}" for number in (*numbers, fits)))
    return "\n".join(lines)
