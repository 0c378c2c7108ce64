"""Hard edges of color: every pixel is the one that the ffmpeg command shows, of all ways to store colors more coarsely,
and from all places where a file may say that they lie."""

import base64
import json

import numpy as np
import pytest
from conftest import GOLDEN
from decoders import installed

from fragrant.data.video.frames import open_frames

CASES = json.loads((GOLDEN / "video/edges.json").read_text())


@pytest.mark.parametrize("backend", ["pyav", "torchcodec", "decord"])
def test_every_pixel_is_that_of_ffmpeg(tmp_path, backend):
    installed(backend)
    far = {}
    for name, case in CASES.items():
        path = tmp_path / f"{name}.mkv"
        path.write_bytes(base64.b64decode(case["file"]))
        width, height = case["size"]
        expected = np.frombuffer(base64.b64decode(case["shown"]), np.uint8).reshape(height, width, 3)
        with open_frames(path, backend=backend) as frames:
            shown = frames.read([0])[0].numpy()
        if not np.array_equal(shown, expected):
            far[name] = np.abs(shown.astype(int) - expected).max()
    assert not far, far
