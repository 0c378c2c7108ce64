"""Maps over frames: rows that show the same moments, and the video in which they play."""

import torch

from fragrant.report.build import two_strips
from fragrant.report.maps import FeatureMap, over_frames, playing, playing_rows

FRAMES = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 4, 4, 3) * 10


def test_rows_are_frames_brightened_and_maps():
    values = torch.zeros(4, 1, 2)
    values[1, 0, 1] = 3.0
    frames, lifted, heat = playing_rows(FRAMES, [FeatureMap("a map", values)])
    assert torch.equal(frames, FRAMES) and heat.shape == (4, 4, 4, 3)
    # 0 shows nothing
    assert torch.equal(heat[[0, 2, 3]], lifted[[0, 4, 6]]) and torch.equal(heat[1, :, :1], lifted[2, :, :1])
    assert not torch.equal(heat[1, :, 1:], lifted[2, :, 1:])


def test_frames_that_are_bright_are_shown_once():
    lit = torch.full_like(FRAMES, 120)
    assert len(playing_rows(lit, [FeatureMap("a map", torch.ones(4, 1, 2))])) == 2
    assert [title for title, _ in two_strips(lit)] == ["as the network gets it"]
    dark = [title for title, _ in two_strips(lit // 10)]
    assert len(dark) == 2 and dark[1] == "brightened for people (gamma 3.3)"


def test_maps_are_smooth():
    values = torch.tensor([[[0.0, 2.0]]])
    assert over_frames(values, FRAMES)[1][0, 0].tolist() == [0, 0.25, 0.75, 1]  # bilinear, between the middles


def test_a_map_plays_as_long_as_the_frames():
    video = playing([FRAMES, FRAMES[::4]], gap=2)
    assert video.shape == (8, 4, 4 + 2 + 4, 3)
    assert video[:, 0, 0, 0].tolist() == list(range(0, 80, 10)) and video[:, 0, 6, 0].tolist() == [0] * 4 + [40] * 4
    assert (video[:, :, 4:6] == 255).all()
