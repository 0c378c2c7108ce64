"""Gamma tables against the published ones, to the value."""

import pytest
import torch
from conftest import golden

from fragrant.data.transforms.gamma import brighten, gamma_table


@pytest.mark.parametrize("case", golden("frozen_features/gamma_lut")["cases"], ids=lambda case: str(case["gamma"]))
def test_tables(case):
    assert gamma_table(case["gamma"]).tolist() == case["table"]


def test_every_pixel_is_looked_up():
    frames = torch.randint(0, 256, (2, 6, 5, 3), dtype=torch.uint8)
    for given in (frames, frames[:, 1:4, 2:], frames.flip(2)):
        assert torch.equal(brighten(given, 2.5), gamma_table(2.5)[given.long()])
    assert brighten(frames, 1) is frames
