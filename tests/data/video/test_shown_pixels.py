"""The pixels of every kind of file are those that the ffmpeg command shows, with any PyAV that is allowed, by any backend."""

import base64
import json
import os
import re
import subprocess
import sys

import av
import numpy as np
import pytest
from conftest import GOLDEN, ROOT
from decoders import installed
from make_colors import blocks, turned

from fragrant.data.video import pixels
from fragrant.data.video.frames import VideoError, open_frames
from fragrant.data.video.other_decoders import require
from fragrant.errors import UserError

CASES = json.loads((GOLDEN / "video/colors.json").read_text())
# mean of the middle of a block: FFmpeg 5 and 8 round chroma, and 10 bits to 8, in other ways
NEAR = 1.6


def written(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(base64.b64decode(CASES[name]["file"]))
    return path


def difference(path, expected, **how):
    with open_frames(path, **how) as frames:
        got = blocks(frames.read([0])[0].numpy())
    return np.abs(got - np.array(expected)).max() if got.shape == np.shape(expected) else np.inf


def test_what_the_numbers_cover():
    names = " ".join(CASES)
    for part in (
        "gray",
        "420p",
        "422p",
        "444p",
        "10le",
        "12le",
        "16le",
        "_tv",
        "_pc",
        "601",
        "709",
        "2020",
        "untagged",
        "matrix",
    ):
        assert part in names
    assert len({name.rpartition(".")[2] for name in CASES}) == 7


@pytest.mark.parametrize("backend", ["pyav", "torchcodec", "decord"])
def test_as_ffmpeg_shows_them(tmp_path, backend):
    installed(backend)
    far = {}
    for name, case in CASES.items():
        worst = difference(written(tmp_path, name), case["shown"], backend=backend)
        if worst > NEAR:
            far[name] = worst
    assert not far, far


@pytest.mark.slow
def test_as_ffmpeg_shows_them_with_the_lowest_pyav(tmp_path):
    lowest = re.search(r"^av>=([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1]
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), f"av=={lowest}.0"]
    if subprocess.run(install, capture_output=True).returncode:
        pytest.skip(f"PyAV {lowest} cannot be installed here")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    tests = [
        "tests/data/video/test_shown_pixels.py",
        "tests/data/video/test_frames.py",
        "tests/data/video/test_which_frame.py",
        "tests/data/video/test_timing.py",
    ]
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", *tests]
    found = subprocess.run(
        [sys.executable, "-c", "import av; print(av.__version__)"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
    )
    assert found.stdout.decode().startswith(lowest)
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert not done.returncode, done.stdout[-2000:]


def test_an_old_pyav_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "PYAV", (16, 1))
    monkeypatch.setattr(av, "__version__", "16.1.0")
    message = "^PyAV 16.1.0 is installed, which ignores what videos say about their colors; allowed: 17.1 or later"
    for called in (lambda: open_frames(tmp_path / "a.mp4"), lambda: require("pyav")):
        with pytest.raises(UserError, match=message) as caught:
            called()
        assert not isinstance(caught.value, VideoError)  # not one unreadable video, but all of them


@pytest.mark.parametrize("number, name", [(8, "YCgCo"), (10, "BT.2020 constant luminance"), (14, "ICtCp")])
def test_colors_that_cannot_be_converted_are_named(tmp_path, number, name):
    with av.open(str(written(tmp_path, "libx264_yuv420p_601_tv.mp4"))) as container:
        frame = next(container.decode(video=0))
    frame.colorspace = number
    with pytest.raises(pixels.CannotRead, match=rf"^its colors are stored by a matrix \({name}\) that cannot be read$"):
        pixels.ToRGB(0)(frame)


@pytest.mark.parametrize("angle", [2, 45, 100, -135])
def test_other_than_right_angles_are_refused(tmp_path, angle):
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    path = tmp_path / "a.mp4"
    data = turned(written(tmp_path, "libx264_yuv420p_601_tv.mp4").read_bytes(), (cos, sin, -sin, cos))
    path.write_bytes(data)
    with open_frames(path) as frames:
        with pytest.raises(VideoError, match=f"it is to be shown turned by {angle} degrees; allowed: multiples of 90$"):
            frames.read([0])


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 0, 0), (2, 0, 0, 2), (1, 0.01, -0.01, 1)])
def test_a_matrix_that_turns_nothing(tmp_path, matrix):
    path = tmp_path / "a.mp4"
    path.write_bytes(turned(written(tmp_path, "libx264_yuv420p_601_tv.mp4").read_bytes(), matrix))
    assert difference(path, CASES["libx264_yuv420p_601_tv.mp4"]["shown"]) <= NEAR
