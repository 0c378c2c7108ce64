"""The depthwise 3D convolution in plain PyTorch: exact, on any device, with a fast backward pass on the CPU."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.kernels.convolution import conv3d
from fragrant.kernels.own_backward import applied

HAS_ONEDNN = torch.backends.mkldnn.is_available()


def depthwise_conv3d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int]) -> Tensor:
    """Depthwise 3D convolution: ``y[n, c] = bias[c] + sum_m weight[c, m] * x[stride * n + m - kernel // 2, c]``, x zero
    outside the map.

    (N, C, T, H, W), (C, 1, kT, kH, kW), (C) or None -> (N, C, ceil(T / sT), ceil(H / sH), ceil(W / sW))"""
    if tuple(stride) == (1, 1, 1) and torch.is_grad_enabled() and is_cube(weight) and gains_from_own_backward(x):
        return applied(DepthwiseConv3dOnCpu, x, weight, bias)
    padding = [size // 2 for size in weight.shape[2:]]
    return conv3d(x, weight, bias, stride=stride, padding=padding, groups=len(weight))


def is_cube(weight: Tensor) -> bool:
    return weight.shape[2] == weight.shape[3] == weight.shape[4] >= 3


def gains_from_own_backward(x: Tensor) -> bool:
    on_cpu = HAS_ONEDNN and x.device.type == "cpu"
    return (
        on_cpu and x.dtype in (torch.float32, torch.bfloat16) and x.is_contiguous(memory_format=torch.channels_last_3d)
    )


class DepthwiseConv3dOnCpu(torch.autograd.Function):
    """Depthwise 3D convolution with a fast backward pass on the CPU; equal to F.conv3d up to rounding. oneDNN has no
    fast backward pass for it, but for these:

    - the input gradient is a depthwise convolution of the output gradient with the mirrored filters (10 times faster),
    - the filter gradient is put together from 2D depthwise filter gradients (2 to 5 times faster).

    In bfloat16 oneDNN's own filter gradient is even wrong where clips are shorter than filters (seen with torch
    2.15)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv3d(x, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last_3d)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            F.conv3d(grad, weight.flip(2, 3, 4), padding=weight.shape[-1] // 2, groups=len(weight))
            if needs_x
            else None,
            filter_grad(x.float(), grad.float(), weight.shape[-1]).to(weight.dtype) if needs_weight else None,
            grad.sum((0, 2, 3, 4)) if needs_bias else None,
        )


def filter_grad(x: Tensor, grad: Tensor, kernel_size: int) -> Tensor:
    """Gradient of the filters: (N, C, T, H, W) twice, channels_last_3d -> (C, 1, k, k, k); entry (a, b, c) sums grad
    times x shifted by (a, b, c) - k // 2.

    All frames of all clips lie behind one another as one batch of images, with zeros between clips (and between
    rows, for k > 3), so that a shift in time (and by columns) is another start in memory. The fast 2D gradient
    covers filters that are 3 wide; wider ones are put together from several column shifts."""
    reach, margin = kernel_size // 2, kernel_size // 2 - 1  # margin: the columns that a filter 3 wide does not reach
    n, c, t, h, w = x.shape
    padded = (n, t + reach, h, w + 2 * margin, c)
    image = h * padded[3] * c  # numbers in one padded image
    frames = n * padded[1]
    first = (reach + 1) * image  # room for shifts to the front
    memory = x.new_zeros(first + (frames + reach + 1) * image)
    memory[first : first + frames * image].view(padded)[:, :t, :, :w] = x.permute(0, 2, 3, 4, 1)
    grads = F.pad(grad.permute(0, 2, 3, 4, 1), (0, 0, 0, 2 * margin, 0, 0, 0, reach))  # (N, T', H, W', C)
    grads = grads.flatten(0, 1).permute(0, 3, 1, 2)  # (N*T', C, H, W')
    slices = []
    for frame in range(-reach, reach + 1):
        columns = []
        for column in range(-margin, margin + 1, 2):
            images = memory.as_strided(grads.shape, grads.stride(), first + frame * image + column * c)
            gradient = filter_grad_2d(images, grads, (kernel_size, 3))
            columns.append(gradient if column == -margin else gradient[..., 1:])  # neighbours share a column
        slices.append(torch.cat(columns, -1))  # (C, 1, k, k)
    return torch.stack(slices, 2)


def filter_grad_2d(x: Tensor, grad: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Gradient of the filters of a 2D depthwise convolution: (M, C, H, W) twice -> (C, 1, kH, kW)"""
    weight, padding = x.new_empty(x.shape[1], 1, *kernel_size), [size // 2 for size in kernel_size]
    wanted = [False, True, False]  # only the filter's
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], x.shape[1], wanted
    )[1]
