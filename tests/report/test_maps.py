"""Maps over frames: rows that show the same moments, and the video in which they play."""

import torch

from fragrant.report.build import two_strips
from fragrant.report.maps import FeatureMap, at_the_same_times, map_rows, playing

FRAMES = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 4, 4, 3) * 10


def test_rows_are_frames_brightened_and_maps():
    values = torch.zeros(4, 1, 2)
    values[1, 0, 1] = 3.0
    (seen, frames), (bright, lifted), (title, heat) = map_rows(FRAMES, [FeatureMap("a map", values)], name="x.mp4")
    assert (seen, bright, title) == ("x.mp4 as the network gets it", "brightened with gamma 2.2", "a map; max 3")
    assert torch.equal(frames, FRAMES) and heat.shape == (4, 4, 4, 3)
    # 0 shows nothing
    assert torch.equal(heat[[0, 2, 3]], lifted[[0, 4, 6]]) and torch.equal(heat[1, :, :2], lifted[2, :, :2])
    assert not torch.equal(heat[1, :, 2:], lifted[2, :, 2:])


def test_frames_that_are_bright_are_shown_once():
    lit = torch.full_like(FRAMES, 120)
    rows = map_rows(lit, [FeatureMap("a map", torch.ones(4, 1, 2))], name="x.mp4")
    assert [title for title, _ in rows] == ["x.mp4 as the network gets it", "a map; max 1"]
    assert [title for title, _ in two_strips(lit)] == ["as the network gets it"]
    dark = [title for title, _ in two_strips(lit // 10)]
    assert len(dark) == 2 and dark[1] == "brightened for people (gamma 3.3)"


def test_columns_are_moments():
    rows = at_the_same_times([("frames", FRAMES), ("map", FRAMES[::2])], most=16)
    assert [frames[:, 0, 0, 0].tolist() for _, frames in rows] == [[0, 20, 40, 60]] * 2
    assert len(at_the_same_times([("frames", FRAMES)], most=3)[0][1]) == 3


def test_a_map_plays_as_long_as_the_frames():
    video = playing([("frames", FRAMES), ("map", FRAMES[::4])], gap=2)
    assert video.shape == (8, 4, 4 + 2 + 4, 3)
    assert video[:, 0, 0, 0].tolist() == list(range(0, 80, 10)) and video[:, 0, 6, 0].tolist() == [0] * 4 + [40] * 4
    assert (video[:, :, 4:6] == 255).all()
