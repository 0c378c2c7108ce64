"""Small encoded videos for tests: every frame looks different and tells its number."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fragrant.data.video.readers import ANY_TAGS


def pictures(num_frames: int, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) uint8: a textured background that drifts under a moving square."""
    texture = np.random.RandomState(seed).randint(0, 256, (8, 10, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    frames = np.stack([np.roll(texture, (t, 2 * t), (0, 1))[:height, :width] for t in range(num_frames)])
    for t, frame in enumerate(frames):
        frame[(3 * t) % (height - 8) :, (5 * t) % (width - 8) :][:8, :8] = (t * 37) % 256
    return frames


def encode(
    path: Path, num_frames: int = 40, *, codec: str = "libx264", options: dict | None = None, fps: int = 30, **size
) -> Path:
    """An encoded file; ``options`` are the encoder's."""
    frames = pictures(num_frames, **size)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def stamped(path: Path, stamps: Sequence[int]) -> Path:
    """A video whose frames are shown at these milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "2"})
        stream.height, stream.width = 48, 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for picture, stamp in zip(pictures(len(stamps)), stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(stamp), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def remux(source: Path, path: Path, *, cut_frames: int = 0, drop_packets: int = 0, fps: int = 30) -> Path:
    """The same packets in a new file: shown from frame ``cut_frames`` on (an edit list), or without the first
    packets."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        shift = round(cut_frames / fps / stream.time_base)
        for at, packet in enumerate(old.demux(stream)):
            if packet.pts is not None and at >= drop_packets:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                new.mux(packet)
    return path


def decode_all(path: Path) -> np.ndarray:
    """(T, H, W, 3): every frame, one after the other, with nothing but PyAV; upright."""
    turns = {"decord_video_90.mov": -1, "decord_video_180.mov": 2, "decord_video_270.mov": 1}.get(Path(path).name, 0)
    with av.open(str(path), **ANY_TAGS) as container:
        frames = [frame.to_ndarray(format="rgb24", interpolation="BICUBIC") for frame in container.decode(video=0)]
        return np.stack([np.rot90(frame, turns) for frame in frames])
