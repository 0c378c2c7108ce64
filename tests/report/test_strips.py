"""Strips, heat maps and files, pixel by pixel."""

import base64
import io

import av
import pytest
import torch
from PIL import Image

from fragrant.report.strips import (
    GAP,
    PictureError,
    evenly,
    heat_colors,
    jpeg_source,
    lift,
    overlay,
    save_picture,
    save_video,
    scaled,
    strip,
)


@pytest.mark.parametrize(
    "count, most, numbers",
    [(3, 8, [0, 1, 2]), (8, 8, list(range(8))), (16, 4, [0, 5, 10, 15]), (9, 2, [0, 8]), (0, 4, [])],
)
def test_evenly(count, most, numbers):
    assert evenly(count, most) == numbers


def test_lift_by_a_given_gamma():
    frames = torch.tensor([0, 64, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)
    bright, gamma = lift(frames, 2.0)
    assert gamma == 2.0 and bright.flatten().tolist() == [0, round(255 * (64 / 255) ** 0.5), 255]


def test_lift_finds_the_gamma():
    dark = torch.full((2, 4, 4, 3), 18, dtype=torch.uint8)
    bright, gamma = lift(dark)
    assert gamma == pytest.approx(2.8931, abs=1e-3) and bright.unique().tolist() == [102]  # 0.4 of 255
    assert lift(torch.full((1, 2, 2, 3), 200, dtype=torch.uint8))[1] == 1.0  # bright enough
    assert lift(torch.zeros(1, 2, 2, 3, dtype=torch.uint8))[1] == 5.0  # nothing to see


def test_overlay_leaves_cold_places_alone():
    frames = torch.full((1, 1, 3, 3), 100, dtype=torch.uint8)
    maps = torch.tensor([[[0.0, 1.0, 2.0]]])
    cold, hot, beyond = overlay(frames, maps, strength=0.5)[0, 0]
    assert cold.tolist() == [100, 100, 100] and hot.tolist() == [176, 178, 132] and beyond.tolist() == hot.tolist()
    assert heat_colors(torch.tensor([0.0, 0.2, 1.0])).tolist() == [[0, 0, 4], [66, 10, 104], [252, 255, 164]]


def test_heat_grows_evenly_in_lightness():
    """Steps of equal value look equally large: CIE lightness of the colours, also without colour."""
    colors = heat_colors(torch.linspace(0, 1, 16)).double() / 255
    linear = torch.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luma = linear @ torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64)
    lightness = torch.where(luma > 0.008856, 116 * luma ** (1 / 3) - 16, 903.3 * luma)
    steps = lightness.diff()
    assert 2 < steps.min() and steps.max() < 9.5 and lightness[-1] > 95 and lightness[0] < 1


def test_a_strip_is_the_frames_side_by_side():
    frames = torch.arange(2, dtype=torch.uint8)[:, None, None, None].expand(2, 4, 5, 3) * 100
    picture = strip(frames)
    assert picture.size == (10 + GAP, 4)
    assert [picture.getpixel((x, 0))[0] for x in (4, 5, 5 + GAP)] == [0, 255, 100]
    assert scaled(picture, 8).size == (20 + 2 * GAP, 8)


def test_a_source_is_a_picture():
    kind, data = jpeg_source(Image.new("RGB", (20, 10), (200, 0, 0))).split(",")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == "data:image/jpeg;base64" and picture.size == (20, 10) and picture.getpixel((5, 5))[0] > 190


def test_a_video_plays(tmp_path):
    frames = torch.stack([torch.full((31, 33, 3), level, dtype=torch.uint8) for level in (0, 120, 240)])
    save_video(tmp_path / "deep" / "maps.mp4", frames, fps=4, height=33)
    with av.open(str(tmp_path / "deep" / "maps.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 4
    assert pictures[0].shape == (32, 34, 3)  # even sizes
    assert [round(float(picture.mean()), -1) for picture in pictures] == [0, 120, 240]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["maps.mp4"]


def test_what_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PictureError, match="picture '.*a.png' cannot be written: "):
        save_picture(tmp_path / "file" / "a.png", Image.new("RGB", (1, 1)))
    with pytest.raises(PictureError, match="video '.*a.mp4' cannot be written: "):
        save_video(tmp_path / "file" / "a.mp4", torch.zeros(1, 2, 2, 3, dtype=torch.uint8))
