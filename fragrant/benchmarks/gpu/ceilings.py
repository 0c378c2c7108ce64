"""A device's facts and its two ceilings, to which everything is compared: copying memory, multiplying bf16 matrices."""

import os
import platform
import subprocess
from typing import NamedTuple

import torch

from fragrant.benchmarks.gpu.sizes import Sizes
from fragrant.benchmarks.gpu.timing import Timed, timed


class Ceilings(NamedTuple):
    """Measured ceilings of a device. bytes_per_second: read plus written; flops: of a bf16 matrix product, per
    second."""

    bytes_per_second: float
    flops: float

    def floor(self, moved: float, computed: float = 0.0) -> float:
        """Fewest seconds that moving ``moved`` bytes and computing ``computed`` FLOPs take."""
        return max(moved / self.bytes_per_second, computed / self.flops)


def facts(device: torch.device) -> dict:
    """Facts of the device and its software: card, driver and versions."""
    found: dict[str, object] = {
        "device": platform.processor() or "CPU",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    found |= {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    try:
        import triton

        found["triton"] = triton.__version__
    except ImportError:
        found["triton"] = None
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        found |= {
            "device": card.name,
            "memory_gib": round(card.total_memory / 2**30, 1),
            "multiprocessors": card.multi_processor_count,
            "capability": f"{card.major}.{card.minor}",
            "driver": _driver(),
        }
    return found


def _driver() -> str:
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"


def _time_copy(device: torch.device, sizes: Sizes) -> Timed:
    source = torch.randint(0, 256, (sizes.copied,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return timed(lambda: target.copy_(source), device, rounds=sizes.rounds, seconds=sizes.seconds)


def measure_ceilings(device: torch.device, sizes: Sizes) -> Ceilings:
    """Measures the ceilings: a copy from memory to memory, and a square matrix product of random bf16 numbers."""
    copy = _time_copy(device, sizes)
    a, b = (torch.randn(sizes.product, sizes.product, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = timed(lambda: a @ b, device, rounds=sizes.rounds, seconds=sizes.seconds, warmup=5)
    return Ceilings(2 * sizes.copied / copy.median, 2 * sizes.product**3 / product.median)
