"""Gray of 16 bits becomes 0..255 by DATA.THERMAL_RANGE: exact numbers from pictures and from a video."""

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fragrant.config import load_cfg
from fragrant.data.build import frame_opener
from fragrant.data.video.frames import open_frames
from fragrant.data.video.gray_range import scaled_gray

RANGE = (20_000.0, 30_000.0)
VALUES = np.array(
    [[0, 19_999, 20_000, 20_019], [20_020, 22_500, 25_000, 29_980], [29_981, 30_000, 30_001, 65_535]], np.uint16
)
# 255 * (v - 20000) / 10000 to the nearest: 20019 is 0.48, 20020 0.51, 22500 63.75, 25000 127.5, 29980 254.49, 29981 254.52
WANTED = np.array([[0, 0, 0, 0], [1, 64, 128, 254], [255, 255, 255, 255]], np.uint8)


def grays(frames: torch.Tensor) -> np.ndarray:
    """(T, H, W) of frames whose channels are the same."""
    assert frames.dtype == torch.uint8 and torch.equal(frames, frames[..., :1].expand_as(frames))
    return frames[..., 0].numpy()


def ffv1(path, values: np.ndarray, *, count: int = 5) -> str:
    """A lossless video of gray of 16 bits; frame t has the values t higher."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *values.shape, "gray16le"
        for at in range(count):
            frame = av.VideoFrame.from_ndarray(
                np.minimum(values.astype(np.int64) + at, 65_535).astype(np.uint16), format="gray16le"
            )
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def test_values_on_a_line_are_rounded_and_cut():
    assert np.array_equal(scaled_gray(VALUES, RANGE)[..., 0], WANTED)
    odd = np.array([[np.nan, np.inf, -np.inf, 300.5]], np.float32)
    assert scaled_gray(odd, (290.0, 311.0))[0, :, 0].tolist() == [0, 255, 0, 128]  # 127.5: to the even one
    assert scaled_gray(np.array([[2**31 - 1, -5]], np.int32), (-10.0, 2.0**31))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_of_16_bits(tmp_path, suffix):
    for at in range(2):
        Image.fromarray(VALUES + at).save(tmp_path / f"{at:05d}.{suffix}")
    with open_frames(str(tmp_path), template=f"{{:05d}}.{suffix}", gray_range=RANGE) as frames:
        assert np.array_equal(grays(frames.read([0]))[0], WANTED)
        assert "gray of many bits, scaled by DATA.THERMAL_RANGE" in frames.notes
    with open_frames(str(tmp_path), template=f"{{:05d}}.{suffix}") as frames:  # as ever
        assert np.array_equal(grays(frames.read([0]))[0], np.round(VALUES / 257).astype(np.uint8))


def test_a_picture_of_temperatures(tmp_path):
    """Floating-point numbers, of which only a range says what is white."""
    Image.fromarray(np.array([[280.0, 300.0, 320.0]], np.float32)).save(tmp_path / "00000.tif")
    with open_frames(str(tmp_path), template="{:05d}.tif", gray_range=(280.0, 320.0)) as frames:
        assert grays(frames.read([0]))[0].tolist() == [[0, 128, 255]]
    with open_frames(str(tmp_path), template="{:05d}.tif") as frames, pytest.raises(ValueError, match="which is white"):
        frames.read([0])


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
def test_a_video_of_16_bits(tmp_path, backend):
    large = VALUES.repeat(8, 0).repeat(16, 1)  # (24, 64)
    path = ffv1(tmp_path / "a.mkv", large)
    with open_frames(path, gray_range=RANGE, backend=backend) as frames:
        assert len(frames) == 5
        found = grays(frames.read([0, 1, 4]))
        assert np.array_equal(found[0], WANTED.repeat(8, 0).repeat(16, 1))
        assert np.array_equal(
            found[1], scaled_gray(large.astype(np.int64) + 1, RANGE)[..., 0]
        )  # 19999 and 65535 stay outside
    with open_frames(path, gray_range=RANGE, short_side=12) as frames:
        assert frames.read([0]).shape == (1, 12, 32, 3)


def test_8_bits_stay_as_they_are(tmp_path):
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "00000.png")
    with open_frames(str(tmp_path), template="{:05d}.png", gray_range=RANGE) as frames:
        assert grays(frames.read([0])).flatten().tolist() == list(range(12))


def test_the_key_is_of_the_infrared_stream_or_of_all_single_videos(tmp_path):
    path = ffv1(tmp_path / "a.mkv", VALUES.repeat(8, 0).repeat(16, 1))
    pairs = ["MODEL.MODEL_NAME", "DualStream", "DATA.COLOR_PATH_TO_DATA_DIR", "a", "DATA.THERMAL_PATH_TO_DATA_DIR", "b"]
    limits = ["DATA.THERMAL_RANGE", "[20000,30000]"]

    def first(cfg, stream: int = 0) -> int:
        """The value of 22500."""
        with frame_opener(cfg, stream)(path) as frames:
            return int(frames.read([0])[0, 8, 16, 0])

    assert first(load_cfg(None, limits)) == first(load_cfg(None, [*limits, *pairs]), 1) == 64
    assert first(load_cfg(None, [*limits, *pairs])) == first(load_cfg(None, [])) == round(22_500 / 257)
    cached = [*limits, "DATA.CACHE_DIR", str(tmp_path / "cache")]
    assert first(load_cfg(None, cached)) == first(load_cfg(None, cached)) == 64
    assert first(load_cfg(None, ["DATA.CACHE_DIR", str(tmp_path / "cache")])) == round(22_500 / 257)  # another entry
