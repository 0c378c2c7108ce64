"""MEAN and STD measured on videos: exact values, whose light, what the command prints."""

import math
import random
import shlex
from functools import partial

import numpy as np
import pytest
import torch
from conftest import load_tool

from fragrant.config import load_cfg
from fragrant.data.prepare.statistics import Moments, PixelStatistics, measured_video, moments, pooled, told
from fragrant.data.transforms.darken import Darken
from fragrant.data.transforms.enhance import standardize
from fragrant.data.transforms.gamma import brighten
from fragrant.data.transforms.view_transforms import TrainTransform
from fragrant.data.video.frames import open_frames
from fragrant.data.views import train_plan

check_data = load_tool("check_data")
CROP = {"crop_size": 8, "jitter_scales": (8, 8)}


def frames_of(seed: int, *, top: int = 256, size=(5, 12, 16)) -> torch.Tensor:
    return torch.randint(top, (*size, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def saved(path, frames: torch.Tensor) -> str:
    np.save(path, frames.numpy())
    return str(path)


def test_moments_are_exact():
    frames = frames_of(0)
    mean, square = moments(frames)
    pixels = frames.double() / 255
    assert mean == pytest.approx(pixels.mean((0, 1, 2)).tolist(), abs=1e-12)
    assert square == pytest.approx((pixels**2).mean((0, 1, 2)).tolist(), abs=1e-12)


def test_every_video_counts_the_same_and_their_difference_counts():
    dark, light = Moments([[0.1] * 3], [[0.02] * 3]), Moments([[0.5] * 3], [[0.3] * 3])
    (found,) = pooled([dark, light], ["gone"])
    assert found.mean == pytest.approx([0.3] * 3)
    assert found.std == pytest.approx([math.sqrt(0.16 - 0.09)] * 3)
    assert (found.videos, found.unreadable) == (2, ["gone"])


def test_one_colour_has_a_std_that_the_config_takes():
    (found,) = pooled([Moments([[0.5] * 3], [[0.25] * 3])])
    assert found.std == [1e-4] * 3


@pytest.mark.parametrize("node", ["DATA", "DUAL"])
def test_what_is_printed_can_be_pasted(node, tmp_path):
    line, *yaml = told(node, PixelStatistics([0.07964, 0.1, 0.2], [0.1005, 0.2, 0.3], 3, []))
    assert list(load_cfg(None, shlex.split(line))[node].MEAN) == [0.0796, 0.1, 0.2]
    (tmp_path / "x.yaml").write_text("\n".join(yaml))
    assert list(load_cfg(tmp_path / "x.yaml", [])[node].STD) == [0.1005, 0.2, 0.3]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({}, lambda frames: frames),
        ({"gamma": (3.0, 3.0)}, lambda frames: brighten(frames, 3.0)),
        ({"enhance": standardize}, standardize),
        ({"gamma": (2.0, 4.0)}, lambda frames: brighten(frames, random.Random(7).uniform(2.0, 4.0))),
    ],
)
def test_light_of_a_clip(settings, expected):
    frames = frames_of(1, top=80)
    assert torch.equal(TrainTransform(**CROP, **settings).lit(frames, random.Random(7)), expected(frames))


def test_light_is_that_of_the_clip_itself():
    """A crop of all of the frame: the clip and the lit frames are the same, whatever is drawn."""
    frames = frames_of(2, size=(4, 8, 8))
    transform = TrainTransform(**CROP, flip=False, gamma=(1.0, 5.0), darken=Darken((0.1, 0.5)))
    clip = transform(transform.prepare(frames), None, random.Random(3))
    assert torch.equal(transform.lit(frames, random.Random(3)), clip)


def test_a_video_is_measured_on_the_frames_of_a_clip(tmp_path):
    frames = frames_of(3, size=(9, 12, 16))
    read = {"open_frames": open_frames, "lit": TrainTransform(**CROP).lit, "streams": lambda pixels: (pixels,)}
    measure = partial(measured_video, plan=train_plan(length=9, stride=1), seed=0, **read)
    found = measure((0, saved(tmp_path / "a.npy", frames)))
    assert found.mean[0] == pytest.approx((frames.double() / 255).mean((0, 1, 2)).tolist(), abs=1e-12)
    assert "cannot be read" in measure((1, str(tmp_path / "b.npy")))


@pytest.fixture
def listed(tmp_path):
    """Three videos, one of another brightness, and one that is not there."""
    rows = [saved(tmp_path / f"{at}.npy", frames_of(at, top=top)) for at, top in enumerate((40, 40, 200))]
    (tmp_path / "train.csv").write_text("".join(f"{row} 0\n" for row in [*rows, tmp_path / "gone.npy"]))
    return tmp_path / "train.csv"


def run(listed, *pairs) -> int:
    usual = ["DATA.NUM_FRAMES", "5", "DATA.SAMPLING_RATE", "1", "NUM_GPUS", "0", "MODEL.NUM_CLASSES", "2"]
    return check_data.start(["--statistics", "--list", str(listed), "--workers", "1", *usual, *pairs])


def values_of(out: str, node: str = "DATA") -> tuple[list[float], list[float]]:
    (line,) = (line for line in out.splitlines() if line.startswith(f"{node}.MEAN"))
    cfg = load_cfg(None, shlex.split(line))
    return list(cfg[node].MEAN), list(cfg[node].STD)


def test_command(listed, capsys):
    assert run(listed) == 0
    out = capsys.readouterr().out
    assert "train: one training clip of each of 3 of 4 videos, as they are" in out
    assert "not among them: video" in out and "gone.npy" in out
    pixels = torch.stack([torch.from_numpy(np.load(listed.parent / f"{at}.npy")) for at in range(3)]).double() / 255
    mean, std = values_of(out)
    assert mean == pytest.approx(pixels.mean((0, 1, 2, 3)).tolist(), abs=6e-5)
    assert std == pytest.approx(pixels.std((0, 1, 2, 3), correction=0).tolist(), abs=6e-5)


def test_command_after_the_enhancement_and_of_the_second_stream(listed, capsys):
    assert run(listed, "DATA.ENHANCE", "standardize", "MODEL.MODEL_NAME", "DualStream", "DUAL.GAMMA", "3") == 0
    out = capsys.readouterr().out
    assert "after DATA.ENHANCE standardize, of the second stream also" in out
    (mean, std), (second, _) = values_of(out), values_of(out, "DUAL")
    assert mean == pytest.approx([0.502] * 3, abs=0.002) and std == pytest.approx([0.188] * 3, abs=0.002)
    assert all(value > 0.7 for value in second)


def test_command_refuses(listed, capsys):
    assert run(listed, "--videos", "0") == 2
    assert capsys.readouterr().err == "error: --videos 0: allowed: 1 or more\n"
    listed.write_text(f"{listed.parent}/gone.npy 0\n")
    assert run(listed) == 2
    assert "not one of 1 videos can be read; the first: video" in capsys.readouterr().err
