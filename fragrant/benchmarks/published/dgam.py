"""DGAM's gate and gamma experts in their published order of operations: loops over clips, frames and experts, every
number on the CPU."""

import numpy as np
import torch
from torch import Tensor, nn

from fragrant.layers.gamma_experts import GAMMAS, Gate


def frame_entropy(frame: np.ndarray) -> float:
    """Entropy in nats of numpy's histogram of a frame, its values stretched to 0..255 in float32."""
    stretched = 255 * (frame - frame.min()) / (frame.max() - frame.min() + 1e-10)
    counts, _ = np.histogram(stretched, bins=256, range=(0, 255))
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def published_statistics(clips: Tensor) -> Tensor:
    """Mean, standard deviation and entropy of every frame, each fetched from the device: (N, C, T, H, W) -> (N, 3T)"""
    rows = []
    for clip in clips:
        row = []
        for frame in clip.unbind(1):  # (C, H, W)
            row += [frame.mean().item(), frame.std().item(), frame_entropy(frame.cpu().numpy())]
        rows.append(row)
    return torch.tensor(rows, device=clips.device)


def published_expert(clips: Tensor, gamma: float) -> Tensor:
    """Brightens clips frame by frame with one expert: (N, C, T, H, W) -> the same shape"""
    done = []
    for clip in clips:
        frames = []
        for frame in clip.unbind(1):  # (C, H, W)
            low, high = frame.min(), frame.max()
            frames.append(((frame - low) / (high - low + 1e-5)) ** (1 / gamma) * (high - low) + low)
        done.append(torch.stack(frames, 1))
    return torch.stack(done)


class PublishedGammaExperts(nn.Module):
    """Gamma experts in their published form, all experts of every clip, weighted with softmax(p / tau): (N, C, T, H, W)
    -> the same shape. Parameters have the names of ``GammaExperts``."""

    def __init__(self, num_frames: int, *, tau: float = 1e-6):
        super().__init__()
        self.gating, self.tau = Gate(num_frames, len(GAMMAS), dropout=0.0), tau

    def forward(self, clips: Tensor) -> Tensor:
        weights = (self.gating(published_statistics(clips)) / self.tau).softmax(-1)  # (N, E)
        experts = torch.stack([published_expert(clips, gamma) for gamma in GAMMAS], 1)  # (N, E, C, T, H, W)
        return (weights[:, :, None, None, None, None] * experts).sum(1)
