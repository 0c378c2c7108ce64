"""Choice of the implementation of DGAM's passes over clips: Triton kernels (``gamma_triton.py``), or the PyTorch of two
layers.

The layers are ``layers/frame_statistics.py`` and ``layers/gamma_experts.py``."""

from torch import Tensor

from fragrant.kernels.taps import has_operators, picks_triton


def passes_by_triton(name: str, clips: Tensor) -> bool:
    """Whether the implementation ``name`` computes with the kernels, which have no gradient of the clips.

    Raises:
        KernelError: Triton was asked for, but cannot run on this device.
    """
    return picks_triton(name, clips) and not clips.requires_grad and clips.numel() > 0 and has_operators("gamma_triton")
