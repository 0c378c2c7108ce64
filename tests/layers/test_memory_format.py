"""Filters of both kinds go to channels last, with the same numbers and the same parameters."""

import torch
from torch import nn

from fragrant.layers.memory_format import to_channels_last


def test_filters_for_frames_and_for_clips():
    model = nn.ModuleDict(
        {
            "frames": nn.Conv2d(3, 4, 3),
            "clips": nn.Conv3d(3, 4, 3),
            "time": nn.Conv1d(3, 4, 3),
            "norm": nn.BatchNorm2d(4),
        }
    )
    before = {name: (parameter, parameter.clone()) for name, parameter in model.named_parameters()}
    assert to_channels_last(model) is model
    assert model["frames"].weight.is_contiguous(memory_format=torch.channels_last)
    assert model["clips"].weight.is_contiguous(memory_format=torch.channels_last_3d)
    for name, parameter in model.named_parameters():
        assert parameter is before[name][0] and torch.equal(parameter, before[name][1])
