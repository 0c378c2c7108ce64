"""The frequency-auxiliary module in its published order of operations: an FFT, its amplitude, and two multiplications
by the frequency."""

import torch
from torch import Tensor, nn


def published_fam(x: Tensor, amplitude_exponent: int = 1) -> Tensor:
    """FAM in its published form, x[t] * f[t] * f[t] * |X[t]|^exponent, where t is the frame index of x and the bin
    index of f and X: (N, C, T, H, W) -> the same shape

    Exponent 1 is the published code, 2 the published figure."""
    spectrum = torch.fft.fft(x, dim=2, norm="ortho")
    amplitude = torch.abs(spectrum)
    frequency = torch.fft.fftfreq(x.shape[2], dtype=x.dtype, device=x.device).view(1, 1, -1, 1, 1)
    y = x * frequency * frequency * amplitude
    return y if amplitude_exponent == 1 else y * amplitude


class PublishedFAM(nn.Module):
    """``published_fam`` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return published_fam(x)
