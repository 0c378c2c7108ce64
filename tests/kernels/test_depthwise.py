"""Which implementation of the depthwise convolution runs, and that the one in PyTorch is right."""

import subprocess
import sys

import pytest
import torch

from fragrant.kernels import depthwise_torch, taps
from fragrant.kernels.depthwise import depthwise_conv3d, runs_in_triton
from fragrant.kernels.taps import KernelError


class Like:
    """Stands for a tensor of a device that may not be here."""

    def __init__(self, device: str, dtype: torch.dtype, last: bool = True, numbers: int = 100):
        self.device, self.dtype, self.last, self.numbers = torch.device(device), dtype, last, numbers

    def numel(self) -> int:
        return self.numbers

    def is_contiguous(self, memory_format: torch.memory_format) -> bool:
        return self.last and memory_format == torch.channels_last_3d


@pytest.mark.parametrize(
    "name, like, installed, expected",
    [
        ("auto", Like("cpu", torch.float32), True, False),
        ("auto", Like("cuda", torch.float32), False, False),
        ("auto", Like("cuda", torch.float64), True, False),
        ("auto", Like("cuda", torch.bfloat16, last=False), True, False),
        ("auto", Like("cuda", torch.bfloat16, numbers=2**31), True, False),
        ("auto", Like("cuda", torch.bfloat16), True, True),
        ("auto", Like("cuda", torch.float32), True, True),
        ("triton", Like("cuda", torch.bfloat16, last=False), True, True),
        ("torch", Like("cuda", torch.float32), True, False),
    ],
)
def test_choice(name, like, installed, expected, monkeypatch):
    monkeypatch.setattr(taps, "triton_is_installed", lambda: installed)
    assert runs_in_triton(name, like) == expected


def test_what_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(taps, "triton_is_installed", lambda: True)
    x, weight = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 3, 3, 3)
    with pytest.raises(KernelError, match="the implementation 'fast' is not known; known: auto, torch, triton"):
        depthwise_conv3d(x, weight, None, (1, 1, 1), impl="fast")
    with pytest.raises(KernelError, match="the implementation 'triton' needs tensors on a CUDA GPU, got cpu"):
        depthwise_conv3d(x, weight, None, (1, 1, 1), impl="triton")


def test_layers_do_not_import_triton():
    """Importing it costs a second, and it may be missing."""
    code = """
import sys, torch
from fragrant.layers.depthwise_conv import DepthwiseConv3d
DepthwiseConv3d(2, kernel_size=3)(torch.zeros(1, 2, 1, 1, 1))
sys.exit("fragrant.kernels.depthwise_triton" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(
    "size, stride", [((3, 3, 3), (1, 1, 1)), ((3, 1, 5), (1, 2, 2)), ((5, 5, 5), (2, 1, 3))], ids=str
)
def test_pytorch_has_the_gradients_of_its_sum(size, stride, has_bias):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 3, 4, 5, dtype=torch.double).to(memory_format=torch.channels_last_3d).requires_grad_()
    weight = torch.randn(3, 1, *size, dtype=torch.double, requires_grad=True)
    bias = torch.randn(3, dtype=torch.double, requires_grad=True) if has_bias else None
    assert torch.autograd.gradcheck(depthwise_torch.depthwise_conv3d, (x, weight, bias, stride))


def test_pytorch_sums_as_its_definition_says():
    """y[n] = bias + sum_m weight[m] * x[stride * n + m - kernel // 2], by plain loops over the taps."""
    torch.manual_seed(0)
    size, stride = (3, 5, 1), (2, 1, 2)
    x, weight, bias = torch.randn(2, 3, 4, 5, 6), torch.randn(3, 1, *size), torch.randn(3)
    padded = torch.nn.functional.pad(x, (0, 0, 2, 2, 1, 1))
    expected = bias.view(1, 3, 1, 1, 1).expand(2, 3, 2, 5, 3).clone()
    for t in range(3):
        for row in range(5):
            expected += weight[:, 0, t, row, 0].view(1, 3, 1, 1, 1) * padded[:, :, t : t + 4 : 2, row : row + 5, ::2]
    found = depthwise_conv3d(x, weight, bias, stride)
    assert found.shape == (2, 3, 2, 5, 3)
    torch.testing.assert_close(found, expected)


def test_the_layer_is_followed_by_torch_compile():
    """Without a break of the graph, and with the same numbers."""
    from fragrant.layers.depthwise_conv import DepthwiseConv3d

    conv = DepthwiseConv3d(4, kernel_size=3)
    x = torch.randn(1, 4, 3, 4, 4).to(memory_format=torch.channels_last_3d)
    compiled = torch.compile(conv, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), conv(x), rtol=0, atol=0)
