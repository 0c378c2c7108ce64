"""Probes video files, many at once: their facts, and whether all of a file can be read."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import av
import torch
from torch import Tensor

from fragrant.config.pixel_statistics import LUMA_WEIGHTS
from fragrant.data.prepare.picture_hash import FRAMES, picture_hash
from fragrant.data.video.frame_folder import FrameFolder
from fragrant.data.video.frames import CUT, Frames, Limits, OpenFrames, VideoError, open_frames
from fragrant.data.video.places import Place
from fragrant.data.video.readers import Source
from fragrant.data.video.row_of_frames import errors_named
from fragrant.data.video.tensor_file import TensorFile
from fragrant.workers import results_of

LOOKED_AT = 8  # frames that brightness is measured on, from the middle of as many equal parts of the video
DARK = 13.8  # mean luma of 0..255 below which Dark-48 calls a frame dark: (y - 112) / 112 < -0.877
FOLDER = "folder"  # what stands in place of a codec for a folder of frames
TENSOR = "tensor"  # and for a file of a tensor


class Probe(NamedTuple):
    """Facts of a video; ``error`` says why it cannot be read, the other fields are then as far as they could be
    told."""

    frames: int = 0
    fps: float | None = None
    width: int = 0
    height: int = 0
    codec: str = ""
    luma: float | None = None  # mean, 0..255
    dark: float | None = None  # share of the frames looked at that are darker than DARK
    error: str = ""
    damage: str = ""  # why it is not whole, though some of it can be read
    notes: tuple[str, ...] = ()  # what is unusual about it and was taken into account
    picture: str = ""  # hash of some frames, to find near copies


def probe(path: str, open_frames: OpenFrames = open_frames) -> Probe:
    """Reads a video as training does, and decodes all of it: a file that breaks off is found wherever it does."""
    found = Probe()
    try:
        with open_frames(path) as frames:
            found = found._replace(frames=len(frames), fps=frames.fps)
            luma = _luma(frames.read([(2 * part + 1) * len(frames) // (2 * LOOKED_AT) for part in range(LOOKED_AT)]))
            found = found._replace(height=luma.shape[1], width=luma.shape[2], luma=luma.mean().item())
            found = found._replace(dark=(luma.mean((1, 2)) < DARK).float().mean().item())
            found = found._replace(
                picture=picture_hash(luma[[LOOKED_AT * (2 * k + 1) // (2 * FRAMES) for k in range(FRAMES)]])
            )
            if isinstance(frames, FrameFolder):
                readable, damage = _readable(frames), _packed_otherwise(frames.damaged())
                found = found._replace(codec=FOLDER, frames=readable, damage=damage)
            if isinstance(frames, TensorFile):
                found = found._replace(codec=TENSOR)
            found = found._replace(notes=tuple(sorted(frames.notes)))
            place, limits = frames.place, frames.limits
        if place is None:
            return found
        if not found.codec:
            found = found._replace(**_decoded(path, place, found, limits))
        return found if found.damage or place.is_intact() else found._replace(damage=_packed_otherwise("it"))
    except VideoError as error:
        return found._replace(error=str(error))
    except Exception as error:  # whatever a hostile file brings about must not end the check of the others
        return found._replace(error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _luma(pixels: Tensor) -> Tensor:
    """Brightness of pixels: (T, H, W, 3) uint8 -> (T, H, W) float"""
    return pixels.float() @ torch.tensor(LUMA_WEIGHTS)


def _readable(frames: Frames) -> int:
    for number in range(len(frames)):
        frames.read([number])
    return len(frames)


def _packed_otherwise(what: str) -> str:
    return f"{what} has other bytes than those that were packed (its checksum)" if what else ""


def _decoded(path: str, place: Place, found: Probe, limits: Limits) -> dict[str, Any]:
    """Decodes a whole file: codec, number of frames that decode, and signs that a part of the file is lost."""
    count, error = 0, ""
    with errors_named(path), closing(Source(place, quick=False, limits=limits)) as source:
        codec, declared = source.stream.codec.canonical_name, source.stream.frames
        try:
            for _ in source.container.decode(source.stream):
                count += 1
        except av.FFmpegError as caught:
            error = f"{count} frames decode, then: {caught.strerror or type(caught).__name__}"
    promised = found.frames
    if CUT in found.notes:
        declared = 0  # its frames that cannot be decoded are no damage
    if not error and max(promised, declared - max(2, declared // 20)) > count:  # many an AVI declares a frame too many
        error = f"{count} frames decode, its header declares {declared}"
    return {"codec": codec, "frames": min(count, promised), "damage": error}


def probe_all(paths: Sequence[str], *, workers: int, title: str, open_frames: OpenFrames = open_frames) -> list[Probe]:
    """Probes videos, in the order given; a worker that dies takes no other video with it."""
    of_one = partial(probe, open_frames=open_frames)
    probes = dict(results_of(of_one, list(dict.fromkeys(paths)), workers=workers, title=title))
    return [probes[path] or Probe(error="reading it ends the process (a crash of the decoder)") for path in paths]
