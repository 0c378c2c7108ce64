"""Gamma experts: a gate picks, clip by clip, how strongly dark frames are brightened before a network sees them.

DGAM (Jeong et al., "ELLAR: An Action Recognition Dataset for Extremely Low-Light Conditions with Dual Gamma Adaptive
Modulation", ACCV 2024). Expert k brightens with exponent 1 / gamma_k, every frame within its own range:

    E_k(f) = ((f - min) / (max - min + 1e-5)) ** (1 / gamma_k) * (max - min) + min

The published gate takes softmax(p / 1e-6) as weights, whose gradient is zero but for near ties; it practically cannot
learn. The rules here have the same forward pass and a gradient of choice."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.kernels.gamma import passes_by_triton
from fragrant.kernels.own_backward import applied, one_node, own_backward
from fragrant.kernels.taps import check_implementation
from fragrant.layers.autocast import autocast_off
from fragrant.layers.frame_statistics import STATISTICS, frame_statistics, pieces

GAMMAS = (1.0, 1.5, 2.0, 2.5, 3.0)
RULES = ("hard", "st_gumbel", "expected", "soft")
PUBLISHED_TAU = 1e-6


class Choice(NamedTuple):
    """The gate's choice for every clip: probabilities (N, E), the expert taken (N,), weights (N, E) that the gradient
    flows through."""

    probs: Tensor
    expert: Tensor
    weights: Tensor


class Gate(nn.Module):
    """The gate: statistics of T frames, S of each, (N, T*S) -> probabilities of E experts (N, E). Layers and their
    names are the published ones."""

    def __init__(
        self, num_frames: int, num_experts: int, *, num_statistics: int = len(STATISTICS), dropout: float = 0.1
    ):
        super().__init__()
        self.linear1, self.batchnorm1 = nn.Linear(num_statistics * num_frames, 128), nn.BatchNorm1d(128)
        self.linear2, self.batchnorm2 = nn.Linear(128, 256), nn.BatchNorm1d(256)
        self.linear3 = nn.Linear(256, num_experts)
        self.dropout = nn.Dropout(dropout)

    def forward(self, statistics: Tensor) -> Tensor:
        x = self.dropout(F.leaky_relu(self._norm(self.batchnorm1, self.linear1(statistics))))
        x = self.dropout(F.leaky_relu(self._norm(self.batchnorm2, self.linear2(x))))
        return self.linear3(x).softmax(-1)

    @staticmethod
    def _norm(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
        """Applies BatchNorm; a batch of one, which has no statistics of its own, takes the running ones."""
        if len(x) > 1:
            return norm(x)
        return F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
        )


class GammaExperts(nn.Module):
    """Brightens every clip with the gamma that the gate picks.

    Args:
        num_frames: T of the clips, fixed by the gate's first layer.
        select: how the choice is made in training; in evaluation it is always the likeliest expert.
            hard: the likeliest; gradient of softmax(p / tau), as published with tau 1e-6.
            st_gumbel: drawn by the probabilities (Gumbel noise); gradient of softmax((ln p + noise) / tau).
            expected: drawn evenly; the gate learns from an objective that weighs the losses of all experts.
            soft: a mixture of all experts by their probabilities.
        tau: temperature of hard and st_gumbel.
        statistics: those of every frame that the gate decides by: mean, std, entropy.
        fixed: the gamma that every clip gets, whatever the gate says; None = the gate decides.
        impl: implementation of the passes over the clips: auto, torch or triton; ``auto`` takes Triton's kernels on
            CUDA for clips that need no gradient.

    Raises:
        UserError: settings that do not exist, or a clip of another length; KernelError: Triton was asked for and is
            missing.
    """

    gammas: Tensor  # (E,)

    def __init__(
        self,
        num_frames: int,
        *,
        gammas: Sequence[float] = GAMMAS,
        select: str = "st_gumbel",
        tau: float = 1.0,
        statistics: Sequence[str] = STATISTICS,
        fixed: float | None = None,
        dropout: float = 0.1,
        impl: str = "auto",
    ):
        super().__init__()
        if select not in RULES:
            raise UserError(f"DGAM.SELECT '{select}' is not known; allowed: {', '.join(RULES)}")
        if not statistics or not set(statistics) <= set(STATISTICS):
            raise UserError(f"DGAM.STATISTICS {list(statistics)} must be one or more of {', '.join(STATISTICS)}")
        if not gammas or min(gammas) <= 0 or tau <= 0:
            raise UserError(
                f"gammas and tau of the gamma experts must be above 0; got gammas={list(gammas)}, tau={tau}"
            )
        if fixed is not None and fixed not in gammas:
            raise UserError(
                f"DGAM.FIXED {fixed} is no gamma of the experts; allowed: {', '.join(map(str, gammas))} (DGAM.GAMMAS)"
            )
        self.num_frames, self.select, self.tau, self.impl = num_frames, select, tau, check_implementation(impl)
        self.fixed = None if fixed is None else list(gammas).index(fixed)
        self.statistics = tuple(statistics)
        self.gating = Gate(num_frames, len(gammas), num_statistics=len(statistics), dropout=dropout)
        self.register_buffer("gammas", torch.tensor(gammas, dtype=torch.float32), persistent=False)

    @property
    def exponents(self) -> Tensor:
        """Exponents 1 / gamma of the experts, (E,)"""
        return 1 / self.gammas

    def choose(self, clips: Tensor) -> Choice:
        """Asks the gate for its choice for clips (N, C, T, H, W). In float32, whatever the clips are in."""
        self._check_length(clips)
        return self._choose(frame_statistics(clips, self.statistics, impl=self.impl))

    def _check_length(self, clips: Tensor) -> None:
        if clips.shape[2] != self.num_frames:
            raise UserError(
                f"the gate of the gamma experts takes {self.num_frames} frames (DATA.NUM_FRAMES); got {clips.shape[2]}"
            )

    def _choose(self, statistics: Tensor) -> Choice:
        """The gate's choice by the statistics of the frames (N, T*S)."""
        with autocast_off(statistics):
            probs = self.gating(statistics)
            if not self.training:
                return one_hot(probs, probs.argmax(-1))
            if self.select == "soft":
                return Choice(probs, probs.argmax(-1), probs)
            if self.select == "expected":
                return one_hot(probs, torch.randint(probs.shape[1], (len(probs),), device=probs.device))
            logits = probs
            if self.select == "st_gumbel":
                noise = torch.empty_like(probs).exponential_().log().neg()
                logits = probs.clamp(min=1e-20).log() + noise
            choice = one_hot(probs, logits.argmax(-1))
            slope = (logits / self.tau).softmax(-1)
            return choice._replace(weights=choice.weights + (slope - slope.detach()))

    def forward(self, clips: Tensor, expert: Tensor | None = None) -> tuple[Tensor, Choice]:
        """Brightens clips (N, C, T, H, W); returns the brightened clips of the same shape, and the choice.

        Args:
            expert: (N,) experts to take; the gate is not asked.
        """
        if expert is None and self.fixed is not None:
            expert = torch.full((len(clips),), self.fixed, device=clips.device)
        if passes_by_triton(self.impl, clips):
            return self._by_triton(clips, expert)
        choice = self.choose(clips) if expert is None else self._told(expert)
        with autocast_off(clips):
            return applied(Brighten, clips, choice.weights, self.exponents, not self._mixes(expert)), choice

    def _by_triton(self, clips: Tensor, expert: Tensor | None) -> tuple[Tensor, Choice]:
        """``forward`` in Triton's kernels; every frame's range is found together with its statistics."""
        if expert is None:
            self._check_length(clips)
        statistics, ranges = torch.ops.fragrant.measure_frames(
            clips, " ".join(self.statistics) if expert is None else ""
        )
        choice = self._choose(statistics) if expert is None else self._told(expert)
        return torch.ops.fragrant.brighten_clips(
            clips, ranges, choice.weights, self.exponents, not self._mixes(expert)
        ), choice

    def _told(self, expert: Tensor) -> Choice:
        return one_hot(F.one_hot(expert, len(self.gammas)).float(), expert)

    def _mixes(self, expert: Tensor | None) -> bool:
        return self.training and self.select == "soft" and expert is None


def one_hot(probs: Tensor, expert: Tensor) -> Choice:
    return Choice(probs, expert, F.one_hot(expert, probs.shape[1]).to(probs.dtype))


def stretch(clips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Stretches every frame of (N, C, T, H, W) to 0 .. 1; returns the stretched clips, each frame's darkest value and
    its range, (N, 1, T, 1, 1)."""
    low, high = clips.amin((1, 3, 4), keepdim=True), clips.amax((1, 3, 4), keepdim=True)
    span = high - low
    return (clips - low).div(span + 1e-5), low, span


def brighten(clips: Tensor, exponents: Tensor) -> Tensor:
    """Brightens each clip with one expert: (N, C, T, H, W), exponents 1 / gamma (N,) -> the same shape."""
    share, low, span = stretch(clips)
    exponents = exponents.view(-1, 1, 1, 1, 1)
    if share.requires_grad:  # a root has no slope at 0: there it counts as 0
        positive = share > 0
        powers = torch.where(positive, share, 1).pow(exponents) * positive
    else:
        powers = share.pow(exponents)
    return powers.mul(span).add(low)


def products(clips: Tensor, grad: Tensor, exponents: Tensor) -> Tensor:
    """Products of each expert's brightened clips with ``grad``, summed over the clip: two tensors (N, C, T, H, W),
    exponents (E,) -> (N, E)."""
    share, low, span = stretch(clips)
    logs = share.log2()  # once for all experts: their powers then cost little
    # (N, 1, T, 1, 1) each
    powers = [(logs * exponent).exp2_().mul_(grad).sum((1, 3, 4), keepdim=True) for exponent in exponents]
    constant = grad.sum((1, 3, 4), keepdim=True) * low
    return torch.cat(powers, 1).mul(span).add(constant).sum((2, 3, 4))


@one_node
class Brighten(torch.autograd.Function):
    """Brightens clips by weighted experts: ``sum_j weights[n, j] * E_j(clips[n])``; where every clip has one expert, of
    weight 1, that one alone is computed.

    (N, C, T, H, W), (N, E), exponents (E,) -> (N, C, T, H, W). The weights' gradient computes each expert's brightened
    clip again, piece by piece, so that nothing but the clips is kept."""

    @staticmethod
    def forward(ctx, clips: Tensor, weights: Tensor, exponents: Tensor, one_each: bool) -> Tensor:
        ctx.save_for_backward(clips, weights, exponents)
        brightened, own_exponents = torch.empty_like(clips), exponents[weights.argmax(1)]
        for n, t in pieces(clips):
            brightened[n, :, t] = (
                brighten(clips[n, :, t], own_exponents[n])
                if one_each
                else mixture(clips[n, :, t], weights[n], exponents)
            )
        return brightened

    @staticmethod
    @own_backward
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        clips, weights, exponents = ctx.saved_tensors
        needs_clips, needs_weights, *_ = ctx.needs_input_grad
        grad_clips = torch.empty_like(clips) if needs_clips else None
        grad_weights = torch.zeros_like(weights) if needs_weights else None
        for n, t in pieces(clips):
            if grad_weights is not None:
                grad_weights[n] += products(clips[n, :, t], grad[n, :, t], exponents)
            if grad_clips is not None:
                with torch.enable_grad():
                    source = clips[n, :, t].detach().requires_grad_()
                    grad_clips[n, :, t] = torch.autograd.grad(
                        mixture(source, weights[n].detach(), exponents), source, grad[n, :, t]
                    )[0]
        return grad_clips, grad_weights, None, None


def mixture(clips: Tensor, weights: Tensor, exponents: Tensor) -> Tensor:
    """Mixture of all experts by their weights, the plain form of ``Brighten``."""
    parts = [
        w.view(-1, 1, 1, 1, 1) * brighten(clips, e.expand(len(clips)))
        for w, e in zip(weights.unbind(1), exponents, strict=True)
    ]
    return torch.stack(parts).sum(0)
