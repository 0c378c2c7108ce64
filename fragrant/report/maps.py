"""Feature maps of a model, laid over the frames that they stand for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.report.strips import is_lifted, lift, overlay, save_video

PLAYED_FPS = 4  # of an mp4: slow, a clip is short
PLAYED_HEIGHT, PLAYED_WIDTH = 320, 3840  # of an mp4, pixels at most


class MapError(UserError):
    """A map that cannot be made: the model lacks the module, or the position is outside of the clip."""


class FeatureMap(NamedTuple):
    """A titled map over a clip: one value for each place of a feature map, what it measures, and the place that it is
    about, where it is about one."""

    title: str
    values: Tensor  # (T', H', W'), 0 or above
    unit: str = ""
    place: tuple[int, int, int] | None = None  # indices into values

    def fractions(self) -> tuple[float, float, float] | None:
        """The middle of the place as fractions of the clip's length, height and width."""
        if self.place is None:
            return None
        time, row, column = ((at + 0.5) / size for at, size in zip(self.place, self.values.shape, strict=True))
        return time, row, column


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


def smooth(values: Tensor, height: int, width: int) -> Tensor:
    """Resizes maps (T', H', W') to (T', height, width), bilinear; in time every map stays as it is."""
    size = (height, width)
    return F.interpolate(values[:, None].float(), size=size, mode="bilinear", align_corners=False)[:, 0]


def over_frames(values: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, float]:
    """Resizes a map (T', H', W') to the frames (T, H, W, 3): returns the T' frames that it stands for, its values 0..1,
    and the value that 1 stands for."""
    largest = values.max().item()
    count, height, width = len(values), *frames.shape[1:3]
    shown = frames[[index * len(frames) // count for index in range(count)]]
    return shown, smooth(values, height, width) / max(largest, torch.finfo(values.dtype).tiny), largest


def playing_rows(frames: Tensor, maps: Sequence[FeatureMap]) -> list[Tensor]:
    """What plays side by side: the frames (T, H, W, 3) uint8 as they are and, where they are dark, brightened,
    then every map over the brightened ones.

    Rows have T or T' frames. Where a map is 0, the frame stays as it is.
    """
    bright, gamma = lift(frames)
    shown = [frames, bright] if is_lifted(gamma) else [frames]
    return [*shown, *(overlay(*over_frames(one.values.float().cpu(), bright)[:2]) for one in maps)]


def playing(rows: Sequence[Tensor], *, gap: int = 4) -> Tensor:
    """Sets the rows side by side as one video (T, H, W', 3); a map that stands for several frames stays for as long."""
    length, height = max(map(len, rows)), rows[0].shape[1]
    columns = [frames[[index * len(frames) // length for index in range(length)]] for frames in rows]
    space = torch.full((length, height, gap, 3), 255, dtype=torch.uint8)
    return torch.cat([part for column in columns for part in (column, space)][:-1], dim=2)


def frames_of(clip: Tensor) -> Tensor:
    """The frames of a clip (C, T, H, W) of 0..255: (T, H, W, C) uint8, on the CPU."""
    return clip.permute(1, 2, 3, 0).cpu().round().clamp(0, 255).byte()


def save_playing(path: str | Path, clip: Tensor, maps: Sequence[FeatureMap]) -> None:
    """Writes an mp4 in which the frames of a clip (C, T, H, W) of 0..255 and the maps over them play side by side.

    Raises:
        PictureError: the folder cannot be written.
    """
    video = playing(playing_rows(frames_of(clip), maps))  # (T, H, W', C)
    height = min(PLAYED_HEIGHT, PLAYED_WIDTH * video.shape[1] // video.shape[2])
    save_video(path, video, fps=PLAYED_FPS, height=height)
