"""Benchmark of a training step under each objective, and of the parts of an SV-Mix step."""

from collections.abc import Callable

import torch
from torch import Tensor

from fragrant.benchmarks.model import Setting
from fragrant.benchmarks.timing import Measured, measure
from fragrant.objectives.sv_mix import SvMix
from fragrant.optim.step import Stepper


def benchmark_objective(
    settings: list[Setting], clips: Tensor, labels: Tensor, *, clip_norm: float | None, rounds: int
) -> str:
    """Table of time and memory of a step under each setting, next to the first setting's, taken in turn; then the parts
    of an SV-Mix step.

    Args:
        clips: uint8 (N, C, T, H, W). labels: (N,).
    """
    steps = {setting.name: _step(setting, clips, labels, clip_norm) for setting in settings}
    rows = _rows(measure(steps, device=clips.device, rounds=rounds), of=settings[0].name)
    lines = [f"{'step':<44}{'seconds':>10}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}", *rows]
    for setting in settings:
        if isinstance(setting.objective, SvMix):
            parts = measure(sv_mix_parts(setting, clips), device=clips.device, rounds=rounds)
            lines += [
                "",
                f"parts of a step of {setting.name}; ratio: of the student's pass",
                *_rows(parts, of=next(iter(parts))),
            ]
    return "\n".join(lines)


def _step(setting: Setting, clips: Tensor, labels: Tensor, clip_norm: float | None) -> Callable[[], None]:
    objective = setting.objective.train()
    stepper = Stepper(
        objective, setting.optimizer, scaler=setting.precision.grad_scaler(), clip_norm=clip_norm, max_bad_steps=10**9
    )

    def step() -> None:
        stepper.begin(1e-6, remaining=1)
        with setting.precision.autocast():
            loss = objective(setting.prepare(clips), labels).loss
        stepper.backward(loss, torch.arange(len(clips)))
        objective.after_step()

    return step


def sv_mix_parts(setting: Setting, clips: Tensor) -> dict[str, Callable[[], object]]:
    """Functions that run the parts of an SV-Mix step: the three passes through a network, and the rest."""
    objective = setting.objective.train()
    assert isinstance(objective, SvMix)
    partner = torch.arange(len(clips), device=clips.device).flip(0)
    prepared = setting.prepare(clips)
    with torch.no_grad(), setting.precision.autocast():
        features = objective.features(prepared)

    def student() -> None:
        with setting.precision.autocast():
            loss = objective.model(prepared).float().square().mean()
        loss.backward()
        objective.zero_grad(set_to_none=True)

    def look() -> None:
        with torch.no_grad(), setting.precision.autocast():
            objective.features(prepared)

    def judge() -> None:
        with setting.precision.autocast():
            loss = objective.teacher(prepared.detach().requires_grad_()).float().square().mean()
        loss.backward()

    return {
        "student, forward and backward": student,
        "teacher's feature map": look,
        "teacher's judgement, backward to the clips": judge,
        "mixer in space": lambda: objective.mixer(features, 0.5, partner, temporal=False).sum().backward(),
        "moving average": objective.after_step,
    }


def _rows(measured: dict[str, Measured], *, of: str) -> list[str]:
    base = measured[of]

    def ratio(value: float, whole: float) -> str:
        return f"{value / whole:.2f}x" if whole else "-"

    return [
        f"{name:<44}{found.median:>10.3f}{ratio(found.median, base.median):>8}"
        f"{found.peak_bytes / 2**20:>10.0f}{ratio(found.peak_bytes, base.peak_bytes):>8}"
        for name, found in measured.items()
    ]
