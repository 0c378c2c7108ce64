"""Writes clips as H.264 files whose bytes follow from the pictures alone."""

import os
from pathlib import Path

import av
import numpy as np

from fragrant.files import made_whole, written_whole

FPS = 30


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that nobody ever sees a part of it."""
    with written_whole(path, own_name=str(os.getpid()), durable=False) as file:
        file.write(data)


def encode(path: Path, clip: np.ndarray, *, fps: int = FPS, crf: int = 24, between_keys: int = 16) -> None:
    """Writes ``clip`` (T, H, W, 3) uint8 RGB as an H.264 file; the same frames give the same bytes.

    Args:
        crf: quality, 0 .. 51; higher is worse.
        between_keys: frames from one key frame to the next, at most.
    """
    # The bytes follow from the pictures alone: they change with the number of threads, and MB-tree (x264 core 165)
    # reads memory that it never wrote, so that now and then a file came out different.
    options = {"preset": "veryfast", "crf": str(crf), "g": str(between_keys), "threads": "1", "mbtree": "0"}
    with made_whole(path, own_name=str(os.getpid())) as part, av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = clip.shape[1], clip.shape[2], "yuv420p"
        for picture in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
