"""Pictures of SV-Mix on two clips: which places it takes from which clip, and the label of the mixed clip."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.errors import UserError
from fragrant.models.backbone import Backbone
from fragrant.objectives.selective_module import SelectiveModule
from fragrant.objectives.sv_mix import blend, own_share
from fragrant.report.strips import evenly, heat_colors, lift, save_picture, stacked

MOST_FRAMES = 8


@torch.no_grad()
def mix_rows(
    model: Backbone, mixer: SelectiveModule, pixels: Tensor, clips: Tensor, *, lam: float, names: tuple[str, str]
) -> list[tuple[str, Tensor]]:
    """Rows of a picture, title and frames (T, H, W, 3): both clips, then for each mode the second clip's share and the
    mixed clip.

    Args:
        model: the teacher, in evaluation.
        pixels, clips: the two clips (2, C, T, H, W), with values 0..255 and normalised.
        lam: the share of the first clip that the mixer is asked for.
    """
    partner = torch.tensor([1, 0], device=clips.device)
    features = model.eval().forward_features(clips)  # (2, D, t, h, w)
    shown = evenly(clips.shape[2], MOST_FRAMES)

    def frames(clip: Tensor) -> Tensor:
        """Brightened frames of a clip for the picture: (C, T, H, W), 0..255 -> (T', H, W, 3)"""
        return lift(clip.permute(1, 2, 3, 0)[shown].round().clamp(0, 255).to("cpu", torch.uint8))[0]

    rows = [(f"{letter}: {name}", frames(clip)) for letter, name, clip in zip("AB", names, pixels.float(), strict=True)]
    for temporal in (False, True):
        mask = mixer(features, lam, partner, temporal=temporal)  # (2, t, h, w)
        own = own_share(features, partner, mask)[0].item()
        large = F.interpolate(mask[:1, None], size=pixels.shape[2:])[0, 0, shown]  # (T', H, W)
        what = "whole frames" if temporal else "places"
        rows += [
            (
                f"share of B, mixing {what}: mean {mask[0].mean():.2f}, {mask[0].min():.2f} to {mask[0].max():.2f}",
                heat_colors(large.cpu()),
            ),
            (
                f"mixed; label: {own:.2f} A + {1 - own:.2f} B (asked for {lam:.2f} A)",
                frames(blend(pixels.float(), partner, mask)[0]),
            ),
        ]
    return rows


def save_mix(path: Path, predictor, mixer: SelectiveModule, *, videos: tuple[str, str | None], lam: float) -> None:
    """Draws ``mix_rows`` of two videos into a PNG.

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
    save_picture(
        path, stacked(mix_rows(predictor.model, mixer, pixels, predictor.prepare(pixels), lam=lam, names=names))
    )
