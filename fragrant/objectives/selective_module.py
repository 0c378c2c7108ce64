"""SV-Mix's learnable mixer: which places or frames to take from the partner clip."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelectiveModule(nn.Module):
    """Mixer of two clips by cross-attention: every place of a clip attends to the places of its partner, which gives
    the partner's share there (SV-Mix, arXiv 2309.09534).

    One set of weights serves two modes: spatial (the places of one frame of the feature map) and temporal (its frames).
    An extra channel tells both clips which share is wanted.

    Args:
        num_features: C of the feature map.
        dim: width of the queries; None = C.
        learning: how its parameters are optimised, see ``parameter_groups``.
    """

    def __init__(self, num_features: int, dim: int | None = None, *, learning: Mapping[str, object] | None = None):
        super().__init__()
        self.query = nn.Linear(num_features + 1, dim or num_features)
        self.value = nn.Linear(num_features + 1, 1)
        self.learning = dict(learning or {})
        with torch.no_grad():  # at first the partner's share leans to sigmoid(4 * (0.5 - lam))
            self.value.weight[:, -1] = 4
            self.value.bias.zero_()

    def optimizer_groups(self) -> list[dict]:
        return [{"name": "selective module", "params": list(self.parameters()), **self.learning}]

    def forward(self, features: Tensor, lam: float, partner: Tensor, *, temporal: bool) -> Tensor:
        """Computes the mask of a mix: features (N, C, t, h, w), numbers of the partners (N,) -> share of the partner
        (N, t, h, w), in float32."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            if temporal:
                tokens = features.mean((3, 4)).transpose(1, 2)  # (N, t, C)
            else:
                tokens = features.permute(0, 2, 3, 4, 1).flatten(2, 3)  # (N, t, h*w, C)
            own, other = F.pad(tokens, (0, 1), value=lam - 0.5), F.pad(tokens[partner], (0, 1), value=0.5 - lam)
            # (..., L, 1)
            answers = F.scaled_dot_product_attention(self.query(own), self.query(other), self.value(other))
            mask = answers.squeeze(-1).sigmoid()
        _, _, t, h, w = features.shape
        return mask[..., None, None].expand(-1, t, h, w) if temporal else mask.unflatten(2, (h, w))
