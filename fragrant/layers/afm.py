"""AFM, the adaptive fusion of a picture with its motion maps (MIE-Net)."""

import torch
from torch import Tensor, nn

from fragrant.layers.autocast import autocast_off


class AFM(nn.Module):
    """Adaptive fusion: the gated picture beside its gated motion maps; one gate per picture and channel, the same for
    both.

    With R the picture and P its three motion maps, and (a1, a2) = softmax(w):

        gate = sigmoid(mean over space of (R + P)),    fused = [a1 * gate * R, a2 * gate * P]

    Args:
        train_mix: whether w learns. The published code leaves it out of its optimiser, so that both halves keep their
            weight of 0.5.
    """

    def __init__(self, *, train_mix: bool = True):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2), requires_grad=train_mix)

    def forward(self, pictures: Tensor, maps: Tensor) -> Tensor:
        """Fuses pictures and motion maps: (M, 3, H, W) twice -> (M, 6, H, W), the pictures first; in float32 at least,
        since six channels cost little."""
        with autocast_off(pictures):
            scales = self.w.softmax(0)[:, None, None] * self.gate(pictures, maps)  # (2, M, 3)
            scales = scales[..., None, None]  # (2, M, 3, 1, 1)
            return torch.cat([pictures * scales[0], maps * scales[1]], 1)

    def gate(self, pictures: Tensor, maps: Tensor) -> Tensor:
        """The gate of every picture and channel: (M, 3, H, W) twice -> (M, 3); the mean of the sum as the sum of the
        means, which needs no sum of whole pictures."""
        return torch.sigmoid(pictures.mean((2, 3)) + maps.mean((2, 3)))
