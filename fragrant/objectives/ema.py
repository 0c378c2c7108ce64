"""An exponential moving average of the weights, beside any objective."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fragrant.data.figures import Track
from fragrant.objectives.objective import Objective, StepOutput


def frozen_copy(model: nn.Module) -> nn.Module:
    """Copies a model; the copy's weights are never trained by gradients."""
    return copy.deepcopy(model).requires_grad_(False)


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Moves the average of two models built alike, for every parameter: decay * average + (1 - decay) * model."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Moves the average's parameters, and takes over the model's buffers, BatchNorm statistics among them."""
    move_average(average, model, decay)
    for own, buffer in zip(average.buffers(), model.buffers(), strict=True):
        own.copy_(buffer)


class Ema(Objective):
    """Any objective with a moving average of its model's weights; BatchNorm statistics are not averaged but taken over.

    The average starts as a copy, moves once per optimiser step and is never trained with. A step that was left out
    because it was not finite moves it too: towards the model as it was.

    Args:
        decay: decay of the average per optimiser step; 0.999 remembers about 1000 steps.
        evaluate: which of the two is ``eval_model``, "ema" or "raw"; the other is scored beside it.
    """

    def __init__(self, objective: Objective, *, decay: float, evaluate: str = "ema"):
        super().__init__()
        self.objective = objective
        self.averaged = frozen_copy(objective.eval_model)
        self.decay, self.evaluate = decay, evaluate
        self.same_graph_every_step = objective.same_graph_every_step

    def train(self, mode: bool = True) -> "Ema":
        super().train(mode)
        self.averaged.eval()
        return self

    @property
    def eval_model(self) -> nn.Module:
        return self.averaged if self.evaluate == "ema" else self.objective.eval_model

    @property
    def scored_beside(self) -> dict[str, nn.Module]:
        return {"raw": self.objective.eval_model} if self.evaluate == "ema" else {"ema": self.averaged}

    def meet(self, ids: Sequence[int], epoch: int, figures: Track | None = None) -> None:
        self.objective.meet(ids, epoch, figures)

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        return self.objective(clips, labels)

    def after_step(self) -> None:
        self.objective.after_step()
        follow(self.averaged, self.objective.eval_model, self.decay)
