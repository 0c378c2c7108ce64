"""Benchmark of a model with its config's settings, against plain float32 eager contiguous PyTorch in the same run."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fragrant.benchmarks.parts import benchmark_parts
from fragrant.benchmarks.timing import Measured, measure
from fragrant.models import Backbone
from fragrant.objectives import Objective
from fragrant.optim.step import Stepper
from fragrant.runtime.precision import Precision

PARTS = ("forward", "forward + backward", "whole step")


class Setting(NamedTuple):
    """One way to run a model: an objective and an optimiser of its own, a number format, a memory format."""

    name: str
    objective: Objective
    optimizer: torch.optim.Optimizer
    precision: Precision
    prepare: Callable[[Tensor], Tensor]  # uint8 clips -> normalised clips in this setting's memory format


def random_batch(
    n: int, *, num_frames: int, size: int, num_classes: int, device: torch.device, streams: int = 1
) -> tuple[Tensor, Tensor]:
    """Random clips (N, 3, T, S, S) of uint8, channels last in memory as the loader delivers them, and labels (N,); of
    pairs, two streams, with twice the channels."""
    frames = torch.randint(0, 256, (n, num_frames, size, size, 3 * streams), dtype=torch.uint8, device=device)
    return frames.permute(0, 4, 1, 2, 3), torch.randint(0, num_classes, (n,), device=device)


def benchmark_model(
    settings: list[Setting], clips: Tensor, labels: Tensor, *, clip_norm: float | None, rounds: int
) -> str:
    """Table of times and memory of the settings; the last column is the first setting's figure over the last one's.
    Then, where the model names parts of itself, their shares of a step with the last setting.

    Args:
        clips, labels: a batch as :func:`random_batch` makes it.
        settings: the settings to compare, the plain one first.
    """
    results: dict[str, dict[str, Measured]] = {part: {} for part in PARTS}
    runs = {setting.name: _parts(setting, clips, labels, clip_norm) for setting in settings}
    for part in PARTS:
        results[part] = measure({name: parts[part] for name, parts in runs.items()}, device=clips.device, rounds=rounds)
    table = _table(results, [setting.name for setting in settings], num_clips=len(clips))
    shares = benchmark_shares(settings[-1], clips, labels, clip_norm=clip_norm, rounds=rounds)
    return f"{table}\n\n{shares}" if shares else table


def benchmark_shares(setting: Setting, clips: Tensor, labels: Tensor, *, clip_norm: float | None, rounds: int) -> str:
    """Table of the shares of a step with this setting that the model's named parts take; "" where it names none."""
    model, autocast = setting.objective.eval_model, setting.precision.autocast
    parts = model.timed_parts() if isinstance(model, Backbone) else {}

    def forward() -> None:
        with autocast():
            model.forward(setting.prepare(clips))  # not as compiled: the modules are called one by one

    step = _parts(setting, clips, labels, clip_norm)["whole step"]
    return (
        benchmark_parts(parts, forward=forward, whole_step=step, autocast=autocast, device=clips.device, rounds=rounds)
        if parts
        else ""
    )


def _parts(setting: Setting, clips: Tensor, labels: Tensor, clip_norm: float | None) -> dict[str, Callable[[], object]]:
    objective = setting.objective.train()
    stepper = Stepper(
        objective, setting.optimizer, scaler=setting.precision.grad_scaler(), clip_norm=clip_norm, max_bad_steps=10**9
    )
    ids = torch.arange(len(clips))

    def forward() -> Tensor:
        with setting.precision.autocast():
            return objective(setting.prepare(clips), labels).loss

    def without_graph() -> None:
        with torch.no_grad():
            forward()

    def forward_backward() -> None:
        forward().backward()
        objective.zero_grad(set_to_none=True)

    def whole_step() -> None:
        stepper.begin(1e-6, remaining=1)
        stepper.backward(forward(), ids)

    return dict(zip(PARTS, (without_graph, forward_backward, whole_step), strict=True))


def _table(results: dict[str, dict[str, Measured]], names: list[str], *, num_clips: int) -> str:
    lines = [_row("", *names, "ratio")]
    for part, by_name in results.items():
        values = [by_name[name] for name in names]
        times = (f"{v.median:.3f} [{min(v.seconds):.3f}, {max(v.seconds):.3f}]" for v in values)
        lines.append(_row(f"{part} (s)", *times, _ratio(values, "median")))
        if part == PARTS[-1]:
            lines.append(_row("clips / s", *(f"{num_clips / v.median:.2f}" for v in values), _ratio(values, "median")))
    for part in PARTS:
        values = [results[part][name] for name in names]
        lines.append(
            _row(
                f"peak memory, {part} (MiB)",
                *(f"{v.peak_bytes / 2**20:.0f}" for v in values),
                _ratio(values, "peak_bytes"),
            )
        )
    return "\n".join(lines)


def _ratio(values: list[Measured], field: str) -> str:
    first, last = getattr(values[0], field), getattr(values[-1], field)
    return f"{first / last:.2f}x" if last else "-"


def _row(title: str, *cells: str) -> str:
    return f"{title:<40}" + "".join(f"{cell:>34}" for cell in cells[:-1]) + f"{cells[-1]:>10}"
