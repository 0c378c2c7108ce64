"""The interface of an objective to the training loop."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from fragrant.data.figures import Track


class StepOutput(NamedTuple):
    """The outcome of one forward pass.

    loss: (), with its graph. logged: detached numbers () on the device; reading one waits for the GPU, so only when
        logging.
    """

    loss: Tensor
    logged: dict[str, Tensor]


class Objective(nn.Module):
    """An objective, everything that a training step needs: the model, a loss, a learnable mixer, an EMA teacher.

    All of these are submodules, so that `.to(device)`, the optimiser, checkpoints and DistributedDataParallel, which
    wraps the whole objective, see them. The loop knows this class alone and has no branch for a method.

    Attributes:
        same_graph_every_step: every step uses the same parameters, which makes training on several processes faster. An
            objective
            with steps that leave some out (a mixer with a probability) says False.
    """

    same_graph_every_step = True

    def meet(self, ids: Sequence[int], epoch: int, figures: Track | None = None) -> None:
        """Hook that is called before every forward pass of the training with the videos whose clips come, by their
        place in the list: what is drawn for a clip can so follow from the video and the epoch alone, whatever the
        number of ranks. ``figures``: those of drawn videos, see ``Batch``."""

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Runs one forward pass: clips (N, C, T, H, W), labels (N,) class numbers or (N, K) soft labels -> loss (),
        logged numbers ().

        Called in train mode under the loop's autocast; called several times per optimiser step with gradient
        accumulation."""
        raise NotImplementedError

    @property
    def eval_model(self) -> nn.Module:
        """The model that validation and test score, (N, C, T, H, W) -> (N, K): the raw one, or a teacher."""
        raise NotImplementedError

    @property
    def scored_beside(self) -> dict[str, nn.Module]:
        """Further models, by name, that validation scores beside ``eval_model``; they decide nothing."""
        return {}

    def after_step(self) -> None:
        """Hook that is called once after every optimiser step, whatever the accumulation: an EMA moves here."""
