"""One optimiser step: accumulate gradients, clip them, and leave a non-finite step out without waiting for the GPU."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from fragrant.distributed import sum_over_ranks, world_size
from fragrant.errors import RunStopped
from fragrant.optim.explosion import ExplosionGuard


def _whole(value: Tensor) -> Tensor:
    """Gathers a tensor that is spread over the ranks (TRAIN.SHARDING); returns any other tensor itself."""
    return value.full_tensor() if isinstance(value, DTensor) else value


class Stepper:
    """Turns losses into weight updates.

    A step whose loss or gradient norm is not finite changes nothing: no weight, no optimiser state, no BatchNorm
    statistics. The decision is taken on the device (``optimizer.found_inf``, which fused optimisers obey); the host
    learns of it one step later, when the answer has long been there.

    Args:
        module: the trained module, as one process has it; its buffers are put back after a bad step.
        optimizer: a fused optimiser over parameters of ``module``; groups may carry ``lr_scale``, ``fixed_lr`` and
            ``clip_norm``.
        clip_norm: largest L2 norm of all gradients together, but for groups with a limit of their own; None = no
            clipping.
        clip_value: largest size of each number of their gradients; takes the place of ``clip_norm``. None or 0 = no
            clipping.
        explosion: factor of the mean of the five losses before by which a loss ends the run; 0 = never.
        accum_steps: batches per optimiser step; an epoch's last group may be smaller.
        max_bad_steps: number of bad steps in a row that stops the run.
        name_clips: video ids -> their names, for error messages.
        average_gradients: called before every batch with whether its backward pass averages the gradients over the
            ranks; only the last batch of a step has to.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        scaler: torch.amp.GradScaler,
        clip_norm: float | None,
        clip_value: float | None = None,
        explosion: float = 0.0,
        accum_steps: int = 1,
        max_bad_steps: int = 10,
        name_clips: Callable[[Sequence[int]], str] = str,
        average_gradients: Callable[[bool], None] = lambda wanted: None,
    ):
        self.optimizer = optimizer
        self.scaler = scaler
        self.accum_steps = accum_steps
        self.max_bad_steps = max_bad_steps
        self.name_clips = name_clips
        self.average_gradients = average_gradients
        self.bad_steps = 0  # of the whole run
        self.bad_in_a_row = 0
        self.grad_norm: Tensor | None = None  # of the last step, on the device
        groups = optimizer.param_groups
        together = [parameter for group in groups if "clip_norm" not in group for parameter in group["params"]]
        self._clipped = [
            (together, None if clip_value else clip_norm),
            *((group["params"], group["clip_norm"]) for group in groups if "clip_norm" in group),
        ]
        self._clipped_by_value, self.clip_value = together, clip_value
        self._guard = ExplosionGuard(explosion) if explosion else None
        self._device = groups[0]["params"][0].device
        self._buffers = list(module.buffers())
        self._unchecked = (
            [(name, p) for name, p in module.named_parameters() if p.requires_grad] if world_size() > 1 else []
        )
        self._group_size = accum_steps  # batches of the group at work
        self._ids: list[Tensor] = []
        self._loss: Tensor | float = 0.0  # of the group at work, so far
        self._question: tuple[Tensor, list[Tensor], Tensor | float] | None = None

    def begin(self, lr: float, remaining: int) -> None:
        """Begins a batch; to be called before its forward pass.

        Args:
            lr: the learning rate; that of the first accumulated batch counts.
            remaining: batches left in the epoch, this one included.
        """
        if self._ids:  # in the middle of an accumulation group
            self.average_gradients(len(self._ids) + 1 == self._group_size)
            return
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("fixed_lr", lr * group.get("lr_scale", 1.0))
        self._group_size = min(self.accum_steps, remaining)
        self.average_gradients(self._group_size == 1)
        self._finite = torch.ones((), dtype=torch.bool, device=self._device)
        self._before = [buffer.clone() for buffer in self._buffers]  # small: BatchNorm statistics

    def backward(self, loss: Tensor, ids: Tensor) -> bool:
        """Runs the backward pass of a batch; updates the weights when the accumulation group is complete, and returns
        whether it was."""
        self.scaler.scale(loss / self._group_size).backward()
        self._finite = self._finite & loss.detach().isfinite()
        if self._guard:
            self._loss = self._loss + loss.detach() / self._group_size
        self._ids.append(ids)
        complete = len(self._ids) == self._group_size
        if complete:
            self._step()
        return complete

    def _step(self) -> None:
        self._check_gradients()
        self.scaler.unscale_(self.optimizer)
        norms = [self._clip(parameters, limit) for parameters, limit in self._clipped]
        self.grad_norm = norms[0]
        if self.clip_value:
            self._clip_values(self.clip_value)
        bad = sum_over_ranks((~self._finite).float()) > 0  # the same decision on all ranks
        if self.scaler.is_enabled():  # an overflow of the scaled gradients is the scaler's business, not a bad step
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            bad = bad | ~torch.stack(norms).isfinite().all()
            optimizer: Any = self.optimizer  # a fused one: it reads these two
            optimizer.grad_scale, optimizer.found_inf = None, bad.float()
            optimizer.step()
            del optimizer.grad_scale, optimizer.found_inf
        self.optimizer.zero_grad(set_to_none=True)
        self._restore_buffers(bad)
        self.flush()
        mean = sum_over_ranks(torch.as_tensor(self._loss).float()) / world_size() if self._guard else 0.0
        self._question = (bad, self._ids, mean)
        self._ids, self._loss = [], 0.0

    @staticmethod
    def _clip(parameters: Sequence[Tensor], limit: float | None) -> Tensor:
        """Scales the gradients down to a norm of ``limit``, if that is not None or 0; returns their norm before."""
        parameters = [parameter for parameter in parameters if parameter.grad is not None]
        norm = _whole(
            nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        )
        if limit:
            nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        return norm

    def _clip_values(self, limit: float) -> None:
        gradients = [parameter.grad for parameter in self._clipped_by_value if parameter.grad is not None]
        own = [grad.to_local() if isinstance(grad, DTensor) else grad for grad in gradients]
        torch._foreach_clamp_min_(own, -limit)
        torch._foreach_clamp_max_(own, limit)

    def _check_gradients(self) -> None:
        """Checks once that every parameter gets a gradient: other ranks would wait for ever for one that never comes.

        Raises:
            RunStopped: names the parameters.
        """
        without = [name for name, parameter in self._unchecked if parameter.grad is None]
        self._unchecked = []
        if without:
            names = ", ".join(without[:20]) + (", ..." if len(without) > 20 else "")
            raise RunStopped(
                f"{len(without)} parameters got no gradient in the first step, which several processes cannot "
                f"train: {names}; "
                "let the loss depend on them, or set requires_grad False"
            )

    def state_dict(self) -> dict[str, int]:
        """Counts that a resumed run continues; waits for the outcome of the last step first."""
        self.flush()
        return {"bad_steps": self.bad_steps, "bad_in_a_row": self.bad_in_a_row}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.bad_steps, self.bad_in_a_row = state["bad_steps"], state["bad_in_a_row"]

    def _restore_buffers(self, bad: Tensor) -> None:
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(torch.where(bad, before, buffer))

    def flush(self) -> None:
        """Waits for the outcome of the last finished step, and counts it if it was bad.

        Raises:
            RunStopped: too many bad steps in a row, or the loss has exploded.
        """
        if self._question is None:
            return
        bad, ids, loss = self._question
        self._question = None
        if not bad.item():  # waits for the step before the one just queued: the GPU stays busy
            self.bad_in_a_row = 0
            if self._guard:
                self._guard.check(float(loss))
            return
        self.bad_steps += 1
        self.bad_in_a_row += 1
        if self.bad_in_a_row >= self.max_bad_steps:
            raise RunStopped(
                f"the loss or its gradient was not finite for {self.bad_in_a_row} steps in a row "
                "(TRAIN.MAX_BAD_STEPS); "
                f"clips of the last batch: {self.name_clips(torch.cat(ids).tolist())}"
            )
