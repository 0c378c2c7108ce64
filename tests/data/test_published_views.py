"""The recipes that call their test published see the frames and the pixels of the published test."""

import random
from pathlib import Path

import pytest
import torch
from conftest import golden

from fragrant.config import load_cfg
from fragrant.data.build import build_source

ROOT = Path(__file__).parents[2]
CASES = golden("frozen_features/sampling")["cases"]
ELLAR = [path.stem for path in sorted((ROOT / "configs/ellar").glob("*.yaml"))]
FAMILY = {
    **{f"ellar/{name}": "SampleFrames(ELLAR, mmaction2 0.x)" for name in ELLAR},
    **{f"arid/{name}": "SampleFrames(ELLAR, mmaction2 0.x)" for name in ("video_swin_b", "dgam_swin_b")},
    **{
        f"kinetics/csn_{name}": "SampleFrames(mmaction2 1.x)"
        for name in ("ir_152", "ir_50", "ip_152", "ir_152_scratch")
    },
}


def source_of(name):
    return build_source(load_cfg(ROOT / f"configs/{name}.yaml", ["NUM_GPUS", "0"]))


def crops_of(source, height, width):
    """Where the crops of the first clip of a video lie, (left, top): told by pixels that say where they are."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # 512 values at most: high part and low part
    frame = torch.stack([across % 256, down % 256, across // 256 + 2 * (down // 256)], dim=2).to(torch.uint8)
    views = source.whole(200, random.Random(0))[:3]
    found = []
    for view in views:
        x, y, high = source.transform(frame[None], view.where, random.Random(0))[0, 0, 0].tolist()
        found.append((x + 256 * (high % 2), y + 256 * (high // 2)))
    return found


@pytest.mark.parametrize("name, op", FAMILY.items())
def test_frames_of_mmaction_recipes(name, op):
    source = source_of(name)
    clips = source.num_views // 3
    cases = [case for case in CASES if (case["op"], case.get("num_clips")) == (op, clips)]
    assert len(cases) == 9
    for case in cases:
        views = source.whole(case["N"], random.Random(0))
        assert [view.frames[0] for view in views[::3]] == case["clip_starts"]
        assert [view.frames[-1] for view in views[::3]] == case["last"]


def test_a_video_of_301_frames_of_ellar():
    views = source_of("ellar/dgam_swin_b_published").whole(301, random.Random(0))
    assert [view.frames for view in views[::3]] == [tuple(range(start, start + 64, 2)) for start in (29, 89, 148, 208)]


@pytest.mark.parametrize("name", ["ellar/dgam_swin_b_published", "kinetics/csn_ir_152", "arid/csn_har_dark_literal"])
def test_crops_of_mmaction_recipes(name):
    source = source_of(name)
    cases = [case for case in CASES if case["op"] == "ThreeCrop" and case["crop"] == source.transform.crop_size]
    assert cases
    for case in cases:
        (left, right, middle) = (tuple(box[:2]) for box in case["boxes_x0y0x1y1"])
        assert crops_of(source, case["h"], case["w"]) == [left, middle, right]
    side = source.transform.crop_size
    frames = source.transform.prepare(torch.zeros(1, 240, 320, 3, dtype=torch.uint8))
    assert frames.shape[1:3] == (side, {64: 85, 224: 299, 256: 341}[side])


@pytest.mark.parametrize("name", ["sljd/mie_net_r50", "sljd/dptam_r50", "diving48/mie_net_r50", "ssv2/mie_net_r50"])
@pytest.mark.parametrize("side", [224, 256])
def test_crops_of_mie_net_recipes(name, side):
    crops = ["TEST.NUM_SPATIAL_CROPS", "3", "DATA.TEST_CROP_SIZE", str(side)]
    source, three = (build_source(load_cfg(ROOT / f"configs/{name}.yaml", pairs)) for pairs in ([], crops))
    for row in golden("mienet/crops")["rows"]:
        (width, height), published = row["test"]["scaled_wh"], row["test"]
        left, right, middle = map(tuple, published[f"three_crop_{side}_xy"])
        assert crops_of(three, height, width) == [left, middle, right]
        assert crops_of(source, height, width) == [tuple(published["center_224_xy"])]
