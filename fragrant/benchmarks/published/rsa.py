"""Relational self-attention in its published order of operations, in plain PyTorch: what RAM must equal and is timed
against."""

import torch
from torch import Tensor, nn


class PublishedRSA(nn.Module):
    """Relational self-attention in its published form: it builds, at every position, each tensor that the equations
    name.

    Same parameters, names and shapes as ``fragrant.layers.ram.RAM``, same values, and the published limits: ``I`` is
    (1, dk, dk), so that feature VplusR needs dk == dv, and kernel V needs dd == dk. Letters: N clips, T H W the map,
    P = N*T*H*W positions, h heads, dk/dv/dd key, value and latent dims.

    Args:
        heads, key_dim, value_dim, latent_dim: 0 means: value_dim = d_out // heads, key_dim = value_dim, latent_dim =
            key_dim.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        *,
        heads: int = 1,
        key_dim: int = 16,
        value_dim: int = 0,
        latent_dim: int = 0,
        kernel_size: tuple[int, int, int] = (3, 7, 7),
        stride: tuple[int, int, int] = (1, 1, 1),
        kernel_type: str = "V",
        feature_type: str = "V",
    ):
        super().__init__()
        self.heads = heads
        self.value_dim = value_dim or d_out // heads
        self.key_dim = key_dim or self.value_dim
        self.latent_dim = latent_dim or self.key_dim
        self.kernel_type, self.feature_type = kernel_type, feature_type
        dk, dv, dd = self.key_dim, self.value_dim, self.latent_dim

        frames, height, width = kernel_size
        padding = (frames // 2, height // 2, width // 2)

        def conv(channels: int, groups: int) -> nn.Conv3d:
            return nn.Conv3d(groups, channels, kernel_size, padding=padding, groups=groups, bias=False)

        if kernel_type == "VplusR":
            taps = kernel_size[0] * kernel_size[1] * kernel_size[2]
            self.P1 = nn.Parameter(torch.randn(1, dk, dd) * (1 / (taps * dd)) ** 0.5)
        if feature_type == "VplusR":
            self.I = nn.Parameter(torch.eye(dk).unsqueeze(0))
        self.projection = nn.Conv3d(d_in, heads * dk + (dk if kernel_type != "V" else 0) + dv, 1, bias=False)
        if kernel_type != "V":
            self.H1 = conv(dk * dd, dk)
        self.H2 = conv(dd, 1)
        if feature_type != "V":
            self.G = conv(dv, 1)
        self.pool = nn.AvgPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) if max(stride) > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, d_in, T, H, W) -> (N, heads*dv, T, H, W); output channel = w*heads + h."""
        n, _, t, h, w = x.shape
        q, k, v = self._project(x)
        kernel = self._kernel(q, k)  # (P, h, dd)
        feature = self._feature(v)  # (P, dv, dd)
        y = torch.einsum("phd,pwd->pwh", kernel, feature)  # (P, dv, h)
        y = y.reshape(n, t, h, w, -1).permute(0, 4, 1, 2, 3)  # (N, dv*h, T, H, W)
        return y if self.pool is None else self.pool(y)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        dk, dv = self.key_dim, self.value_dim
        sizes = [self.heads * dk, dk, dv] if self.kernel_type != "V" else [self.heads * dk, dv]
        parts = self.projection(x).split(sizes, 1)
        q = parts[0].permute(0, 2, 3, 4, 1).reshape(-1, self.heads, dk)  # (P, h, dk)
        k = unit(parts[1], 1) if self.kernel_type != "V" else None  # (N, dk, T, H, W)
        v = unit(parts[-1], 1).reshape(-1, 1, *x.shape[2:])  # (N*dv, 1, T, H, W)
        return unit(q, 2), k, v

    def _kernel(self, q: Tensor, k: Tensor | None) -> Tensor:
        if self.kernel_type == "V":
            return q
        relation = self.H1(k).permute(0, 2, 3, 4, 1).reshape(-1, self.key_dim, self.latent_dim)  # (P, dk, dd)
        if self.kernel_type == "VplusR":
            relation = relation + self.P1
        return torch.einsum("phk,pkd->phd", q, relation)

    def _feature(self, v: Tensor) -> Tensor:
        basic = self._positions_first(self.H2(v))  # (P, dv, dd)
        if self.feature_type == "V":
            return basic
        relation = self._positions_first(self.G(v))  # (P, dv, dv): first index contracted
        if self.feature_type == "VplusR":
            relation = relation + self.I
        return torch.einsum("puw,pud->pwd", relation, basic)

    def _positions_first(self, planes: Tensor) -> Tensor:
        """Reshapes convolved values to one row per position: (N*dv, D, T, H, W) -> (P, dv, D)."""
        planes = planes.unflatten(0, (-1, self.value_dim))
        return planes.permute(0, 3, 4, 5, 1, 2).reshape(-1, self.value_dim, planes.shape[2])


def unit(u: Tensor, dim: int) -> Tensor:
    """Scales u to unit length, u / sqrt(sum u^2 + 1e-6): the epsilon stands inside the root."""
    return u / ((u * u).sum(dim, keepdim=True) + 1e-6).sqrt()
