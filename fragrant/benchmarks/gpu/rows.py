"""The rows of the command, the most important first, each with the seconds that it is expected to take."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from fragrant.benchmarks.gpu.build import NETWORKS, count_forward, ours, published, waiting
from fragrant.benchmarks.gpu.ceilings import Ceilings, facts, measure_ceilings
from fragrant.benchmarks.gpu.gpu_tests import run_gpu_tests
from fragrant.benchmarks.gpu.kernels import KERNELS, measure_kernel
from fragrant.benchmarks.gpu.record import Record
from fragrant.benchmarks.gpu.sizes import Sizes
from fragrant.benchmarks.gpu.steps import Trained, measure_step, top_kernels
from fragrant.benchmarks.loader import generated_files

TEST_SECONDS = 100.0


class Bench(NamedTuple):
    """Settings and state that every row needs. clips: video files for the loader; none = generated ones. only: parts of
    names; none = all rows."""

    device: torch.device
    sizes: Sizes
    record: Record
    clips: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    workers: int = 14

    @property
    def ceilings(self) -> Ceilings:
        """The ceilings that an earlier row measured; 1 where that failed, so that rates remain."""
        return Ceilings(**(self.record.data["ceilings"] or {"bytes_per_second": 1.0, "flops": 1.0}))


class Row(NamedTuple):
    """A row of the table. seconds: estimate of its time; a row is not started with less left, and ended by force after
    ``longest``."""

    name: str
    seconds: float
    run: Callable[[Bench], dict]
    longest: float = 90.0


def device_row(bench: Bench) -> dict:
    bench.record.data["facts"] = facts(bench.device)
    ceilings = measure_ceilings(bench.device, bench.sizes)
    bench.record.data["ceilings"] = ceilings._asdict()
    return ceilings._asdict()


def tests_row(bench: Bench) -> dict:
    return run_gpu_tests(bench.record.folder / "cuda_tests.log", seconds=TEST_SECONDS)


def step_row(key: str, build: Callable[..., Trained], *, kernels: bool) -> Callable[[Bench], dict]:
    """Builds the row of a network's training step in one form; its multiply-adds are counted once, by the first row
    that needs them."""

    def run(bench: Bench) -> dict:
        network, counted = NETWORKS[key], bench.record.data.setdefault("macs", {})
        if key not in counted:
            counted[key] = count_forward(network, bench.sizes)
        trained = build(network, bench.device, bench.sizes)
        row = measure_step(
            trained, bench.sizes.clips(network.clips), counted[key], bench.device, bench.ceilings, bench.sizes
        )
        return row | ({"kernels": top_kernels(trained, bench.device)} if kernels else {})

    return run


def compiled(network, device, sizes) -> Trained:
    return ours(network, device, sizes, compiled=True)


def kernels_row(kind: str) -> Callable[[Bench], dict]:
    def run(bench: Bench) -> dict:
        cases = [
            measure_kernel(kernel, bench.device, bench.ceilings, bench.sizes)
            for kernel in KERNELS[kind](bench.device, bench.sizes)
        ]
        return {"cases": cases}

    return run


@contextmanager
def video_files(bench: Bench) -> Iterator[list[str]]:
    """A context with video files: the given ones, or generated ones in a temporary folder."""
    if bench.clips:
        yield list(bench.clips)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield [path for paths in generated_files(Path(folder)).values() for path in paths]


def loader_row(*, cached: bool) -> Callable[[Bench], dict]:
    def run(bench: Bench) -> dict:
        batches = 2 if bench.sizes.small else 24
        with video_files(bench) as paths, tempfile.TemporaryDirectory() as cache:
            folder = Path(cache) if cached else None
            return waiting(paths, bench.device, bench.sizes, workers=bench.workers, cache=folder, batches=batches)

    return run


def all_rows() -> list[Row]:
    steps = []
    for key in NETWORKS:
        steps.append(Row(f"step {NETWORKS[key].title} | ours", 20, step_row(key, ours, kernels=True), 75))
        steps.append(Row(f"step {NETWORKS[key].title} | published", 20, step_row(key, published, kernels=False), 75))
    return [
        Row("device", 5, device_row),
        Row("tests marked cuda", 30, tests_row, TEST_SECONDS + 10),
        *steps,
        *(Row(f"kernels {kind}", 10, kernels_row(kind)) for kind in KERNELS),
        Row("loader and model, decoding", 20, loader_row(cached=False)),
        Row("loader and model, from the cache", 20, loader_row(cached=True)),
        *(
            Row(f"step {NETWORKS[key].title} | compiled", 45, step_row(key, compiled, kernels=False), 150)
            for key in NETWORKS
        ),
    ]
