"""A training step: clips per second, share of the matrix-product ceiling, peak memory, the kernels that take most of
it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.benchmarks.gpu.ceilings import Ceilings
from fragrant.benchmarks.gpu.sizes import Sizes
from fragrant.benchmarks.gpu.timing import synchronize, timed
from fragrant.models.complexity import count_macs

FLOPS_OF_A_STEP = 3 * 2  # forward, and twice as much backward; a multiplication and an addition each


class Network(NamedTuple):
    """A network to measure: its config, changes to it, and the clips of a step."""

    title: str
    config: str
    changes: dict[str, object]
    clips: int


class Trained(NamedTuple):
    """A model and its training step, to be measured.

    step: one whole step, optimiser included. scope: builds the context in which the step runs."""

    model: nn.Module
    step: Callable[[], object]
    form: str
    scope: Callable[[], AbstractContextManager] = nullcontext


def forward_macs(model: nn.Module, clip_shape: tuple[int, ...]) -> float:
    """Multiply-adds of one clip, counted on the model's device: the CPU, so that no kernel of a GPU hides any."""
    return float(sum(count_macs(model, clip_shape).by_operator().values()))


def measure_step(
    trained: Trained, clips: int, macs: float, device: torch.device, ceilings: Ceilings, sizes: Sizes
) -> dict:
    """Measures a training step and returns the numbers of its row."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with trained.scope():
        time = timed(trained.step, device, rounds=sizes.rounds, seconds=2 * sizes.seconds)
    flops = FLOPS_OF_A_STEP * macs * clips / time.median
    row = {
        "form": trained.form,
        "clips": clips,
        "ms": time.median * 1e3,
        "ms_low": time.low * 1e3,
        "ms_high": time.high * 1e3,
    }
    row |= {
        "clips_per_second": clips / time.median,
        "tflops": flops / 1e12,
        "mfu": flops / ceilings.flops,
        "gmacs_per_clip": macs / 1e9,
    }
    if device.type == "cuda":
        row["peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
    return row


def top_kernels(trained: Trained, device: torch.device, *, steps: int = 2, count: int = 10) -> list[dict]:
    """Profiles the kernels that take most of a step: ms and share of a step, how often they run in it."""
    activities = [
        torch.profiler.ProfilerActivity.CUDA if device.type == "cuda" else torch.profiler.ProfilerActivity.CPU
    ]
    with trained.scope(), torch.profiler.profile(activities=activities) as profile:
        for _ in range(steps):
            trained.step()
        synchronize(device)
    field = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    found = [event for event in profile.key_averages() if getattr(event, field) > 0]
    found.sort(key=lambda event: -getattr(event, field))
    whole = sum(getattr(event, field) for event in found)
    return [
        {
            "kernel": event.key[:110],
            "ms": getattr(event, field) / 1e3 / steps,
            "share": getattr(event, field) / whole,
            "calls": event.count / steps,
        }
        for event in found[:count]
    ]


def published_step(
    model: Callable[[Tensor, Tensor], Tensor],
    parameters: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    clips: Tensor,
    labels: Tensor,
    *,
    normalize: Callable[[Tensor], Tensor],
    clip_norm: float | None,
    dtype: torch.dtype,
) -> Callable[[], float]:
    """Builds the training step of the published code bases: autocast, a scaler, one look at the loss per step.
    ``model``: clips, labels -> loss."""
    scaler = torch.amp.GradScaler(clips.device.type, enabled=dtype == torch.float16)

    def step() -> float:
        inputs = normalize(clips).contiguous()
        with torch.autocast(clips.device.type, dtype=dtype):
            loss = model(inputs, labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        if clip_norm:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        scaler.step(optimizer)
        scaler.update()
        return loss.item()  # waits for the GPU, as published

    return step
