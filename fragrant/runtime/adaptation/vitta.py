"""ViTTA: one gradient step per test video, towards the statistics that the norm layers had in training.

Lin et al., "Video Test-Time Adaptation for Action Recognition", CVPR 2023."""

import io
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import simplejson
import torch
from torch import Tensor, nn

from fragrant.distributed import sum_over_ranks
from fragrant.errors import RunStopped, UserError
from fragrant.files import open_plain, write_whole
from fragrant.models.compiling import as_written
from fragrant.runtime.adaptation.adapting import Adapting
from fragrant.runtime.adaptation.norm_layers import Pooled, each_output, norm_layers, width_of

Statistics = dict[str, tuple[Tensor, Tensor]]  # layer -> mean and variance of its output, (C,) each


class Step(NamedTuple):
    """How far a step goes.

    Attributes:
        lr: of plain SGD; published 5e-5 (TANet), 1e-5 (Swin).
        momentum: share of a video in the moving statistics, published 0.1 (TANet), 0.05 (Swin); online alone.
        consistency: weight of the difference between the views, published 0.1 (TANet), 0.05 (Swin).
        views: how many views the step looks at, spread over those of the test; published 2.
    """

    lr: float
    momentum: float
    consistency: float
    views: int


@torch.no_grad()
def measure_outputs(
    model: nn.Module,
    batches: Iterable[Tensor],
    *,
    share: float,
    autocast: Callable[[], AbstractContextManager],
    device: torch.device,
) -> Statistics:
    """Mean and variance of the outputs of the last ``share`` of the norm layers over prepared clips, on all ranks.

    Raises:
        UserError: no norm layer; RunStopped: no clip.
    """
    layers = need_norms(model, share)
    # all of them before the first clip: a rank may have none, and all ranks sum up the same layers
    pools = {name: Pooled(width_of(layer), device) for name, layer in layers.items()}
    clips = torch.zeros((), device=device)

    def see(name: str, mean: Tensor, var: Tensor) -> None:
        pools[name].add(mean, var, count=now)

    with as_written(model.eval()), each_output(layers, see):
        for batch in batches:
            now = len(batch)  # clips of one size: positions per clip are the same for all
            with autocast():
                model(batch)
            clips += now
    if not float(sum_over_ranks(clips.clone())):
        raise RunStopped("TEST.ADAPT vitta: not one training video can be read")
    seen = {name: float(sum_over_ranks(pool.count.clone())) for name, pool in pools.items()}
    together = {name: pool.result(lambda value: sum_over_ranks(value.clone())) for name, pool in pools.items()}
    return {name: both for name, both in together.items() if seen[name]}


def need_norms(model: nn.Module, share: float) -> dict[str, nn.Module]:
    layers = norm_layers(model, share)
    if not layers:
        raise UserError(f"TEST.ADAPT vitta: {type(model).__name__} has neither BatchNorm nor LayerNorm layers")
    return layers


def save_statistics(path: str, found: Statistics, header: dict, *, own_name: str = "") -> None:
    """Writes statistics as a numpy file without pickles: <layer>.mean, <layer>.var, header (JSON); ``own_name``: see
    ``written_whole``."""
    columns: dict[str, Any] = {
        f"{name}.{part}": value.cpu().numpy() for name, both in found.items() for part, value in _parts(both)
    }
    packed = io.BytesIO()
    np.savez(packed, header=np.array(simplejson.dumps(header, sort_keys=True)), **columns)
    try:
        write_whole(path, packed.getvalue(), own_name=own_name)
    except OSError as error:
        raise UserError(f"statistics '{path}' cannot be written: {error.strerror or error}") from error


def _parts(both: tuple[Tensor, Tensor]) -> list[tuple[str, Tensor]]:
    return list(zip(("mean", "var"), both, strict=True))


def load_statistics(path: str, device: torch.device) -> tuple[Statistics, dict]:
    """Reads what ``save_statistics`` wrote.

    Raises:
        UserError: there is no such file, or it is something else.
    """
    try:
        with open_plain(path) as opened, np.load(opened, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
        header = simplejson.loads(str(columns.pop("header")))
        names = [name.removesuffix(".mean") for name in columns if name.endswith(".mean")]
        tensors = {name: torch.from_numpy(value).to(device).float() for name, value in columns.items()}
        return {name: (tensors[f"{name}.mean"], tensors[f"{name}.var"]) for name in names}, dict(header)
    except OSError as error:
        raise UserError(f"TEST.ADAPT_STATISTICS '{path}' cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged archive can fail in any way
        raise UserError(
            f"TEST.ADAPT_STATISTICS '{path}' holds no statistics of norm layers; a test with TEST.ADAPT vitta writes "
            "them to OUTPUT_DIR/norm_statistics.npz"
        ) from error


class Vitta(Adapting):
    """A network that takes one step for each video before it answers: a call is one video, (V, C, T, H, W) -> (V, K).

        loss = sum over layers of |mean - training mean|_1 + |variance - training variance|_1
               + consistency * mean over views of |p_view - mean over views of p|_1

    Mean and variance of every channel of a layer's output are those of the video (episodic), or move on from video to
    video (online, the first begins with its own).

    Args:
        statistics: of the training clips, see ``measure_outputs``.
        online: weights and moving statistics stay as a video leaves them; False: put back after each.

    Raises:
        UserError: the statistics are of another network.
    """

    def __init__(self, model: nn.Module, statistics: Statistics, step: Step, *, online: bool):
        super().__init__(model)
        self.statistics, self.step, self.online = statistics, step, online
        named = dict(model.named_modules())
        unknown = [name for name in statistics if name not in named]
        if unknown:
            raise UserError(
                f"TEST.ADAPT_STATISTICS are of another network: {type(model).__name__} has no layer '{unknown[0]}'"
            )
        self.layers = {name: named[name] for name in statistics}
        self.moving: Statistics = {}
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def _adapted(self, run: Callable[[Tensor], Any], clips: Tensor) -> Any:
        before = None if self.online else [parameter.detach().clone() for parameter in self.trained]
        picked = torch.linspace(0, len(clips) - 1, min(self.step.views, len(clips))).round().long().tolist()
        with torch.inference_mode(False), torch.enable_grad():
            loss = self.loss(clips[picked].clone())  # a copy: nothing made in inference mode can be differentiated
            gradients = torch.autograd.grad(loss, self.trained, allow_unused=True)
            with torch.no_grad():
                for parameter, gradient in zip(self.trained, gradients, strict=True):
                    if gradient is not None:
                        parameter.sub_(gradient, alpha=self.step.lr)
        try:
            return run(clips)
        finally:
            with torch.no_grad():
                for parameter, value in zip(self.trained, before or (), strict=before is not None):
                    parameter.copy_(value)

    def loss(self, views: Tensor) -> Tensor:
        """What the step makes smaller: views (v, C, T, H, W) -> a scalar."""
        total = views.new_zeros(())

        def see(name: str, mean: Tensor, var: Tensor) -> None:
            nonlocal total
            now = mean, var
            if self.online and name in self.moving:
                share, old = self.step.momentum, self.moving[name]
                now = (share * mean + (1 - share) * old[0], share * var + (1 - share) * old[1])
            self.moving[name] = (now[0].detach(), now[1].detach())
            target = self.statistics[name]
            total = total + (now[0] - target[0]).abs().sum() + (now[1] - target[1]).abs().sum()

        with each_output(self.layers, see):
            probs = self.model(views).float().softmax(-1)  # (v, K)
        return total + self.step.consistency * (probs - probs.mean(0)).abs().sum(-1).mean()


__all__ = ["Step", "Vitta", "load_statistics", "measure_outputs", "save_statistics"]
