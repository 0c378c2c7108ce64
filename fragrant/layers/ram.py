"""RAM, the relational attention module: every position builds its own kernel and its own features out of its relations.

Relational self-attention (Kim et al., "Relational Self-Attention: What's Missing in Attention for Video Understanding",
NeurIPS 2021), as FRAGRANT uses it. With q, k, v of unit length at every position n, taps m of a kT x kH x kW
neighbourhood and heads h:

    relational kernel   kernel[n, h, m] = sum_d c[n, h, d] * H2[d, m]
        type V          c[n, h, d] = q[n, h, d]
        type R          c[n, h, d] = sum_j q[n, h, j] * R[n, j, d],              R[n, j, d] = sum_m H1[j, d, m] * k[n +
        m, j]
        type VplusR     c[n, h, d] = sum_j q[n, h, j] * (R[n, j, d] + P1[j, d])
    basic context       y0[n, h, u] = sum_m kernel[n, h, m] * v[n + m, u]
    relational context
        type V          y[n, h, w] = y0[n, h, w]
        type R          y[n, h, w] = sum_u y0[n, h, u] * S[n, u, w],             S[n, u, w] = sum_m G[w, m] * v[n + m,
        u]
        type VplusR     y[n, h, w] = sum_u y0[n, h, u] * (S[n, u, w] + I[u, w])

The published module convolves v with H2 and G before anything else. Here the sums are taken in an order in which
nothing larger than the kernels exists; or, where the values have few channels for the number of heads, in an order with
small convolutions. See ``relation.py``."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.kernels.own_backward import applied
from fragrant.kernels.taps import check_implementation
from fragrant.layers.autocast import autocast_off
from fragrant.layers.relation import ApplyKernels, ContractConvolved, CorrelateValues, UnitLength
from fragrant.layers.tokens import need_volume

TYPES = ("V", "R", "VplusR")
ORDERS = ("auto", "kernels", "convolutions")
CPU_KERNEL_COST = 100

Size = tuple[int, int, int]


class RamError(UserError):
    """Settings of RAM that do not fit together."""


class RamDims(NamedTuple):
    """RAM's numbers of channels: d_out = heads * value_dim; latent_dim is the dimension that H1 and H2 share."""

    heads: int
    key_dim: int
    value_dim: int
    latent_dim: int


def resolve_dims(d_out: int, *, heads: int, key_dim: int, value_dim: int, latent_dim: int) -> RamDims:
    """Resolves dims given as 0 by the published rule: value_dim = d_out // heads, then key_dim = value_dim, then
    latent_dim = key_dim.

    If heads does not divide d_out, the module returns fewer channels: heads * (d_out // heads)."""
    given = {"d_out": d_out, "key_dim": key_dim, "value_dim": value_dim, "latent_dim": latent_dim}
    wrong = [f"{name}={value}" for name, value in given.items() if value < 0]
    if heads < 1 or wrong or (value_dim or d_out // heads) < 1:
        raise RamError(
            f"RAM needs heads >= 1, dims >= 0 and d_out >= heads; got heads={heads}, "
            f"{', '.join(wrong) or f'd_out={d_out}'}"
        )
    value_dim = value_dim or d_out // heads
    key_dim = key_dim or value_dim
    return RamDims(heads, key_dim, value_dim, latent_dim or key_dim)


def kernels_come_first(dims: RamDims, *, relational_features: bool, on_cpu: bool) -> bool:
    """Whether building the kernels and applying them costs less than convolving the values and contracting.

    Products per position and tap: h*(d + u), with relational features h*(d + 3u), against d*u, with features d*u + u*u.
    On the CPU, writing a kernel into the matrix of its tile and reading it back costs more than these products: per
    head and sum as much as 100 products of a convolution (measured for h = 1 .. 8, d and u = 4 .. 64; the orders cost
    the same near h = 8, d = u = 32)."""
    h, d, u = dims.heads, dims.latent_dim, dims.value_dim
    convolutions = d * u + (u * u if relational_features else 0)
    if on_cpu:
        return (2 if relational_features else 1) * h * CPU_KERNEL_COST < convolutions
    return h * (d + u) + (2 * h * u if relational_features else 0) <= convolutions


class RAM(nn.Module):
    """RAM, the relational attention module: (N, d_in, T, H, W) -> (N, h*dv, T, H, W); no residual inside, no bias
    anywhere.

    State, in the published order and under the published names (dk, dv, dd: key, value, latent dim): P1 (1, dk, dd)
    with kernel type VplusR, I (1, dv, dv) with feature type VplusR, projection.weight, H1.weight (dk*dd, 1, kT, kH, kW)
    with kernel types R and VplusR, H2.weight (dd, 1, ...), G.weight (dv, 1, ...) with feature types R and VplusR. The
    published I is
    (1, dk, dk), which only works for dk == dv.

    Args:
        heads, key_dim, value_dim, latent_dim: 0 = derived, see :func:`resolve_dims`.
        kernel_size: odd numbers (kT, kH, kW).
        stride: as published, any number above 1 halves the map (average over 3 x 3 pixels, zeros outside counted).
        kernel_type, feature_type: V, R or VplusR.
        impl: implementation of the sums over taps: auto, torch or triton.
        order: order of the sums: ``kernels`` first, ``convolutions`` first, or ``auto``, the cheaper one. The result is
            the same.

    Raises:
        RamError: settings that do not fit together; KernelError: Triton was asked for and is missing.
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
        kernel_size: Size = (3, 7, 7),
        stride: Size = (1, 1, 1),
        kernel_type: str = "V",
        feature_type: str = "V",
        impl: str = "auto",
        order: str = "auto",
    ):
        super().__init__()
        self.dims = resolve_dims(d_out, heads=heads, key_dim=key_dim, value_dim=value_dim, latent_dim=latent_dim)
        self.kernel_size = cast(Size, tuple(kernel_size))  # checked below
        self.kernel_type, self.feature_type = kernel_type, feature_type
        self.impl = check_implementation(impl)
        self.order = order
        self._check()
        _, dk, dv, dd = self.dims
        taps = self.kernel_size[0] * self.kernel_size[1] * self.kernel_size[2]
        if kernel_type == "VplusR":
            self.P1 = nn.Parameter(torch.randn(1, dk, dd) * (1 / (taps * dd)) ** 0.5)
        if feature_type == "VplusR":
            self.I = nn.Parameter(torch.eye(dv).unsqueeze(0))
        self.projection = nn.Conv3d(d_in, sum(self._parts()), 1, bias=False)
        if kernel_type != "V":
            self.H1 = nn.Conv3d(dk, dk * dd, self.kernel_size, groups=dk, bias=False)
        self.H2 = nn.Conv3d(1, dd, self.kernel_size, bias=False)
        if feature_type != "V":
            self.G = nn.Conv3d(1, dv, self.kernel_size, bias=False)
        self.pool = nn.AvgPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) if max(stride) > 1 else nn.Identity()

    @property
    def out_channels(self) -> int:
        return self.dims.heads * self.dims.value_dim

    def extra_repr(self) -> str:
        dims = ", ".join(f"{name}={value}" for name, value in self.dims._asdict().items())
        return (
            f"{dims}, kernel_type={self.kernel_type}, feature_type={self.feature_type}, impl={self.impl}, "
            f"order={self.order}"
        )

    def _check(self) -> None:
        for name, value, known in (
            ("kernel_type", self.kernel_type, TYPES),
            ("feature_type", self.feature_type, TYPES),
            ("order", self.order, ORDERS),
        ):
            if value not in known:
                raise RamError(f"RAM {name} '{value}' is not known; known: {', '.join(known)}")
        if len(self.kernel_size) != 3 or any(k < 1 or k % 2 == 0 for k in self.kernel_size):
            raise RamError(f"RAM kernel_size must be three odd numbers (time, height, width); got {self.kernel_size}")
        if self.kernel_type == "V" and self.dims.latent_dim != self.dims.key_dim:
            raise RamError(
                f"RAM kernel_type V uses the query as kernel coefficients and needs latent_dim == key_dim; "
                f"got {self.dims.latent_dim} and {self.dims.key_dim}; set latent_dim to 0, or kernel_type to R or "
                "VplusR"
            )

    def _parts(self) -> list[int]:
        """Numbers of channels of q (head by head), k and v in the projection."""
        h, dk, dv, _ = self.dims
        return [h * dk, 0 if self.kernel_type == "V" else dk, dv]

    def forward(self, x: Tensor) -> Tensor:
        """(N, d_in, T, H, W) -> (N, h*dv, T, H, W), halved H W with a stride; output channel w*h + head, in the memory
        format of x.

        Raises:
            UserError: x has another number of dimensions or channels.
        """
        need_volume(x, "RAM", self.projection.in_channels)
        parts = self.projection(x).permute(0, 2, 3, 4, 1).split(self._parts(), -1)  # each (N, T, H, W, ...)
        with autocast_off(x):  # from here on in the number format that the projection returned
            v = applied(UnitLength, parts[2])  # (N, T, H, W, dv)
            y = self._context(self._coefficients(parts[0], parts[1]), v)  # (N, T, H, W, h, dv)
        y = channels_like(y.mT.flatten(-2).permute(0, 4, 1, 2, 3), x)  # (N, dv*h, T, H, W)
        return self.pool(y)

    def kernels(self, x: Tensor) -> Tensor:
        """The relational kernel of every position, for inspection: (N, d_in, T, H, W) -> (N, T, H, W, h, kT, kH,
        kW)."""
        need_volume(x, "RAM", self.projection.in_channels)
        q, k, _ = self.projection(x).permute(0, 2, 3, 4, 1).split(self._parts(), -1)
        return (self._coefficients(q, k) @ self._filters(self.H2, q)).unflatten(-1, self.kernel_size)

    def _coefficients(self, q: Tensor, k: Tensor) -> Tensor:
        """Coefficients c of the relational kernels, from q and k: (N, T, H, W, h*dk), (N, T, H, W, dk) -> (N, T, H, W,
        h, dd)"""
        q = applied(UnitLength, q.unflatten(-1, (self.dims.heads, -1)))  # (N, T, H, W, h, dk)
        if self.kernel_type == "V":
            return q
        filters = self.H1.weight.to(q.dtype).view(self.dims.key_dim, self.dims.latent_dim, *self.kernel_size)
        offset = self.P1[0].to(q.dtype) if self.kernel_type == "VplusR" else None
        return applied(ContractConvolved, q, applied(UnitLength, k), filters, offset, False)

    def _context(self, coefficients: Tensor, v: Tensor) -> Tensor:
        """Relational context y, from the coefficients and v: (N, T, H, W, h, dd), (N, T, H, W, dv) -> (N, T, H, W, h,
        dv)"""
        features = self.feature_type != "V"
        offset = self.I[0].to(v.dtype) if self.feature_type == "VplusR" else None
        if self._kernels_come_first(v.device):
            y = applied(ApplyKernels, coefficients, v, self._filters(self.H2, v), self.kernel_size, self.impl)
            if not features:
                return y
            relational = applied(CorrelateValues, y, v, self._filters(self.G, v), self.kernel_size, self.impl)
            return relational if offset is None else relational + y @ offset
        y = applied(ContractConvolved, coefficients, v, self._filters_per_channel(self.H2, v), None, True)
        return applied(ContractConvolved, y, v, self._filters_per_channel(self.G, v), offset, False) if features else y

    def _kernels_come_first(self, device: torch.device) -> bool:
        if self.order != "auto":
            return self.order == "kernels"
        return kernels_come_first(self.dims, relational_features=self.feature_type != "V", on_cpu=device.type == "cpu")

    def _filters(self, conv: nn.Conv3d, like: Tensor) -> Tensor:
        """Filters of a depthwise convolution as a matrix (D, M) in the number format of ``like``."""
        return conv.weight.to(like.dtype).flatten(1)

    def _filters_per_channel(self, conv: nn.Conv3d, like: Tensor) -> Tensor:
        """Filters for every value channel, (dv, D, kT, kH, kW): all channels are convolved with the same D filters."""
        return conv.weight.to(like.dtype).squeeze(1).expand(self.dims.value_dim, -1, -1, -1, -1)


def channels_like(y: Tensor, x: Tensor) -> Tensor:
    """Converts y (N, C, T, H, W) to the memory format of x."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last_3d)
    return y.contiguous(memory_format=torch.channels_last_3d if channels_last else torch.contiguous_format)
