"""Benchmarks of every kernel beside its published form and its floor, the least time for moving its bytes or computing
its FLOPs."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from fragrant.benchmarks.dgam import dark_clips
from fragrant.benchmarks.gpu.build import preparation
from fragrant.benchmarks.gpu.ceilings import Ceilings
from fragrant.benchmarks.gpu.published_forms import FftFAM, PublishedExperts, published_ram
from fragrant.benchmarks.gpu.sizes import Sizes
from fragrant.benchmarks.gpu.timing import timed
from fragrant.benchmarks.published.dgam import published_statistics
from fragrant.benchmarks.ram import Case, ram_cases
from fragrant.layers.depthwise_conv import DepthwiseConv3d
from fragrant.layers.fam import FAM
from fragrant.layers.frame_statistics import frame_statistics
from fragrant.layers.gamma_experts import PUBLISHED_TAU, GammaExperts
from fragrant.layers.ram import RAM

Function = Callable[[], object]
Size = tuple[int, int, int]


class Kernel(NamedTuple):
    """A kernel to measure, in this package's form, the published one and others. moved: bytes of every input once and
    every output once; computed: FLOPs."""

    title: str
    ours: Function
    published: Function
    moved: float
    computed: float = 0.0
    beside: dict[str, Function] = {}
    slow: bool = False  # the published form: one warm-up and three rounds


def measure_kernel(kernel: Kernel, device: torch.device, ceilings: Ceilings, sizes: Sizes) -> dict:
    """Measures the forms of a kernel. A form that fails gives its error in one line, and the others are measured all
    the same."""
    how: dict[str, Any] = dict(rounds=sizes.rounds, seconds=sizes.seconds / 2, span=2e-3)
    row: dict[str, Any] = {"case": kernel.title}
    for name, function in {"ours": kernel.ours, "published": kernel.published, **kernel.beside}.items():
        slow = kernel.slow and name == "published"
        try:
            time = timed(function, device, **(how | {"rounds": 3, "warmup": 1} if slow else how))
            row[f"{name}_ms"] = time.median * 1e3
        except Exception as error:  # out of memory, a kernel that does not compile
            row[f"{name}_error"] = one_line(error)
    if "ours_ms" in row:
        seconds, floor = row["ours_ms"] / 1e3, ceilings.floor(kernel.moved, kernel.computed)
        row |= {"gb_per_second": kernel.moved / seconds / 1e9, "floor_ms": floor * 1e3, "over_floor": seconds / floor}
        if kernel.computed:
            row["tflops"] = kernel.computed / seconds / 1e12
        if "published_ms" in row:
            row["times_faster"] = row["published_ms"] / row["ours_ms"]
    return row


def one_line(error: BaseException) -> str:
    """Kind and text of an error in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def forward(form: Callable[[Tensor], Tensor], x: Tensor) -> Function:
    def run() -> Tensor:
        with torch.no_grad():
            return form(x)

    return run


def forward_backward(
    form: Callable[[Tensor], Tensor], x: Tensor, *, autocast: torch.dtype | None = None, to_x: bool = True
) -> Function:
    """Builds a function that runs forward and backward: gradients of the parameters and, unless ``to_x`` is False, of
    x."""
    x = x.detach().requires_grad_(to_x)
    grad: list[Tensor] = []
    parameters = list(form.parameters()) if isinstance(form, nn.Module) else []

    def run() -> None:
        with torch.autocast(x.device.type, dtype=autocast or torch.bfloat16, enabled=autocast is not None):
            y = form(x)
        if not grad:
            grad.append(torch.randn_like(y))
        y.backward(grad[0])
        for tensor in [x, *parameters]:
            tensor.grad = None

    return run


# ------------------------------------------------------------------------------------------------------------ depthwise
class DepthwiseCase(NamedTuple):
    """A depthwise convolution to measure: a map (N, C, T, S, S) and a filter."""

    title: str
    shape: tuple[int, int, int, int]  # N, C, T, S
    kernel_size: int
    stride: int = 1


DEPTHWISE = (
    DepthwiseCase("UniFormer stage 1, 5x5x5", (16, 64, 8, 56), 5),
    DepthwiseCase("UniFormer stage 1, 3x3x3", (16, 64, 8, 56), 3),
    DepthwiseCase("CSN-152 stage 1, 3x3x3", (12, 64, 32, 56), 3),
    DepthwiseCase("UniFormer stage 2, 5x5x5", (16, 128, 8, 28), 5),
    DepthwiseCase("UniFormer stage 2, 3x3x3", (16, 128, 8, 28), 3),
    DepthwiseCase("UniFormer stage 3, 3x3x3", (16, 320, 8, 14), 3),
    DepthwiseCase("CSN-152 stage 2, 3x3x3", (12, 128, 16, 28), 3),
    DepthwiseCase("CSN-152 stage 2, 3x3x3 stride 2", (12, 128, 32, 56), 3, 2),
    DepthwiseCase("CSN-152 stage 3, 3x3x3", (12, 256, 8, 14), 3),
    DepthwiseCase("UniFormer stage 4, 3x3x3", (16, 512, 8, 7), 3),
)


def depthwise_kernels(device: torch.device, sizes: Sizes) -> Iterator[Kernel]:
    """Depthwise convolutions to measure: this package's in bf16, channels_last_3d; published: cuDNN's, fp16 and
    contiguous; beside both cuDNN's in channels_last_3d."""
    for case in DEPTHWISE:
        n, c, t, s = case.shape
        shape = (sizes.clips(n), c, sizes.frames(t), sizes.pixels(s), sizes.pixels(s))
        module = DepthwiseConv3d(c, kernel_size=case.kernel_size, stride=case.stride).to(device)
        half = torch.float16 if device.type == "cuda" else torch.bfloat16
        module.to(torch.bfloat16)
        x = torch.randn(shape, device=device, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last_3d)
        plain = _plain_conv(module, half, torch.contiguous_format)
        cudnn = _plain_conv(module, torch.bfloat16, torch.channels_last_3d)
        x_plain = x.to(half).contiguous()
        size_in, size_out = x.numel() * 2, module(x).numel() * 2
        flops = 2 * size_out / 2 * case.kernel_size**3
        name = f"{case.title}, {'x'.join(map(str, shape))}"
        yield Kernel(
            f"{name}, forward",
            forward(module, x),
            forward(plain, x_plain),
            size_in + size_out,
            flops,
            {"cudnn_channels_last": forward(cudnn, x)},
        )
        yield Kernel(
            f"{name}, forward + backward",
            forward_backward(module, x),
            forward_backward(plain, x_plain),
            3 * size_in + 2 * size_out,  # backward: the output's gradient and x in, the gradient of x out
            3 * flops,
            {"cudnn_channels_last": forward_backward(cudnn, x)},
        )


def _plain_conv(module: DepthwiseConv3d, dtype: torch.dtype, layout: torch.memory_format) -> nn.Conv3d:
    plain = nn.Conv3d(
        module.in_channels,
        module.out_channels,
        cast(Size, module.kernel_size),  # torch keeps them as tuple[int, ...]
        cast(Size, module.stride),
        cast(Size, module.padding),
        groups=module.groups,
        bias=True,
    )
    plain.load_state_dict(module.state_dict())
    return plain.to(module.weight.device, dtype).to(memory_format=layout)


# ---------------------------------------------------------------------------------------------------------- FAM and RAM
def fam_kernels(device: torch.device, sizes: Sizes) -> Iterator[Kernel]:
    """FAM's frequency gain to measure, in bf16; the published FFT takes float32."""
    for channels, size in ((128, 28), (320, 14)):
        shape = (sizes.clips(32), channels, 8, sizes.pixels(size), sizes.pixels(size))
        x = torch.randn(shape, device=device, dtype=torch.bfloat16)
        last = x.contiguous(memory_format=torch.channels_last_3d)
        fam, fft, moved = FAM(), FftFAM(1), x.numel() * 2
        name = f"FAM, {'x'.join(map(str, shape))}"
        yield Kernel(f"{name}, forward", forward(fam, last), forward(fft, x), 2 * moved)
        yield Kernel(f"{name}, forward + backward", forward_backward(fam, last), forward_backward(fft, x), 5 * moved)


def ram_kernels(device: torch.device, sizes: Sizes) -> Iterator[Kernel]:
    """RAM to measure, under bf16 autocast, projection included; the floor counts q, v, y forward, and these with their
    gradients backward."""
    for case in ram_cases(clips=sizes.clips(8), clips_of_relational_features=sizes.clips(8)):
        yield ram_kernel(case, device, sizes)


def ram_kernel(case: Case, device: torch.device, sizes: Sizes) -> Kernel:
    side = sizes.pixels(case.size)
    ram = RAM(case.channels, case.channels, **case.settings).to(device)
    x = torch.randn(case.clips, case.channels, 8, side, side, device=device)
    last = x.contiguous(memory_format=torch.channels_last_3d)
    heads, key_dim, value_dim, _ = ram.dims
    positions = case.clips * 8 * side * side
    moved = positions * (3 * (heads * key_dim + value_dim) + 2 * heads * value_dim) * 2
    title = f"RAM {case.title}, {case.clips}x{case.channels}x8x{side}x{side}, forward + backward"
    return Kernel(
        title,
        forward_backward(ram, last, autocast=torch.bfloat16),
        forward_backward(published_ram(ram), x, autocast=torch.bfloat16),
        moved,
        slow=True,
    )


# ---------------------------------------------------------------------------------------------------- DGAM, preparation
def dgam_kernels(device: torch.device, sizes: Sizes) -> Iterator[Kernel]:
    """DGAM's statistics and experts to measure, in float32, as both forms take it."""
    clips = dark_clips(sizes.clips(8), num_frames=sizes.frames(32), size=sizes.pixels(224), device=device)
    ours = GammaExperts(clips.shape[2], select="hard", tau=PUBLISHED_TAU, dropout=0.0).to(device)
    published, moved = PublishedExperts(ours).to(device), clips.numel() * 4
    name = "x".join(map(str, clips.shape))
    yield Kernel(
        f"DGAM statistics, {name}, forward",
        forward(frame_statistics, clips),
        forward(published_statistics, clips),
        moved,
        slow=True,
    )

    def first(form: nn.Module) -> nn.Module:
        return _First(form)

    yield Kernel(
        f"DGAM statistics + experts, {name}, forward",
        forward(first(ours), clips),
        forward(first(published), clips),
        2 * moved,
        slow=True,
    )
    yield Kernel(
        f"DGAM statistics + experts, {name}, forward + backward",
        forward_backward(first(ours), clips, to_x=False),
        forward_backward(first(published), clips, to_x=False),
        4 * moved,  # backward: clips and gradient in
        slow=True,
    )


class _First(nn.Module):
    """A module that returns the brightened clips of gamma experts without the choice."""

    def __init__(self, experts: nn.Module):
        super().__init__()
        self.experts = experts

    def forward(self, clips: Tensor) -> Tensor:
        return self.experts(clips)[0]


def preparation_kernels(device: torch.device, sizes: Sizes) -> Iterator[Kernel]:
    """Preparation of clips to measure, from uint8 to normalised; published: one operation after the other,
    contiguous."""
    prepare, clips, plain = preparation(device, sizes)
    contiguous = clips.contiguous()
    mean, std = plain.mean, plain.std
    moved = clips.numel() * (1 + prepare(clips).element_size())
    name = f"preparation, {'x'.join(map(str, clips.shape))}"
    yield Kernel(name, forward(prepare, clips), forward(lambda c: (c.float() / 255 - mean) / std, contiguous), moved)


KERNELS: dict[str, Callable[[torch.device, Sizes], Iterator[Kernel]]] = {
    "depthwise": depthwise_kernels,
    "FAM": fam_kernels,
    "DGAM": dgam_kernels,
    "RAM": ram_kernels,
    "preparation": preparation_kernels,
}
