"""Folders of pictures and tensors on disk, read as videos are."""

import re

import numpy as np
import pytest
import torch
from make_video import pictures
from PIL import Image

from fragrant.data.video.frame_folder import name_pattern
from fragrant.data.video.frames import VideoError, open_frames


def write_folder(folder, template="img_{:05d}.png", first=1, count=12):
    folder.mkdir(exist_ok=True)
    frames = torch.from_numpy(pictures(count))
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame.numpy()).save(folder / template.format(number))
    return frames


@pytest.mark.parametrize("first", [0, 1, 5])
@pytest.mark.parametrize("template", ["img_{:05d}.png", "{:05d}.png", "{}.png", "a.b({:06d}).png"])
def test_frames_of_a_folder(tmp_path, template, first):
    expected = write_folder(tmp_path / "video", template, first)
    (tmp_path / "video" / "Thumbs.db").touch()
    (tmp_path / "video" / "other_00001.png").touch()
    with open_frames(tmp_path / "video", template=template) as frames:
        assert len(frames) == 12 and frames.fps is None
        for indices in ([0, 11], [3, 3, 1], list(range(12))):
            assert torch.equal(frames.read(indices), expected[indices])
        with pytest.raises(IndexError, match="12..12 are not all in 0..11"):
            frames.read([12])


def test_a_printf_template_and_more_digits_than_asked_for(tmp_path):
    expected = write_folder(tmp_path, "img_{:02d}.png", first=95)
    with open_frames(tmp_path, template="img_%02d.png") as frames:
        assert torch.equal(frames.read(range(12)), expected)


def test_jpegs_are_rgb(tmp_path):
    Image.new("RGB", (32, 32), (200, 0, 0)).save(tmp_path / "00001.jpg", quality=100)
    Image.new("L", (32, 32), 77).save(tmp_path / "00002.jpg", quality=100)
    with open_frames(tmp_path) as frames:
        red, green, blue = frames.read([0])[0].float().mean((0, 1)).tolist()
        assert red > 190 and green < 10 and blue < 10
        assert frames.read([1]).unique().tolist() == [77]


@pytest.mark.parametrize(
    "change, options, message",
    [
        (lambda f: (f / "img_00004.png").unlink(), {}, "frame 'img_{:05d}.png' number 4 is missing"),
        (lambda f: None, {"base": 0}, "frame 'img_{:05d}.png' number 0 is missing"),
        (lambda f: None, {"base": 40}, "frame 'img_{:05d}.png' number 40 is missing"),
        (
            lambda f: None,
            {"template": "{:05d}.jpg"},
            "no file in this folder fits DATA.IMAGE_TEMPLATE '{:05d}.jpg'; it holds 'img_00001.png' and 11 more",
        ),
        (lambda f: None, {"template": "img.jpg"}, "'img.jpg' must hold one number, as 'img_{:05d}.jpg' does"),
        (lambda f: (f / "img_00002.png").write_bytes(b"no"), {}, "'img_00002.png' is no picture"),
        (lambda f: Image.new("RGB", (9, 8)).save(f / "img_00002.png"), {}, "its frames differ in size, 9x8 and 64x48"),
    ],
)
def test_folders_that_are_no_video(tmp_path, change, options, message):
    write_folder(tmp_path)
    change(tmp_path)
    with pytest.raises(VideoError, match=f"^video '{re.escape(str(tmp_path))}' cannot be read: {re.escape(message)}"):
        with open_frames(tmp_path, **{"template": "img_{:05d}.png", **options}) as frames:
            frames.read([0, 1])


def test_a_number_given_as_base_wins_over_stray_pictures(tmp_path):
    expected = write_folder(tmp_path, first=1)
    Image.new("RGB", (64, 48)).save(tmp_path / "img_00000.png")
    with open_frames(tmp_path, template="img_{:05d}.png", base=1) as frames:
        assert len(frames) == 12 and torch.equal(frames.read([0]), expected[[0]])


@pytest.mark.parametrize(
    "template, good, bad", [("i{:03d}.jpg", "i001.jpg", "i01.jpg"), ("i{}.jpg", "i1.jpg", "ij.jpg")]
)
def test_name_pattern(template, good, bad):
    assert name_pattern(template).fullmatch(good) and not name_pattern(template).fullmatch(bad)


# -------------------------------------------------------------------------------------------------------------- tensors
FRAMES = torch.from_numpy(pictures(9))


@pytest.mark.parametrize("name", ["a.npy", "a.pt", "b.pt", "c.pth"])
def test_tensors(tmp_path, name):
    path = tmp_path / name
    content = {"b.pt": {"frames": FRAMES, "fps": 12.5}, "c.pth": FRAMES.permute(0, 3, 1, 2).contiguous()}.get(
        name, FRAMES
    )
    np.save(path, FRAMES.numpy()) if name.endswith("npy") else torch.save(content, path)
    with open_frames(path) as frames:
        assert len(frames) == 9 and frames.fps == (12.5 if name == "b.pt" else None)
        got = frames.read([8, 2, 2])
        got_all = frames.read(range(9))
    assert torch.equal(got, FRAMES[[8, 2, 2]]) and torch.equal(got_all, FRAMES)


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.pt",
            FRAMES.float(),
            "expected uint8 frames (T, H, W, 3) or (T, 3, H, W), got (9, 48, 64, 3) torch.float32",
        ),
        ("a.pt", FRAMES[0], "expected uint8 frames (T, H, W, 3) or (T, 3, H, W), got (48, 64, 3) torch.uint8"),
        ("a.pt", FRAMES[..., :2], "expected frames of 3 channels, got the shape "),
        ("a.pt", {"pixels": FRAMES}, "expected uint8 frames (T, H, W, 3) or (T, 3, H, W), got NoneType"),
        ("a.pt", FRAMES[:0], "expected uint8 frames"),
        ("a.pt", np.array, "it holds something other than tensors"),
        ("a.npy", b"no array", ""),
        ("a.pt", b"no tensor", ""),
        ("gone.pt", None, "no such file"),
    ],
)
def test_what_is_no_tensor_of_frames(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(
        VideoError, match=f"^video '{re.escape(str(path))}' cannot be read: {re.escape(message)}[^\n]*$"
    ):
        open_frames(path)


def test_frames_larger_than_asked_for_are_reduced(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES.numpy())
    write_folder(tmp_path / "folder")
    for path in (tmp_path / "a.npy", tmp_path / "folder"):
        with open_frames(path, short_side=24, template="img_{:05d}.png") as frames:
            assert frames.read([0, 3]).shape == (2, 24, 32, 3)
