"""Benchmark of the depthwise 3D convolution on a GPU: the Triton kernels next to cuDNN, and next to the chip's
limits."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.errors import UserError
from fragrant.kernels.taps import triton_is_installed

Size = tuple[int, int, int]

COPIED_BYTES = 1 << 30
FMA_PER_CLOCK = 128  # of one multiprocessor, in float32


class Ceilings(NamedTuple):
    """Highest rates of the GPU: bytes per second (a copy, measured), float32 multiply-adds per second (by its data
    sheet)."""

    bytes: float
    multiply_adds: float

    @classmethod
    def of(cls, device: torch.device) -> "Ceilings":
        source = torch.empty(COPIED_BYTES, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        clock = torch.cuda.get_device_properties(device).clock_rate * 1e3  # kHz
        cores = torch.cuda.get_device_properties(device).multi_processor_count
        return cls(2 * COPIED_BYTES / seconds(lambda: target.copy_(source)), cores * FMA_PER_CLOCK * clock)

    def floor(self, layer: "Layer", dtype: torch.dtype) -> float:
        """Fewest seconds of a layer: for moving the maps once through memory, or for a multiply-add for each output and
        tap."""
        moved = (layer.inputs + layer.outputs) * dtype.itemsize / self.bytes
        return max(moved, layer.outputs * layer.taps / self.multiply_adds)


class Layer(NamedTuple):
    """One depthwise convolution of a network: N clips, C, (T, H, W), kernel size, stride."""

    clips: int
    channels: int
    map: Size
    size: Size
    stride: Size
    has_bias: bool

    def __str__(self) -> str:
        frames, height, width = self.map
        size, stride = ("x".join(map(str, sizes)) for sizes in (self.size, self.stride))
        return f"{size} /{stride}, {self.clips} x {self.channels} x {frames} x {height} x {width}"

    @property
    def out(self) -> Size:
        frames, height, width = (-(-length // step) for length, step in zip(self.map, self.stride, strict=True))
        return frames, height, width

    @property
    def inputs(self) -> int:
        return torch.Size((self.clips, self.channels, *self.map)).numel()

    @property
    def outputs(self) -> int:
        return torch.Size((self.clips, self.channels, *self.out)).numel()

    @property
    def taps(self) -> int:
        return torch.Size(self.size).numel()


def seconds(function: Callable[[], object]) -> float:
    """Median seconds over many calls, with caches emptied before each."""
    from triton.testing import do_bench

    return do_bench(function, warmup=20, rep=60, return_mode="median") * 1e-3


def passes_of(layer: Layer, dtype: torch.dtype, device: torch.device) -> dict[str, dict[str, Callable[[], object]]]:
    """Functions that run each pass: pass -> implementation -> function. cuDNN in both memory formats."""
    from fragrant.kernels import depthwise_triton

    generator = torch.Generator(device).manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, generator=generator).to(dtype)

    x, weight = random(layer.clips, layer.channels, *layer.map), random(layer.channels, 1, *layer.size)
    grad = random(layer.clips, layer.channels, *layer.out)
    bias = random(layer.channels) if layer.has_bias else None
    padding = [size // 2 for size in layer.size]
    runs: dict[str, dict[str, Callable[[], object]]] = {"forward": {}, "input gradient": {}, "filter gradient": {}}
    last = torch.channels_last_3d
    for name, layout in (("cudnn", torch.contiguous_format), ("cudnn channels last", last)):
        maps = x.contiguous(memory_format=layout), grad.contiguous(memory_format=layout)

        def backward(wanted: list[bool], maps: tuple[Tensor, Tensor] = maps) -> object:
            sizes = (layer.stride, padding, [1] * 3, False, [0] * 3, layer.channels, wanted)
            return torch.ops.aten.convolution_backward(maps[1], maps[0], weight, [layer.channels], *sizes)

        def forward(x: Tensor = maps[0]) -> Tensor:
            return F.conv3d(x, weight, bias, layer.stride, padding, 1, layer.channels)

        runs["forward"][name] = forward
        runs["input gradient"][name] = partial(backward, [True, False, False])
        runs["filter gradient"][name] = partial(backward, [False, True, layer.has_bias])
    x, grad = x.contiguous(memory_format=last), grad.contiguous(memory_format=last)
    runs["forward"]["triton"] = lambda: depthwise_triton.depthwise_conv3d(x, weight, bias, layer.stride)
    runs["input gradient"]["triton"] = lambda: depthwise_triton.input_grad(grad, weight, layer.map, layer.stride)
    runs["filter gradient"]["triton"] = lambda: depthwise_triton.filter_grad(grad, x, layer.size, layer.stride)
    return runs


def benchmark_depthwise(*, clips: int, device: torch.device, dtype: torch.dtype | None = None) -> str:
    """Table of the milliseconds of each pass, the kernels' speedup over the faster cuDNN form, and their multiple of
    the floor.

    Args:
        dtype: number format; None is bfloat16.

    Raises:
        UserError: no GPU, or no Triton.
    """
    if device.type != "cuda" or not triton_is_installed():
        raise UserError(
            "the depthwise kernels are timed on a CUDA GPU with the package triton; one of them is missing here"
        )
    from fragrant.kernels.depthwise_triton import NETWORK_LAYERS

    ceilings, dtype = Ceilings.of(device), dtype or torch.bfloat16
    title = f"{torch.cuda.get_device_name(device)}; torch {torch.__version__}; copy {ceilings.bytes / 1e12:.2f} TB/s, "
    title += f"{ceilings.multiply_adds / 1e12:.1f} T multiply-adds/s in float32; {dtype}"
    heads = ("cudnn", "channels last", "triton", "gain", "floors")
    lines = [title, f"{'milliseconds':<54}" + "".join(f"{head:>14}" for head in heads)]
    for layer in (Layer(clips, *sizes) for sizes in NETWORK_LAYERS):
        floor = ceilings.floor(layer, dtype)
        for name, runs in passes_of(layer, dtype, device).items():
            times = {implementation: seconds(run) for implementation, run in runs.items()}
            plain, last, own = times["cudnn"], times["cudnn channels last"], times["triton"]
            numbers = "".join(f"{1e3 * time:>14.3f}" for time in (plain, last, own))
            lines.append(f"{name:<16}{layer!s:<38}{numbers}{min(plain, last) / own:>13.1f}x{own / floor:>13.2f}x")
    return "\n".join(lines)
