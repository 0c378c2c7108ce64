"""Says it once where the clips of a training are far from the MEAN that they are normalised by."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fragrant.layers.normalize import ClipNormalize

BATCHES = 8  # that are looked at
# STDs between the mean of the clips and MEAN. Pixels can be 2.1 below to 2.7 above the values of ImageNet and Kinetics:
# black videos with those, as published networks for the dark take them, are no reason to warn.
FAR = 3.0

Prepare = Callable[[Tensor, Sequence[int], int], Tensor]  # as of ``build_training_preparation``


class MeanWatch:
    """Prepares clips as ``prepare`` does, and looks at the means of the first batches on the way: one pass over each of
    them, one wait for the GPU.

    Args:
        prepare: (uint8 clips, ids, epoch) -> normalised clips (N, S * C, T, H, W) of S streams.
        normalizations: of each stream.
        warn: is told where a channel is far.
        batches: that are looked at.
    """

    def __init__(
        self,
        prepare: Prepare,
        normalizations: Sequence[ClipNormalize],
        *,
        warn: Callable[[str], None],
        batches: int = BATCHES,
    ):
        self.prepare, self.normalizations, self.warn = prepare, list(normalizations), warn
        self.batches = batches
        self._means: list[Tensor] = []  # (S * C,) each, on the device
        self._clips = 0

    def __call__(self, clips: Tensor, ids: Sequence[int], epoch: int) -> Tensor:
        prepared = self.prepare(clips, ids, epoch)
        if len(self._means) < self.batches:
            self._means.append(prepared.detach().float().mean((0, 2, 3, 4)))
            self._clips += len(prepared)
            if len(self._means) == self.batches:
                self._judge(torch.stack(self._means).mean(0).cpu())
        return prepared

    def _judge(self, means: Tensor) -> None:
        for node, normalize, off in zip(
            ("DATA", "DUAL"), self.normalizations, means.chunk(len(self.normalizations)), strict=False
        ):
            if bool((off.abs() > FAR).any()):
                self.warn(far(node, normalize, off, self._clips))


def far(node: str, normalize: ClipNormalize, off: Tensor, clips: int) -> str:
    """The warning of one stream. ``off``: (C,) means of its normalised clips."""
    pixels = (normalize.undo(off.view(1, -1, 1, 1, 1)) / 255).flatten().tolist()
    means = normalize.mean.flatten().tolist()
    return (
        f"the clips are far from {node}.MEAN: the pixels of the first {clips} clips have the means "
        f"{_row(pixels)}, "
        f"{node}.MEAN is {_row(means)}; normalised they are {_row(off.tolist(), 1)} on average, and more than {FAR:g} "
        "away from 0 trains badly; tools/check_data.py --statistics measures MEAN and STD (weights that were trained "
        "with other values want theirs)"
    )


def _row(values: Sequence[float], digits: int = 3) -> str:
    return "[" + ", ".join(f"{value:.{digits}f}" for value in values) + "]"
