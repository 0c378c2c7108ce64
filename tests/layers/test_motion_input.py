"""Brightness and its change in the place of colours."""

import torch

from fragrant.layers.motion_input import motion_channels


def test_brightness_change_and_its_size():
    clips = torch.randn(2, 3, 4, 5, 6)
    gray = clips.mean(1)
    found = motion_channels(clips)
    assert torch.equal(found[:, 0], gray)
    for t in range(4):
        first = min(t, 2)  # the last frame repeats the change to it
        assert torch.equal(found[:, 1, t], gray[:, first + 1] - gray[:, first])
    assert torch.equal(found[:, 2], found[:, 1].abs())


def test_one_frame_does_not_move():
    found = motion_channels(torch.randn(1, 3, 1, 4, 4))
    assert found.shape == (1, 3, 1, 4, 4) and not found[:, 1:].any()
