"""Pictures of SV-Mix on two clips: which places it takes from which clip, and the label of the mixed clip."""

from pathlib import Path

import torch
from torch import Tensor

from fragrant.errors import UserError
from fragrant.models.backbone import Backbone
from fragrant.objectives.selective_module import SelectiveModule
from fragrant.objectives.sv_mix import blend, own_share
from fragrant.report.figure_style import LOOK, Look
from fragrant.report.map_figure import Row, save_map_figure
from fragrant.report.maps import FeatureMap, frames_of
from fragrant.report.strips import lift


@torch.no_grad()
def mix_rows(
    model: Backbone, mixer: SelectiveModule, pixels: Tensor, clips: Tensor, *, lam: float, names: tuple[str, str]
) -> list[Row]:
    """Rows of a figure, with frames (T, H, W, 3): both clips, then for each mode the second clip's share and the
    mixed clip.

    Args:
        model: the teacher, in evaluation.
        pixels, clips: the two clips (2, C, T, H, W), with values 0..255 and normalised.
        lam: the share of the first clip that the mixer is asked for.
    """
    partner = torch.tensor([1, 0], device=clips.device)
    features = model.eval().forward_features(clips)  # (2, D, t, h, w)

    def frames(clip: Tensor) -> Tensor:
        """Brightened frames of a clip for the picture: (C, T, H, W), 0..255 -> (T, H, W, 3)"""
        return lift(frames_of(clip))[0]

    rows = [
        Row(f"{letter}: {name}", frames(clip)) for letter, name, clip in zip("AB", names, pixels.float(), strict=True)
    ]
    for temporal in (False, True):
        mask = mixer(features, lam, partner, temporal=temporal)  # (2, t, h, w)
        own = own_share(features, partner, mask)[0].item()
        what = "whole frames" if temporal else "places"
        told = f"share of B, mixing {what}: mean {mask[0].mean():.2f}, {mask[0].min():.2f} to {mask[0].max():.2f}"
        label = f"mixed; label: {own:.2f} A + {1 - own:.2f} B (asked for {lam:.2f} A)"
        rows += [
            Row(told, rows[1].frames, FeatureMap(told, mask[0].cpu(), unit="share of B"), alone=True, largest=1.0),
            Row(label, frames(blend(pixels.float(), partner, mask)[0])),
        ]
    return rows


def save_mix(
    path: Path,
    predictor,
    mixer: SelectiveModule,
    *,
    videos: tuple[str, str | None],
    lam: float,
    look: Look = LOOK,
    frames: int | None = None,
) -> None:
    """Draws ``mix_rows`` of two videos.

    Raises:
        UserError: there is no second video, or no such share.
    """
    first, second = videos
    if second is None or not 0 < lam < 1:
        raise UserError(
            f"--what mix needs a second video, --with FILE (got {second}), and --lam between 0 and 1 (got {lam})"
        )
    pixels = torch.cat([predictor.middle_clip(video) for video in (first, second)])  # (2, C, T, S, S)
    names = (Path(first).name, Path(second).name)
    rows = mix_rows(predictor.model, mixer, pixels, predictor.prepare(pixels), lam=lam, names=names)
    save_map_figure(path, rows, look=look, frames=frames)
