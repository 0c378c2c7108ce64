"""PA, persistence of appearance: maps of what moved between neighbouring frames.

PAN (Zhang et al., "PAN: Towards Fast Action Recognition via Learning Persistence of Appearance", 2020), as MIE-Net uses
it. One shared 7 x 7 convolution S gives every frame 8 responses; a map is the distance of two frames' responses at
every pixel:

    P_i = sqrt( sum_c ( S(F_i)[c] - S(F_i+1)[c] + 1e-6 )^2 )

S is linear, so S(F_i) - S(F_i+1) = S(F_i - F_i+1): the frames are subtracted first, which leaves one convolution fewer
per segment and frames that are equal exactly 1e-6 apart. The bias of S cancels; its gradient is zero, in the published
code up to rounding."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.kernels.own_backward import applied, own_backward
from fragrant.layers.autocast import autocast_dtype, autocast_off

EPSILON = 1e-6  # added to the signed difference: keeps the gradient finite where nothing moves
INITS = ("default", "pan")


class PA(nn.Module):
    """PA: motion maps of every segment of a clip, the distances between the responses of neighbouring frames.

    Args:
        frames_per_segment: L, at least 2; every segment is by itself, no map crosses its ends.
        init: "default" is PyTorch's for convolutions (published MIE-Net), "pan" normal with std 0.001 and bias 0
            (published PAN).
    """

    def __init__(self, frames_per_segment: int, *, init: str = "default"):
        super().__init__()
        if frames_per_segment < 2:
            raise UserError(
                f"PA compares neighbouring frames and needs at least 2 frames per segment; got {frames_per_segment}"
            )
        if init not in INITS:
            raise UserError(f"PA init '{init}' is not known; known: {', '.join(INITS)}")
        self.frames_per_segment = frames_per_segment
        self.conv = nn.Conv2d(3, 8, kernel_size=7, padding=3)
        if init == "pan":
            nn.init.normal_(self.conv.weight, std=0.001)
            assert self.conv.bias is not None
            nn.init.zeros_(self.conv.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """Motion maps of clips: (N, 3, T*L, H, W), segment after segment -> (N*T, L-1, H, W), at least float32."""
        dtype = autocast_dtype(clips) or clips.dtype
        with autocast_off(clips):
            weight = self.conv.weight.to(dtype)
            # (N*T*(L-1), H, W)
            maps = applied(ResponseDistance, clips, weight, self.conv.bias, self.frames_per_segment)
        return maps.unflatten(0, (-1, self.frames_per_segment - 1))


class ResponseDistance(torch.autograd.Function):
    """The distance of the responses of neighbouring frames. Keeps the responses for the backward pass, not the
    differences."""

    @staticmethod
    def forward(ctx, clips: Tensor, weight: Tensor, bias: Tensor, frames_per_segment: int) -> Tensor:
        """(N, 3, T*L, H, W), (8, 3, 7, 7), (8,) -> (N*T*(L-1), H, W)"""
        images = differences(clips, frames_per_segment).to(weight.dtype)  # (N*T*(L-1), 3, H, W)
        responses = F.conv2d(
            images, weight, torch.full_like(weight[:, 0, 0, 0], EPSILON), padding=weight.shape[-1] // 2
        )
        maps = torch.linalg.vector_norm(responses, dim=1, dtype=torch.promote_types(weight.dtype, torch.float32))
        ctx.save_for_backward(clips, weight, bias, responses, maps)
        ctx.frames_per_segment = frames_per_segment
        return maps

    @staticmethod
    @own_backward
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        clips, weight, bias, responses, maps = ctx.saved_tensors
        images = differences(clips, ctx.frames_per_segment).to(weight.dtype)
        share = grad / maps.clamp_min(EPSILON)  # a map below EPSILON is 0, and so are its responses
        grad_responses = responses * share.to(weight.dtype).unsqueeze(1)  # (N*T*(L-1), 8, H, W)
        padding, wanted = [weight.shape[-1] // 2] * 2, [ctx.needs_input_grad[0], True, False]
        grad_images, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad_responses, images, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
        )
        grad_clips = to_frames(grad_images, clips, ctx.frames_per_segment) if wanted[0] else None
        return grad_clips, grad_weight, torch.zeros_like(bias), None


def differences(clips: Tensor, frames_per_segment: int) -> Tensor:
    """Differences between every frame and the next of its segment: (N, C, T*L, H, W) -> (N*T*(L-1), C, H, W), channels
    last where the clips are."""
    segments = clips.unflatten(2, (-1, frames_per_segment))  # (N, C, T, L, H, W)
    return (segments[:, :, :, :-1] - segments[:, :, :, 1:]).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def to_frames(grad: Tensor, clips: Tensor, frames_per_segment: int) -> Tensor:
    """Gradient of the clips from that of their differences: the backward pass of ``differences``."""
    grad_clips = torch.zeros_like(clips)  # (N, C, T*L, H, W)
    segments = grad_clips.unflatten(2, (-1, frames_per_segment))  # (N, C, T, L, H, W), a view
    # (N, C, T, L-1, H, W)
    grad = grad.view(len(clips), -1, frames_per_segment - 1, *grad.shape[1:]).permute(0, 3, 1, 2, 4, 5)
    segments[:, :, :, :-1] += grad
    segments[:, :, :, 1:] -= grad
    return grad_clips
