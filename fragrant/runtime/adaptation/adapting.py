"""A network that adapts itself to each test video, with the face of the network in it."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor, nn

from fragrant.models.backbone import Backbone


class Adapting(nn.Module):
    """Every call is one video: its V views together, (V, C, T, H, W) -> (V, K)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    @property
    def choices(self) -> dict[str, Sequence[float]]:
        return getattr(self.model, "choices", {})

    def forward(self, clips: Tensor) -> Tensor:
        return self._adapted(self.model, clips)

    def score(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self._adapted(cast(Backbone, self.model).score, clips)

    def _adapted(self, run: Callable[[Tensor], Any], clips: Tensor) -> Any:
        """``run(clips)`` of the network after it has looked at the clips."""
        raise NotImplementedError
