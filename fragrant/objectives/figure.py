"""Classification with a drawn figure's help: beside the action, a network tells where the joints are and how they move.

A label says little about which of the pixels matter; from drawn videos a network may learn it from the places. This
project's own; videos need the tracks that tools/make_videos.py writes, the trained network needs nothing more than any
other.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.data.figures import Track
from fragrant.models.backbone import Backbone
from fragrant.objectives.classify import logged_errors
from fragrant.objectives.losses import cross_entropy
from fragrant.objectives.objective import Objective, StepOutput
from fragrant.synthetic.track import JOINTS, MOTION

UNKNOWN = -100  # a joint of a video without a track


def at_times(values: Tensor, times: int) -> Tensor:
    """The entries of frames (N, T, ...) at which the places of a feature map in time begin: (N, times, ...)"""
    return values[:, torch.arange(times, device=values.device) * values.shape[1] // times]


def cells(joints: Tensor, height: int, width: int) -> Tensor:
    """The cell of a map that each joint is in, row by row from 0; height * width for a joint out of the picture.

    (..., 2) columns and rows as shares -> (...) long; UNKNOWN for NaN"""
    column, row = (joints * joints.new_tensor([width, height])).floor().unbind(-1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = torch.where(inside, row * width + column, height * width)
    return found.masked_fill(column.isnan() | row.isnan(), UNKNOWN).long()


def known_mean(losses: Tensor, known: Tensor) -> Tensor:
    """Mean of the losses that are known; 0, with a gradient of 0, where none is."""
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)


class JointPlaces(nn.Module):
    """Logits of the cells of a feature map, and of "not in the picture", for each joint: (N, D, T, H, W) ->
    (N, H * W + 1, T, joints)"""

    def __init__(self, width: int):
        super().__init__()
        self.inside = nn.Conv3d(width, len(JOINTS), 1)
        self.outside = nn.Linear(width, len(JOINTS))

    def forward(self, features: Tensor) -> Tensor:
        inside = self.inside(features).flatten(3).permute(0, 3, 2, 1)
        outside = self.outside(features.mean((3, 4)).transpose(1, 2)).unsqueeze(1)
        return torch.cat([inside, outside], 1)


class Figure(Objective):
    """Classification, beside it the joints of the figure in a feature map, and its motion from the last map.

    Args:
        model: the network.
        layer: the part of it whose feature map (N, D, T', H', W') the joints are looked for in; "" = the last map.
        layer_width: D.
        loss_fn: logits (N, K), labels -> ().
        joints_weight, motion_weight: of the two losses beside that of the classes; a joint's is the cross-entropy of
            its cell, that of motion is smooth L1.
    """

    def __init__(
        self,
        model: Backbone,
        loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        layer: str = "",
        layer_width: int,
        joints_weight: float = 0.3,
        motion_weight: float = 2.0,
    ):
        super().__init__()
        self.model, self.loss_fn, self.layer = model, loss_fn, layer
        self.joints_weight, self.motion_weight = joints_weight, motion_weight
        self.places = JointPlaces(layer_width)
        self.motion = nn.Linear(model.num_features, len(MOTION))
        self.figures: Track | None = None

    @property
    def eval_model(self) -> nn.Module:
        return self.model

    def meet(self, ids: Sequence[int], epoch: int, figures: Track | None = None) -> None:
        self.figures = figures

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss (), its two parts beside the classes', top1_err and top5_err () in percent, of clips (N, C, T, H, W),
        labels (N,) and the figures that were met: (B, V, T, ...) with B * V = N; videos without a track (NaN) count for
        their classes alone."""
        assert self.figures is not None
        joints, motion = (part.flatten(0, 1) for part in self.figures)
        found, last = maps_of(self.model, self.layer, clips)
        logits = self.model.forward_head(last)
        target = cells(at_times(joints, found.shape[2]), *found.shape[3:])  # (N, T', joints)
        told = self.motion(last.mean((3, 4)).transpose(1, 2))  # (N, T', 11)
        with torch.autocast(clips.device.type, enabled=False):
            joint_losses = F.cross_entropy(self.places(found.float()), target, ignore_index=UNKNOWN, reduction="none")
            of_joints = known_mean(joint_losses, target != UNKNOWN)
            moved = at_times(motion, told.shape[1])
            of_motion = known_mean(F.smooth_l1_loss(told.float(), moved.nan_to_num(), reduction="none"), ~moved.isnan())
        loss = self.loss_fn(logits, labels) + self.joints_weight * of_joints + self.motion_weight * of_motion
        logged = {"joints_loss": of_joints.detach(), "motion_loss": of_motion.detach()}
        return StepOutput(loss, logged_errors(logits, labels) | logged)


def maps_of(model: Backbone, layer: str, clips: Tensor) -> tuple[Tensor, Tensor]:
    """The output of a layer, and the last feature map; "" = the last one for both.

    Raises:
        AttributeError: the model has no such layer, or its feature maps do not pass it.
    """
    if not layer:
        last = model.forward_features(clips)
        return last, last
    found: list[Tensor] = []
    hook = model.get_submodule(layer).register_forward_hook(lambda part, given, put_out: found.append(put_out))
    try:
        last = model.forward_features(clips)
    finally:
        hook.remove()
    if not found:
        raise AttributeError(f"feature maps do not pass `{layer}`")
    return found[0], last
