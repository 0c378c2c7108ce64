"""Preparation of clips on the device before a network sees them: normalised, erased in training, in the model's memory
format.

On CUDA one Triton kernel does all of it; what is computed is the same as the steps of ``ClipNormalize`` and
``RandomErasing`` in turn."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fragrant.kernels.taps import check_implementation, has_operators, picks_triton
from fragrant.layers.normalize import ClipNormalize
from fragrant.layers.random_erasing import RandomErasing

PIXEL_DTYPES = (torch.uint8, torch.float32, torch.bfloat16, torch.float16)


class ClipPreparation:
    """Prepares clips: pixels (N, C, T, H, W), uint8 or float, 0..255 -> normalised clips of the same shape.

    Args:
        normalize: the normalisation, on the device of the pixels.
        erasing: random erasing of the clips that come with a key.
        channels_last: whether the result is channels last in memory.
        dtype: number format of the result; everything is computed in float32 and rounded once.
        impl: auto, torch or triton; ``auto`` takes the Triton kernel on CUDA.

    Raises:
        KernelError: Triton was asked for and is missing.
    """

    def __init__(
        self,
        normalize: ClipNormalize,
        *,
        erasing: RandomErasing | None = None,
        channels_last: bool = False,
        dtype: torch.dtype = torch.float32,
        impl: str = "auto",
    ):
        self.normalize, self.erasing, self.impl = normalize, erasing, check_implementation(impl)
        self.channels_last, self.dtype = channels_last, dtype

    def __call__(self, pixels: Tensor, keys: Sequence[str] | None = None) -> Tensor:
        """Prepares a batch of clips. ``keys``: one per clip, from which alone follows what is erased; None =
        nothing."""
        if picks_triton(self.impl, pixels, PIXEL_DTYPES) and has_operators("preparation_triton"):
            return self._by_triton(pixels, keys)
        clips = self.normalize(pixels).contiguous(
            memory_format=torch.channels_last_3d if self.channels_last else torch.contiguous_format
        )
        if self.erasing and keys is not None:
            clips = self.erasing(clips, keys)
        return clips.to(self.dtype)

    def _by_triton(self, pixels: Tensor, keys: Sequence[str] | None) -> Tensor:
        boxes, fill = torch.zeros(len(pixels), 0, 5, dtype=torch.int64), "const"
        if self.erasing and keys is not None:
            height, width = pixels.shape[3:]
            boxes, fill = self.erasing.table(height, width, keys), self.erasing.mode
        normalize = self.normalize
        return torch.ops.fragrant.prepare_clips(
            pixels,
            normalize.mean.flatten(),
            normalize.std.flatten(),
            boxes.to(pixels.device, non_blocking=True),
            fill,
            normalize.reverse_channels,
            self.channels_last,
            self.dtype,
        )


class StreamsPreparation:
    """Prepares clips for a network of several streams: pixels (N, C, T, H, W) -> normalised clips (N, S * C, T, H, W).

    Args:
        each: the preparation of every stream; boxes that are erased lie at the same places in all.
        streams: pixels -> those of every stream, as many as ``each`` has entries.
        alone: the stream that clips of fewer channels, those of one stream, are of; None = there are no such clips.
    """

    def __init__(
        self,
        each: Sequence[ClipPreparation],
        streams: Callable[[Tensor], Sequence[Tensor]],
        *,
        alone: int | None = None,
    ):
        self.each, self.streams, self.alone = list(each), streams, alone

    def __call__(self, pixels: Tensor, keys: Sequence[str] | None = None) -> Tensor:
        """Prepares a batch of clips; ``keys`` as of ``ClipPreparation``."""
        if self.alone is not None and pixels.shape[1] == len(self.each[0].normalize.mean.flatten()):
            return self.each[self.alone](pixels, keys)
        parts = zip(self.each, self.streams(pixels), strict=True)
        clips = torch.cat([prepare(stream, keys) for prepare, stream in parts], 1)
        return clips.contiguous(memory_format=torch.channels_last_3d) if self.each[0].channels_last else clips
