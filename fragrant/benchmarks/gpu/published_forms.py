"""Converts a network of this package to the order of operations of the published code, with the same weights."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.benchmarks.published.dgam import published_expert, published_statistics
from fragrant.benchmarks.published.fam import published_fam
from fragrant.benchmarks.published.rsa import PublishedRSA
from fragrant.layers.depthwise_conv import DepthwiseConv3d
from fragrant.layers.fam import FAM
from fragrant.layers.fused_attention import AttentionAs
from fragrant.layers.gamma_experts import GAMMAS, PUBLISHED_TAU, Choice, GammaExperts, one_hot
from fragrant.layers.pa import EPSILON, PA
from fragrant.layers.ram import RAM


class PublishedDepthwise(nn.Conv3d):
    """The published depthwise convolution: cuDNN's grouped convolution."""


class PublishedPA(PA):
    """PA in its published form: the responses of all frames, then the distances of neighbours."""

    def forward(self, clips: Tensor) -> Tensor:
        """Motion maps of clips: (N, 3, T*L, H, W) -> (N*T, L-1, H, W)"""
        frames = clips.transpose(1, 2)  # (N, T*L, 3, H, W)
        responses = self.conv(frames.flatten(0, 1))  # (N*T*L, 8, H, W)
        responses = responses.view(-1, self.frames_per_segment, *responses.shape[1:])  # (N*T, L, 8, H, W)
        return (responses[:, :-1] - responses[:, 1:] + EPSILON).float().norm(dim=2)


class FftFAM(nn.Module):
    """FAM by an FFT, as published, in float32: an FFT takes no bfloat16, and no float16 of every length."""

    def __init__(self, exponent: int):
        super().__init__()
        self.exponent = exponent

    def forward(self, x: Tensor) -> Tensor:
        """Scales every frame: (N, C, T, H, W) -> the same shape"""
        return published_fam(x.float(), self.exponent).to(x.dtype)


class PublishedExperts(nn.Module):
    """Gate and experts of DGAM in their published form, loops over clips and frames; all experts of every clip."""

    def __init__(self, ours: GammaExperts):
        super().__init__()
        self.gating = ours.gating
        self.register_buffer("gammas", torch.tensor(GAMMAS), persistent=False)

    def forward(self, clips: Tensor, expert: Tensor | None = None) -> tuple[Tensor, Choice]:
        """Brightens clips: (N, C, T, H, W) -> the same shape, and the choice."""
        with torch.autocast(clips.device.type, enabled=False):
            probs = self.gating(published_statistics(clips))
            weights = (probs / PUBLISHED_TAU).softmax(-1)  # (N, E)
            experts = torch.stack([published_expert(clips, gamma) for gamma in GAMMAS], 1)  # (N, E, C, T, H, W)
            mixed = (weights[:, :, None, None, None, None] * experts).sum(1)
        return mixed, one_hot(probs, probs.argmax(-1))._replace(weights=weights)


def published_ram(ram: RAM) -> nn.Module:
    """Builds the published form of RAM with the weights of ``ram``."""
    heads, key_dim, value_dim, latent_dim = ram.dims
    form = PublishedRSA(
        ram.projection.in_channels,
        ram.out_channels,
        heads=heads,
        key_dim=key_dim,
        value_dim=value_dim,
        latent_dim=latent_dim,
        kernel_size=ram.kernel_size,
        kernel_type=ram.kernel_type,
        feature_type=ram.feature_type,
    )
    form.load_state_dict(ram.state_dict())
    return form.to(next(ram.parameters()).device)


def _other_class(other: type) -> Callable[[nn.Module], nn.Module]:
    def change(module: nn.Module) -> nn.Module:
        module.__class__ = other  # without state of its own
        return module

    return change


FORMS: dict[type, Callable[..., nn.Module]] = {  # a class -> its module -> the published one
    DepthwiseConv3d: _other_class(PublishedDepthwise),
    PA: _other_class(PublishedPA),
    FAM: lambda fam: FftFAM(fam.amplitude_exponent),
    RAM: published_ram,
    GammaExperts: PublishedExperts,
}


def as_published(model: nn.Module) -> list[str]:
    """Swaps, in place, every module that has a published form, and returns the names of the kinds swapped."""
    swapped = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            for kind, form in FORMS.items():
                if isinstance(child, kind):
                    setattr(parent, name, form(child))
                    swapped.append(kind.__name__)
    return sorted(set(swapped))


def plain_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal=False,
    scale=None,
):
    """Attention as the published networks write it, softmax(q k^T) v with each product kept: (..., L, D) three times ->
    (..., L, D)"""
    weights = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        weights = weights + attn_mask
    return F.dropout(weights.softmax(-1), dropout_p) @ v


def unfused_attention() -> AttentionAs:
    """A context in which attention is computed as published."""
    return AttentionAs(plain_attention)
