"""Feature maps of a model, laid over the frames that they stand for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.report.strips import is_lifted, lift, overlay, save_picture, save_video, stacked

MOST_FRAMES = 8  # of a row in a picture
PLAYED_FPS = 4  # of an mp4: slow, a clip is short
PLAYED_HEIGHT, PLAYED_WIDTH = 320, 3840  # of an mp4, pixels at most


class MapError(UserError):
    """A map that cannot be made: the model lacks the module, or the position is outside of the clip."""


class FeatureMap(NamedTuple):
    """A titled map over a clip: one value for each place of a feature map."""

    title: str
    values: Tensor  # (T', H', W'), 0 or above


M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def inputs_of(model: nn.Module, clip: Tensor, kind: type[M], *, advice: str) -> Iterator[tuple[str, M, Tensor]]:
    """Yields name, module and input (1, D, T', H', W') of every call of a kind of module, in forward order."""
    calls: list[tuple[str, M, Tensor]] = []
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, kind):
            hooks.append(
                module.register_forward_pre_hook(lambda module, args, name=name: calls.append((name, module, args[0])))
            )
    if not hooks:
        raise MapError(f"{type(model).__name__} has no {kind.__name__} to look at; {advice}")
    was_training = model.training
    model.eval()
    try:
        model(clip)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return iter(calls)


def over_frames(values: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, float]:
    """Resizes a map (T', H', W') to the frames (T, H, W, 3): returns the T' frames that it stands for, its values 0..1,
    and the value that 1 stands for."""
    largest = values.max().item()
    count, height, width = len(values), *frames.shape[1:3]
    shown = frames[[index * len(frames) // count for index in range(count)]]
    # (T', H, W): blocks, as the model sees them
    scaled = F.interpolate(values[:, None], size=(height, width), mode="nearest")[:, 0]
    return shown, scaled / max(largest, torch.finfo(values.dtype).tiny), largest


def map_rows(frames: Tensor, maps: Sequence[FeatureMap], *, name: str) -> list[tuple[str, Tensor]]:
    """The rows of a picture: the frames (T, H, W, 3) uint8 as they are and, where they are dark, brightened, then
    every map over the brightened ones.

    Rows have T or T' frames. Where a map is 0, the frame stays as it is.
    """
    bright, gamma = lift(frames)
    rows = [(f"{name} as the network gets it", frames)]
    rows += [(f"brightened with gamma {gamma:.1f}", bright)] * is_lifted(gamma)
    for title, values in maps:
        shown, heat, largest = over_frames(values.float().cpu(), bright)
        rows.append((f"{title}; max {largest:.3g}", overlay(shown, heat)))
    return rows


def at_the_same_times(rows: Sequence[tuple[str, Tensor]], most: int) -> list[tuple[str, Tensor]]:
    """Cuts the rows of a picture to equally many frames, at most ``most``, each column at one time of the clip.

    A map that has fewer frames than that is shown at the times that it has."""
    count = min(most, *(len(frames) for _, frames in rows))
    return [(title, frames[[index * len(frames) // count for index in range(count)]]) for title, frames in rows]


def playing(rows: Sequence[tuple[str, Tensor]], *, gap: int = 4) -> Tensor:
    """Sets the rows side by side as one video (T, H, W', 3); a map that stands for several frames stays for as long."""
    length, height = max(len(frames) for _, frames in rows), rows[0][1].shape[1]
    columns = [frames[[index * len(frames) // length for index in range(length)]] for _, frames in rows]
    space = torch.full((length, height, gap, 3), 255, dtype=torch.uint8)
    return torch.cat([part for column in columns for part in (column, space)][:-1], dim=2)


def save_maps(path: str | Path, clip: Tensor, maps: Sequence[FeatureMap], *, name: str) -> None:
    """Writes a PNG of the clip's frames with the maps below, and an mp4 beside it in which they play side by side.

    Args:
        clip: (C, T, H, W) of 0..255.
        name: title of the clip in the picture.

    Raises:
        PictureError: the folder cannot be written.
    """
    frames = clip.permute(1, 2, 3, 0).cpu().clamp(0, 255).byte()  # (T, H, W, C)
    rows = map_rows(frames, maps, name=name)
    save_picture(path, stacked(at_the_same_times(rows, MOST_FRAMES)))
    video = playing(rows)  # (T, H, W', C)
    height = min(PLAYED_HEIGHT, PLAYED_WIDTH * video.shape[1] // video.shape[2])
    save_video(Path(path).with_suffix(".mp4"), video, fps=PLAYED_FPS, height=height)
