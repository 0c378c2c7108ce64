"""Decoding by torchcodec or decord instead of PyAV, where frame numbers can be trusted: the packets say which frame is
which."""

import importlib
from collections.abc import Iterator, Sequence

import numpy as np

from fragrant.data.video.packets import Doubtful
from fragrant.data.video.readers import Seeker
from fragrant.errors import UserError


class _ByNumber(Seeker):
    """Frames of another library, whose times are compared with those of the packets.

    Raises:
        Doubtful: by any method, also where the library cannot read the file: then PyAV counts.
    """

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        if self._source.decoder.pix_fmt != "yuv420p":
            raise Doubtful("other libraries convert 10 bit and other colours in another way")
        try:
            pixels, seconds = self._read(list(numbers))
        except Exception as error:  # decord's own error derives from nothing narrower
            raise Doubtful(str(error)) from error
        pts = self._table.pts[self._table.shown[list(numbers)]]
        promised = (pts - self._table.pts[self._table.shown[0]]) * float(self._source.stream.time_base)
        if pixels.shape[-1] != 3 or not np.allclose(seconds, promised, atol=0.4 / (self.fps or 30)):
            raise Doubtful("other frames than the packets promise")
        yield from zip(numbers, pixels, strict=True)

    def _read(self, numbers: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """(T, H, W, 3), and the times of these frames in seconds after the first of the video (T,)"""
        raise NotImplementedError


class TorchCodec(_ByNumber):
    def _read(self, numbers):
        from torchcodec.decoders import VideoDecoder

        stream = self._source.stream.index
        decoder = VideoDecoder(self._source.path, stream_index=stream, dimension_order="NHWC", num_ffmpeg_threads=1)
        if len(decoder) != len(self):
            raise Doubtful(f"{len(decoder)} frames")
        batch, first = decoder.get_frames_at(numbers), decoder.metadata.begin_stream_seconds_from_content
        return batch.data.numpy(), batch.pts_seconds.numpy() - first


class Decord(_ByNumber):
    def _read(self, numbers):
        import decord

        if len(self._source.container.streams.video) > 1:
            raise Doubtful("decord picks a stream by itself")
        reader = decord.VideoReader(self._source.path, num_threads=1)
        if len(reader) != len(self):
            raise Doubtful(f"{len(reader)} frames")
        pixels = reader.get_batch(numbers)  # of the type of decord's bridge, which is one for the whole process
        times = reader.get_frame_timestamp([0, *numbers])[:, 0]
        return (pixels.asnumpy() if hasattr(pixels, "asnumpy") else np.asarray(pixels)), times[1:] - times[0]


DECODERS = {"torchcodec": TorchCodec, "decord": Decord}


def require(backend: str) -> None:
    """Imports the library of a backend.

    Raises:
        UserError: the library of this backend is not installed, or does not start.
    """
    if backend not in DECODERS:
        return
    try:
        importlib.import_module("torchcodec.decoders" if backend == "torchcodec" else backend)
    except ModuleNotFoundError as error:
        hint = f"pip install 'fragrant[{backend}]', or set it to pyav: the same frames"
        raise UserError(f"DATA.DECODING_BACKEND {backend}: {error.name} is not installed; {hint}") from error
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"DATA.DECODING_BACKEND {backend} does not start: {reason}; pyav gives the same frames"
        ) from error
