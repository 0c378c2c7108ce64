"""An objective with a key of its own: a penalty on large logits."""

from torch import Tensor, nn

from fragrant.config import declare_key
from fragrant.objectives import OBJECTIVES, Objective, StepOutput, build_loss

declare_key("CALM.WEIGHT", 1e-3, "weight of the mean square of the logits")


class Calm(Objective):
    def __init__(self, model: nn.Module, loss: nn.Module, *, weight: float):
        super().__init__()
        self.model, self.loss, self.weight = model, loss, weight

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        logits = self.model(clips)
        size = logits.square().mean()
        return StepOutput(self.loss(logits, labels) + self.weight * size, {"logit_size": size.detach()})

    @property
    def eval_model(self) -> nn.Module:
        return self.model


@OBJECTIVES.register("calm")
def calm(cfg, model: nn.Module) -> Calm:
    return Calm(model, build_loss(cfg), weight=cfg.CALM.WEIGHT)
