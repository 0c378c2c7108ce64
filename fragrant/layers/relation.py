"""The steps of relational attention that contract large tensors, with backward passes that never keep one.

The published module builds, at every position, matrices of key x latent, value x latent and value x value entries, and
keeps them for the backward pass. Here each step makes what it needs for a few clips at a time, uses it while it is in
the caches, and makes it again in the backward pass.

Letters: N clips, T H W the map, M = kT*kH*kW taps, h heads, d latent entries, u and w channels of the values.
    ``q[n, .]`` is
an entry at position n, ``v[n + m, .]`` one at the position that tap m reaches, zero outside the map. Everything is
channels last, (N, T, H, W, ...)."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.grad import conv3d_input, conv3d_weight

from fragrant.kernels.convolution import conv3d
from fragrant.kernels.own_backward import one_node, own_backward
from fragrant.kernels.taps import pick_taps

Size = tuple[int, int, int]

CPU_STEP_BYTES = 8 << 20  # the largest buffer of a step, if one clip allows it: what stays in the caches
GPU_STEP_BYTES = 64 << 20


def clip_groups(x: Tensor, numbers_per_position: int) -> Iterator[slice]:
    """Yields slices of clips (N, T, H, W, ...) so small that ``numbers_per_position`` stay within the bytes of a
    step."""
    bytes_per_clip = x.shape[1:4].numel() * numbers_per_position * x.element_size()
    at_once = max(1, (CPU_STEP_BYTES if x.device.type == "cpu" else GPU_STEP_BYTES) // bytes_per_clip)
    for first in range(0, len(x), at_once):
        yield slice(first, first + at_once)


@one_node
class UnitLength(torch.autograd.Function):
    """Scales vectors to unit length, ``u / sqrt(sum u^2 + 1e-6)`` over the last dimension: the published norm, epsilon
    inside the root. In float32 at least."""

    @staticmethod
    def forward(ctx, u: Tensor) -> Tensor:
        wide = torch.promote_types(u.dtype, torch.float32)
        scale = torch.linalg.vector_norm(u, dim=-1, keepdim=True, dtype=wide).square_().add_(1e-6).rsqrt_()
        out = u.new_empty(u.shape)  # contiguous, whatever u is
        torch.mul(u, scale, out=out)
        ctx.save_for_backward(out, scale)  # not u: out says the same
        return out

    @staticmethod
    @own_backward
    def backward(ctx, grad: Tensor) -> Tensor:
        out, scale = ctx.saved_tensors
        along = torch.mul(grad, out).sum(-1, keepdim=True, dtype=scale.dtype)
        return torch.addcmul(grad, out, along.to(grad.dtype), value=-1).mul_(scale.to(grad.dtype))


@one_node
class ApplyKernels(torch.autograd.Function):
    """Builds relational kernels and applies them: ``y[n, h, u] = sum_m kernel[n, h, m] * v[n + m, u]`` with ``kernel[n,
    h, m] = sum_d coefficients[n, h, d] * filters[d, m]``.

    (N, T, H, W, h, d), (N, T, H, W, U), (d, M) -> (N, T, H, W, h, U). Replaces convolutions to a d x U matrix per
    position."""

    @staticmethod
    def forward(ctx, coefficients: Tensor, v: Tensor, filters: Tensor, size: Size, impl: str) -> Tensor:
        ctx.save_for_backward(coefficients, v, filters)
        ctx.size, ctx.impl, taps = size, impl, pick_taps(impl, v)
        y = v.new_empty(*coefficients.shape[:5], v.shape[-1])
        for clips in ApplyKernels._groups(coefficients, filters):
            y[clips] = taps.apply_taps(coefficients[clips] @ filters, v[clips], size)
        return y

    @staticmethod
    @own_backward
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        coefficients, v, filters = ctx.saved_tensors
        needs_coefficients, needs_v, needs_filters = ctx.needs_input_grad[:3]
        grad, taps = grad.contiguous(), pick_taps(ctx.impl, v)
        grad_coefficients, grad_v, grad_filters = empty(coefficients), empty(v), wide_zeros(filters)
        for clips in ApplyKernels._groups(coefficients, filters):
            if needs_coefficients or needs_filters:
                grad_kernels = taps.correlate_taps(grad[clips], v[clips], ctx.size)  # (n, T, H, W, h, M)
                grad_coefficients[clips] = grad_kernels @ filters.mT
                grad_filters += rows(coefficients[clips]).mT @ rows(grad_kernels)
            if needs_v:
                grad_v[clips] = taps.scatter_taps(coefficients[clips] @ filters, grad[clips], ctx.size)
        return grad_coefficients, grad_v, grad_filters.to(filters.dtype), None, None

    @staticmethod
    def _groups(coefficients: Tensor, filters: Tensor) -> Iterator[slice]:
        return clip_groups(coefficients, coefficients.shape[4] * filters.shape[1])


@one_node
class CorrelateValues(torch.autograd.Function):
    """Correlates x with the values around it: ``y[n, h, w] = sum_m filters[w, m] * s[n, h, m]`` with ``s[n, h, m] =
    sum_u x[n, h, u] * v[n + m, u]``.

    (N, T, H, W, h, U), (N, T, H, W, U), (w, M) -> (N, T, H, W, h, w). Replaces convolutions to a U x w matrix per
    position."""

    @staticmethod
    def forward(ctx, x: Tensor, v: Tensor, filters: Tensor, size: Size, impl: str) -> Tensor:
        ctx.save_for_backward(x, v, filters)
        ctx.size, ctx.impl, taps = size, impl, pick_taps(impl, v)
        y = x.new_empty(*x.shape[:5], len(filters))
        for clips in CorrelateValues._groups(x, filters):
            y[clips] = taps.correlate_taps(x[clips], v[clips], size) @ filters.mT
        return y

    @staticmethod
    @own_backward
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, v, filters = ctx.saved_tensors
        needs_x, needs_v, needs_filters = ctx.needs_input_grad[:3]
        grad, taps = grad.contiguous(), pick_taps(ctx.impl, v)
        grad_x, grad_v, grad_filters = empty(x), empty(v), wide_zeros(filters)
        for clips in CorrelateValues._groups(x, filters):
            grad_s = grad[clips] @ filters  # (n, T, H, W, h, M)
            if needs_x:
                grad_x[clips] = taps.apply_taps(grad_s, v[clips], ctx.size)
            if needs_v:
                grad_v[clips] = taps.scatter_taps(grad_s, x[clips], ctx.size)
            if needs_filters:
                grad_filters += rows(grad[clips]).mT @ rows(taps.correlate_taps(x[clips], v[clips], ctx.size))
        return grad_x, grad_v, grad_filters.to(filters.dtype), None, None

    @staticmethod
    def _groups(x: Tensor, filters: Tensor) -> Iterator[slice]:
        return clip_groups(x, x.shape[4] * filters.shape[1])


@one_node
class ContractConvolved(torch.autograd.Function):
    """Multiplies vectors by the matrices that a convolution makes at every position, ``y[n, h, :] = x[n, h, :] @ R[n]``
    or its transpose:

    ``R[n, a, b] = sum_m filters[a, b, m] * z[n + m, a] + offset[a, b]``

    (N, T, H, W, h, A), (N, T, H, W, A), (A, B, kT, kH, kW), (A, B) or None -> (N, T, H, W, h, B); transposed: (.., h,
    B) -> (.., h, A)."""

    @staticmethod
    def forward(ctx, x: Tensor, z: Tensor, filters: Tensor, offset: Tensor | None, transposed: bool) -> Tensor:
        ctx.save_for_backward(x, z, filters, offset)
        ctx.transposed = transposed
        y = x.new_empty(*x.shape[:5], filters.shape[0 if transposed else 1])
        for clips in clip_groups(x, filters.shape[:2].numel()):
            matrices = position_matrices(z[clips], filters, offset)  # (p, A, B)
            torch.bmm(by_position(x[clips]), matrices.mT if transposed else matrices, out=by_position(y[clips]))
        return y

    @staticmethod
    @own_backward
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, z, filters, offset = ctx.saved_tensors
        needs_x, needs_z, needs_filters, needs_offset, _ = ctx.needs_input_grad
        grad = grad.contiguous()
        grad_x, grad_z, grad_filters = empty(x), empty(z), wide_zeros(filters)
        grad_offset = wide_zeros(filters[:, :, 0, 0, 0])
        for clips in clip_groups(x, filters.shape[:2].numel()):
            x_rows, grad_rows = by_position(x[clips]), by_position(grad[clips])
            if needs_x:
                matrices = position_matrices(z[clips], filters, offset)  # (p, A, B)
                torch.bmm(grad_rows, matrices if ctx.transposed else matrices.mT, out=by_position(grad_x[clips]))
            if needs_z or needs_filters or needs_offset:
                # (p, A, B)
                grad_matrices = torch.bmm(grad_rows.mT, x_rows) if ctx.transposed else torch.bmm(x_rows.mT, grad_rows)
                grad_offset += grad_matrices.sum(0, dtype=grad_offset.dtype)
                add_to = grad_filters if needs_filters else None
                convolution_gradients(
                    grad_matrices, z[clips], filters, grad_z=grad_z[clips] if needs_z else None, grad_filters=add_to
                )
        return (
            grad_x,
            grad_z,
            grad_filters.to(filters.dtype),
            grad_offset.to(filters.dtype) if needs_offset else None,
            None,
        )


def position_matrices(z: Tensor, filters: Tensor, offset: Tensor | None) -> Tensor:
    """The matrix of every position, A channels each convolved with their own B filters: (n, T, H, W, A), (A, B, kT, kH,
    kW) -> (p, A, B) for the p = n*T*H*W positions."""
    channels, matrix_width = filters.shape[:2]
    padding = [k // 2 for k in filters.shape[2:]]
    # (n, A*B, T, H, W)
    planes = conv3d(channels_first(z), filters.flatten(0, 1).unsqueeze(1), padding=padding, groups=channels)
    matrices = planes.permute(0, 2, 3, 4, 1).reshape(-1, channels, matrix_width)
    return matrices if offset is None else matrices.add_(offset)


def convolution_gradients(
    grad: Tensor, z: Tensor, filters: Tensor, *, grad_z: Tensor | None, grad_filters: Tensor | None
) -> None:
    """Backward of :func:`position_matrices` from grad (p, A, B): writes grad_z, adds to grad_filters.

    Each gradient in the memory format that is fast for it on the CPU, which makes 5 to 10 times: the filters' channels
    last, the input's channels first. There the filters' is taken in float32: in bfloat16 oneDNN's is wrong, even not
    finite, where clips are shorter than filters (seen with torch 2.15)."""
    channels = len(filters)
    weight = filters.flatten(0, 1).unsqueeze(1)  # (A*B, 1, kT, kH, kW)
    padding = [k // 2 for k in filters.shape[2:]]
    planes = channels_first(grad.view(*z.shape[:4], -1))  # (n, A*B, T, H, W), channels last in memory
    if grad_filters is not None:
        dtype = torch.promote_types(z.dtype, torch.float32) if z.device.type == "cpu" else z.dtype
        inputs, shape = channels_first(z).to(dtype), weight.shape
        step = conv3d_weight(inputs, shape, planes.to(dtype), padding=padding, groups=channels)
        grad_filters += step.view(grad_filters.shape)
    if grad_z is not None:
        if planes.device.type == "cpu":
            planes = planes.contiguous()
        step = conv3d_input(channels_first(z).shape, weight, planes, padding=padding, groups=channels)
        grad_z.copy_(step.permute(0, 2, 3, 4, 1))


def channels_first(x: Tensor) -> Tensor:
    """A view with the channels first: (n, T, H, W, C) -> (n, C, T, H, W)"""
    return x.permute(0, 4, 1, 2, 3)


def by_position(x: Tensor) -> Tensor:
    """A view with one row per position: (n, T, H, W, h, D) -> (n*T*H*W, h, D)"""
    return x.flatten(0, 3)


def rows(x: Tensor) -> Tensor:
    """Flattens positions and heads to rows: (n, T, H, W, h, D) -> (n*T*H*W*h, D)"""
    return x.flatten(0, -2)


def empty(x: Tensor) -> Tensor:
    """An empty tensor for the gradient of x; contiguous, whatever x is. A gradient that is not needed stays unfilled;
    autograd drops it."""
    return x.new_empty(x.shape)


def wide_zeros(x: Tensor) -> Tensor:
    """Zeros in the shape of x to add up in: float32 at least."""
    return torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
