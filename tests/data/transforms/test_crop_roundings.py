"""Sizes and test crops as published code rounds them, to the pixel."""

import pickle

import pytest
from conftest import golden

from fragrant.data.transforms.crop_roundings import CROP_ROUNDINGS
from fragrant.data.transforms.view_transforms import UP, Box

CASES = golden("frozen_features/sampling")["cases"]
MIE = golden("mienet/crops")
MMACTION, TSN = CROP_ROUNDINGS.get("mmaction"), CROP_ROUNDINGS.get("tsn")
LEFT_RIGHT_MIDDLE = (0.0, 1.0, 0.5)  # the published order


def corners(box: Box) -> list[int]:
    return [box.left, box.top, box.left + box.width, box.top + box.height]


def test_three_crops_of_mmaction():
    cases = [case for case in CASES if case["op"] == "ThreeCrop"]
    assert len(cases) == 5
    for case in cases:
        boxes = [MMACTION.along(case["h"], case["w"], case["crop"], where) for where in LEFT_RIGHT_MIDDLE]
        assert [corners(box) for box in boxes] == case["boxes_x0y0x1y1"], case


def test_centre_crop_of_mmaction():
    cases = [case for case in CASES if case["op"] == "CenterCrop"]
    assert len(cases) == 5
    for case in cases:
        assert corners(MMACTION.centre(case["h"], case["w"], case["crop"])) == case["box"], case


@pytest.mark.parametrize(
    "size, short_side, resized",
    [
        ((240, 320), 224, (224, 299)),  # 298.67
        ((320, 240), 224, (299, 224)),
        ((240, 320), 256, (256, 341)),  # 341.33
        ((144, 176), 256, (256, 313)),  # 312.89
        ((224, 224), 256, (256, 256)),
        ((2, 3), 1, (1, 2)),  # 1.5: up
    ],
)
def test_sizes_of_mmaction(size, short_side, resized):
    assert MMACTION.resized(*size, short_side) == resized


# "five_crop_224_xy" has no twin: no published script of MIE-Net tests with five crops, and fragrant has one or three.
@pytest.mark.parametrize("row", MIE["rows"], ids=lambda row: "x".join(map(str, row["image_wh"])))
def test_crops_of_mie_net(row):
    (width, height), published = row["image_wh"], row["test"]
    height, width = TSN.resized(height, width, MIE["scale_size"])
    assert [width, height] == published["scaled_wh"]
    centre = TSN.centre(height, width, MIE["input_size"])
    assert [centre.left, centre.top] == published["center_224_xy"]
    for side in (MIE["input_size"], MIE["scale_size"]):
        boxes = [TSN.along(height, width, side, where) for where in LEFT_RIGHT_MIDDLE]
        assert [[box.left, box.top] for box in boxes] == published[f"three_crop_{side}_xy"], side


@pytest.mark.parametrize("side", [224, 255, 256])
@pytest.mark.parametrize("size", [(256, 341), (341, 256), (256, 455), (342, 256), (256, 256)])
def test_crops_rounded_up_reach_both_borders(size, side):
    """The slips of the published crops are not in the default: borders are exact, and the long side is the one that is
    looked along."""
    height, width = size
    first, middle, last = (UP.along(height, width, side, where) for where in (0.0, 0.5, 1.0))
    along, across = ("top", "left") if height > width else ("left", "top")
    assert getattr(first, along) == 0 and getattr(last, along) == max(size) - side
    assert {getattr(box, across) for box in (first, middle, last)} == {-((side - min(size)) // 2)}
    assert UP.centre(height, width, side) == middle


@pytest.mark.parametrize("name", CROP_ROUNDINGS.names())
def test_every_crop_lies_in_the_frame(name):
    rounding = CROP_ROUNDINGS.get(name)
    assert pickle.loads(pickle.dumps(rounding)) == rounding  # a worker may get it by pickling
    for height in range(20, 90, 7):
        for width in range(20, 90, 3):
            size = rounding.resized(height, width, 32)
            assert min(size) == 32
            for side in (29, 31, 32):
                boxes = [rounding.centre(*size, side), *(rounding.along(*size, side, where) for where in (0, 0.5, 1))]
                for box in boxes:
                    assert box.height == box.width == side and min(box.top, box.left) >= 0
                    assert box.top + side <= size[0] and box.left + side <= size[1]
