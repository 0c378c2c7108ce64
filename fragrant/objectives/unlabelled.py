"""The interface of an objective that needs no labels: validation measures its loss instead of an accuracy."""

from collections.abc import Sequence

from torch import Tensor, nn

from fragrant.objectives.objective import Objective


class Unlabelled(Objective):
    """An objective that learns from clips alone; labels that come with them are not looked at.

    Args:
        model: the encoder, a ``Backbone`` without classes: what a checkpoint holds as the model's weights.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    @property
    def eval_model(self) -> nn.Module:
        return self.model

    def observe(self, clips: Tensor, ids: Sequence[int]) -> Tensor:
        """What a validation keeps of each of B videos: all their clips (B*V, C, T, H, W) -> (B, ...), the same whatever
        else is in the batch, and in every epoch."""
        raise NotImplementedError

    def measure(self, rows: Tensor) -> dict[str, float]:
        """Loss, and what else is to be logged, of a whole list, in its order: (n, ...), see ``observe``."""
        raise NotImplementedError
