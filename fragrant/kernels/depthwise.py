"""Which implementation of the depthwise 3D convolution runs: PyTorch anywhere, Triton on CUDA.

Both offer ``depthwise_conv3d`` with the same arguments; see ``depthwise_torch.py`` for what it computes.
"""

import importlib
from types import ModuleType

import torch
from torch import Tensor

from fragrant.kernels.taps import TRITON_DTYPES, KernelError, check_implementation, triton_is_installed, triton_is_interpreted


def pick_depthwise(name: str, x: Tensor) -> ModuleType:
    """The module to compute with: ``auto`` is Triton for CUDA tensors in channels_last_3d and a number format it has, if it is
    installed, else PyTorch.

    Args:
        x: the convolution's input.

    Raises:
        KernelError: Triton was asked for, but cannot run on this device.
    """
    on_gpu = x.device.type == "cuda"
    if check_implementation(name) == "triton" and not (on_gpu or triton_is_interpreted()):
        raise KernelError(f"the implementation 'triton' needs tensors on a CUDA GPU, got {x.device}; use 'auto' or 'torch'")
    use_triton = name == "triton" or (name == "auto" and on_gpu and is_fast_in_triton(x) and triton_is_installed())
    return importlib.import_module("fragrant.kernels." + ("depthwise_triton" if use_triton else "depthwise_torch"))


def is_fast_in_triton(x: Tensor) -> bool:
    few = x.numel() < 2**31  # what the kernels' indices reach
    return few and x.dtype in TRITON_DTYPES and x.is_contiguous(memory_format=torch.channels_last_3d)
