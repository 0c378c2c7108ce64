"""Random erasing against the published boxes; what it depends on."""

import random

import pytest
import torch
from conftest import golden

from fragrant.layers.random_erasing import RandomErasing

CASES = golden("framework/random_erasing")["cases"]
NUM_CLIPS, SIDE = 200, 32  # side of the published clips


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['mode']}-{case['seed']}")
def test_published_boxes(case):
    """To the draw of Python's generator. The published code leaves the first half of the frames alone where RE_COUNT is
    2; not ours."""
    erase = RandomErasing(case["prob"], mode=case["mode"], max_count=case["max_count"])
    boxes = [list(box) for box in erase.draw(SIDE, SIDE, random.Random(case["seed"]))]
    published = case["erased_box_yxhw_per_frame"][-1]
    assert boxes[:1] == ([published] if published else [])


def erased(mode, key="1-0-7-0", prob=1.0, count=1, device="cpu"):
    clips = torch.full((1, 3, 4, SIDE, SIDE), 9.0, device=device).contiguous(memory_format=torch.channels_last_3d)
    out = RandomErasing(prob, mode=mode, max_count=count)(clips, [key])
    assert out.data_ptr() == clips.data_ptr() and out.is_contiguous(memory_format=torch.channels_last_3d)
    return out[0]


def fill_of(clip):
    """(C, T, pixels of the box), after a check that the box is the same in all frames"""
    changed = (clip != 9).any(0)  # (T, H, W)
    assert changed.any() and all(torch.equal(frame, changed[0]) for frame in changed)
    return clip[:, :, changed[0]]


def test_noise_is_new_in_every_pixel_channel_and_frame():
    fill = fill_of(erased("pixel"))
    assert fill.unique().numel() == fill.numel()
    assert abs(fill.mean()) < 0.3 and 0.7 < fill.std() < 1.3


def test_one_color_per_frame():
    fill = fill_of(erased("rand"))
    assert (fill == fill[:, :, :1]).all() and fill.unique().numel() == 3 * 4


def test_the_mean_color():
    assert (fill_of(erased("const")) == 0).all()


def test_it_follows_from_the_key_alone():
    for mode in ("pixel", "rand"):
        assert torch.equal(erased(mode), erased(mode))
        assert not torch.equal(erased(mode), erased(mode, key="1-0-7-1"))


def test_probability_and_size():
    clips = torch.full((NUM_CLIPS, 1, 1, SIDE, SIDE), 9.0)
    RandomErasing(0.25, mode="const")(clips, [str(number) for number in range(NUM_CLIPS)])
    share = (clips == 0).flatten(1).float().mean(1)
    assert 0.17 < (share > 0).float().mean() < 0.33
    assert share.max() < 0.36 and 0.01 < share[share > 0].min()
    assert (erased("const", prob=0.0) == 9).all()


def test_several_boxes_are_smaller():
    draws = [RandomErasing(1.0, max_count=3).draw(64, 64, random.Random(seed)) for seed in range(300)]
    assert {len(boxes) for boxes in draws} == {1, 2, 3}
    largest = {
        count: max(box.height * box.width for boxes in draws if len(boxes) == count for box in boxes)
        for count in (1, 3)
    }
    assert largest[3] < largest[1] / 2


def test_a_clip_too_small_for_a_box_stays():
    assert RandomErasing(1.0).draw(1, 1, random.Random(0)) == []


@pytest.mark.cuda
def test_the_gpu_erases_the_same_boxes():
    ours, theirs = (erased("pixel", device=device).cpu() != 9 for device in ("cpu", "cuda"))
    assert torch.equal(ours, theirs)
    assert torch.equal(erased("pixel", device="cuda"), erased("pixel", device="cuda"))
