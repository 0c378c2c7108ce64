"""Decoding by torchcodec or decord instead of PyAV, of ordinary files: those of which they give the same frames."""

import importlib
import io
from collections.abc import Iterator, Sequence

import av
import numpy as np

from fragrant.data.video.packets import Doubtful
from fragrant.data.video.pixels import FULL, UPRIGHT, display_matrix, require_pyav
from fragrant.data.video.readers import Seeker
from fragrant.errors import UserError

# HEVC is left to PyAV: decord counts leading pictures that it has skipped
CODECS = ("h264", "mpeg4", "mjpeg", "vp9", "av1")


class _ByNumber(Seeker):
    """Frames of another library where it can be trusted to give PyAV's: of a closed GOP, progressive, with ordinary
    colors, upright, and at the times that the packets promise. All other files are read by PyAV.

    Raises:
        Doubtful: by any method, as a ``Seeker`` does.
    """

    _trusted: bool | None = None

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame | np.ndarray]]:
        if self._trusted is None:
            self._trusted = self._is_ordinary()
        pixels = self._compared(list(numbers)) if self._trusted else None
        if pixels is None:
            self._trusted = False  # for all reads to come: none may depend on another
            yield from super().frames(numbers)
        else:
            yield from zip(numbers, pixels, strict=True)

    def _is_ordinary(self) -> bool:
        if self._source.stream.codec.canonical_name not in CODECS or not self._table.is_closed:
            return False
        _, frame = next(iter(super().frames([0])))
        assert isinstance(frame, av.VideoFrame)
        is_plain = frame.format.name == "yuv420p" and frame.color_range != FULL and not frame.interlaced_frame
        # each library spreads the colors of an odd height in its own way
        return is_plain and frame.height % 2 == 0 and display_matrix(frame) in UPRIGHT

    def _compared(self, numbers: list[int]) -> np.ndarray | None:
        """(T, H, W, 3), None where the library fails or gives other frames than the packets promise"""
        try:
            pixels, seconds = self._read(numbers)
        except Exception:  # decord's own error derives from nothing narrower
            return None
        pts = self._table.pts[self._table.shown[numbers]]
        promised = (pts - self._table.pts[self._table.shown[0]]) * float(self._source.stream.time_base)
        same = pixels.shape[-1] == 3 and np.allclose(seconds, promised, atol=0.4 / (self.timing.fps or 30))
        return pixels if same else None

    def _read(self, numbers: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """(T, H, W, 3), and the times of these frames in seconds after the first of the video (T,)"""
        raise NotImplementedError


class TorchCodec(_ByNumber):
    def _read(self, numbers):
        from torchcodec.decoders import VideoDecoder

        stream = self._source.stream.index
        place = self._source.place
        video = place.file if place.part is None else place.read()
        decoder = VideoDecoder(video, stream_index=stream, dimension_order="NHWC", num_ffmpeg_threads=1)
        if len(decoder) != len(self):
            raise Doubtful(f"{len(decoder)} frames")
        batch, first = decoder.get_frames_at(numbers), decoder.metadata.begin_stream_seconds_from_content
        return batch.data.numpy(), batch.pts_seconds.numpy() - first


class Decord(_ByNumber):
    def _read(self, numbers):
        import decord

        if len(self._source.container.streams.video) > 1:
            raise Doubtful("decord picks a stream by itself")
        place = self._source.place
        video = place.file if place.part is None else io.BytesIO(place.read())
        reader = decord.VideoReader(video, num_threads=1)
        if len(reader) != len(self):
            raise Doubtful(f"{len(reader)} frames")
        pixels = reader.get_batch(numbers)  # of the type of decord's bridge, which is one for the whole process
        times = reader.get_frame_timestamp([0, *numbers])[:, 0]
        return (pixels.asnumpy() if hasattr(pixels, "asnumpy") else np.asarray(pixels)), times[1:] - times[0]


DECODERS = {"torchcodec": TorchCodec, "decord": Decord}


def require(backend: str) -> None:
    """Imports the library of a backend.

    Raises:
        UserError: the library of this backend is not installed, or does not start; or PyAV is too old.
    """
    require_pyav()
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
