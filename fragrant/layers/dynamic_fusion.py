"""Dynamic feature fusion: maps of several streams added up with weights that every place decides for itself."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.layers.convolution import Conv3d


class Norm(nn.BatchNorm3d):
    """BatchNorm that scales by its running statistics where a batch has one value per channel, of which no spread can
    be measured: the mean over a clip that is alone in its step."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, T, H, W) -> the same shape"""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] * x.shape[4] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class Bottleneck(nn.Sequential):
    """Two convolutions of one place each with a norm between them: D -> D / r -> outputs.

    Args:
        last_norm: a second norm at the end.
    """

    def __init__(self, width: int, hidden: int, outputs: int, *, last_norm: bool):
        last = [Norm(outputs)] if last_norm else []
        super().__init__(
            Conv3d(width, hidden, kernel_size=1),
            Norm(hidden),
            nn.ReLU(),
            Conv3d(hidden, outputs, kernel_size=1),
            *last,
        )


class DynamicFusion(nn.Module):
    """Dynamic feature fusion (DFF, of MD-BERT and ActLumos, arXiv 2502.03724): the streams' sum says, once by its mean
    over the clip and once place by place, how much of each stream is taken there.

    With S the sum, A = global(mean S) + local(S), weights = softmax over the streams of decide(A), sum of weights times
    maps. ``reduction`` cannot be read in the paper's figure (4 or 16); 4 is our own choice.

    Args:
        width: D of every map.
        streams: how many maps there are.
        reduction: D over the width between two convolutions.
    """

    def __init__(self, width: int, *, streams: int = 2, reduction: int = 4):
        super().__init__()
        hidden = max(width // reduction, 1)
        self.whole = Bottleneck(width, hidden, width, last_norm=True)
        self.local = Bottleneck(width, hidden, width, last_norm=True)
        self.decide = Bottleneck(width, hidden, streams, last_norm=False)

    def weights(self, maps: Sequence[Tensor], present: Tensor | None = None) -> Tensor:
        """Share of each of S maps (N, D, T, H, W) at every place: (N, S, T, H, W), which add up to 1.

        Args:
            present: (N, S) bool, which maps a clip has: the others have no share; None = all.
        """
        total = torch.stack(list(maps)).sum(0)
        seen = self.whole(total.mean((2, 3, 4), keepdim=True)) + self.local(total)
        scores = self.decide(seen).float()
        if present is not None:
            scores = scores.masked_fill(~present[..., None, None, None], -torch.inf)
        return scores.softmax(1)

    def forward(self, maps: Sequence[Tensor], present: Tensor | None = None) -> Tensor:
        """S maps (N, D, T, H, W) -> their weighted sum, of the same shape; ``present``: see ``weights``."""
        shares = self.weights(maps, present).to(maps[0].dtype)
        return torch.stack([share.unsqueeze(1) * x for share, x in zip(shares.unbind(1), maps, strict=True)]).sum(0)
