"""Running figures of one training epoch: kept on the device, read only when a line is due."""

import time
from collections import deque
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from fragrant.data.clips import Batch, FrameBatch
from fragrant.data.loader import Batches
from fragrant.distributed import sum_over_ranks
from fragrant.logs import RunLog, duration, host_memory


def gpu_memory(device: torch.device) -> str:
    """Peak memory of the GPU so far, ``"1.50G"``."""
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return f"{peak / 2**30:.2f}G"


class Average:
    """Weighted means of named scalars since the last ``reset``; non-finite values are left out."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}

    def add(self, values: dict[str, Tensor], weight: int) -> None:
        for name, value in values.items():
            value = value.detach().float()
            finite = value.isfinite()
            self._sums[name] = self._sums.get(name, 0.0) + torch.where(finite, value, 0.0) * weight
            self._weights[name] = self._weights.get(name, 0) + finite * weight

    def read(self) -> dict[str, float]:
        """Means over all ranks, which must all ask. Waits for the GPU. A mean of nothing is NaN."""
        return {
            name: float(sum_over_ranks(total) / sum_over_ranks(self._weights[name]))
            for name, total in self._sums.items()
        }

    def state_dict(self) -> dict[str, list[float]]:
        """Sums and weights of every mean; waits for the GPU."""
        return {name: [float(total), int(self._weights[name])] for name, total in self._sums.items()}

    def load_state_dict(self, state: dict[str, list[float]], device: torch.device) -> None:
        self._sums = {name: torch.tensor(total, device=device) for name, (total, _) in state.items()}
        self._weights = {name: torch.tensor(weight, device=device) for name, (_, weight) in state.items()}


class TrainMeter:
    """Times the steps of an epoch and logs a ``train_iter`` record every ``period`` steps.

    Use as ``for step, batch in enumerate(meter.watch(loader)): ...; meter.update(...)``.
    """

    def __init__(self, log: RunLog, *, epoch: int, max_epoch: int, period: int, device: torch.device):
        self.log, self.period, self.device = log, period, device
        self.epoch, self.max_epoch = epoch, max_epoch
        self.window, self.whole = Average(), Average()
        self.line = ""  # what the finished epoch has reached, in words
        self.seconds_before = 0.0  # of this epoch, before it was interrupted
        self.started = time.perf_counter()
        # seconds: (step, of which waiting for data)
        self.times: deque[tuple[float, float]] = deque(maxlen=max(period, 1))

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def state_dict(self) -> dict:
        """The averages of this rank in this epoch so far, for a run that resumes in the middle of it."""
        return {"window": self.window.state_dict(), "whole": self.whole.state_dict(), "seconds": self._seconds()}

    def load_state_dict(self, state: dict) -> None:
        self.window.load_state_dict(state["window"], self.device)
        self.whole.load_state_dict(state["whole"], self.device)
        self.seconds_before = state["seconds"]

    def watch(self, loader: Batches) -> Iterator[Batch | FrameBatch]:
        """The batches of the loader, with the time they let the step wait."""
        self.num_steps = len(loader)
        self.bar = self.log.bar(
            self._timed(loader), total=self.num_steps, title=f"epoch {self.epoch + 1}/{self.max_epoch}"
        )
        return iter(self.bar)

    def _timed(self, loader: Iterable) -> Iterator:
        begin = time.perf_counter()
        for batch in loader:
            waited = time.perf_counter() - begin
            yield batch
            now = time.perf_counter()
            self.times.append((now - begin, waited))
            begin = now

    def update(
        self, step: int, *, lr: float, loss: Tensor, logged: dict[str, Tensor], grad_norm: Tensor | None, weight: int
    ) -> None:
        values = {"loss": loss, **logged}
        self.window.add(values, weight)
        self.whole.add(values, weight)
        if (step + 1) % self.period == 0:
            self._log_window(step, lr, grad_norm)
        self.log.at(self.epoch + (step + 1) / self.num_steps)

    def _log_window(self, step: int, lr: float, grad_norm: Tensor | None) -> None:
        values = self.window.read()
        self.window.reset()
        dt, dt_data = self._seconds_per_step()
        steps_left = self.num_steps - step - 1 + (self.max_epoch - self.epoch - 1) * self.num_steps
        stats = {
            "_type": "train_iter",
            "epoch": f"{self.epoch + 1}/{self.max_epoch}",
            "iter": f"{step + 1}/{self.num_steps}",
            "dt": dt,
            "dt_data": dt_data,
            "dt_net": dt - dt_data,
            "eta": duration(steps_left * dt),
            "lr": lr,
            "gpu_mem": gpu_memory(self.device),
            **values,
        }
        norm = {"grad_norm": float("nan") if grad_norm is None else float(grad_norm)}
        self.log.record(stats, more=norm)
        self.log.scalars(_train_scalars(values | norm, lr), self.epoch * self.num_steps + step)
        self.bar.set_postfix_str(f"lr {lr:.2e}, step {dt:.3f} s, data {dt_data:.3f} s", refresh=False)
        self.log.at(self.epoch + (step + 1) / self.num_steps, loss=f"{values['loss']:.4f}")

    def _seconds_per_step(self) -> tuple[float, float]:
        """Mean seconds of the last steps, in all and waiting for batches; without the running step."""
        if not self.times:
            return 0.0, 0.0
        return tuple(sum(column) / len(self.times) for column in zip(*self.times, strict=True))

    def finish(self, *, lr: float, bad_steps: int) -> None:
        """Logs the ``train_epoch`` record; ``line`` then says the epoch for people."""
        values = self.whole.read()
        seconds = self._seconds()
        dt, dt_data = self._seconds_per_step()
        stats = {
            "_type": "train_epoch",
            "epoch": f"{self.epoch + 1}/{self.max_epoch}",
            "dt": dt,
            "dt_data": dt_data,
            "dt_net": dt - dt_data,
            "eta": duration(seconds * (self.max_epoch - self.epoch - 1)),
            "lr": lr,
            "gpu_mem": gpu_memory(self.device),
            "RAM": host_memory(),
            "time_diff": seconds,
            "bad_steps": bad_steps,
            **values,
        }
        self.line = f"epoch {self.epoch + 1}/{self.max_epoch}: loss {values['loss']:.4f}, lr {lr:.2e}, {seconds:.1f} s"
        if "top1_err" in values:
            self.line += f", train top-1 {100 - values['top1_err']:.2f} %"
        if bad_steps:
            self.line += f", {bad_steps} step(s) left out: loss not finite"
        self.log.record(stats)
        self.log.scalars(_renamed(values, "Epoch") | {"Epoch/seconds": seconds}, self.epoch + 1)
        self.log.at(self.epoch + 1, loss=f"{values['loss']:.4f}")


def _renamed(values: dict[str, float], split: str) -> dict[str, float]:
    names = {"top1_err": "Top1_err", "top5_err": "Top5_err"}
    return {f"{split}/{names.get(name, name)}": value for name, value in values.items()}


def _train_scalars(values: dict[str, float], lr: float) -> dict[str, float]:
    return _renamed(values, "Train") | {"Train/lr": lr}
