"""Resize, crops, jitter, flip against the published numbers."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import golden

from fragrant.data.transforms import view_transforms as transforms
from fragrant.data.transforms.view_transforms import Box, EvaluationTransform, TrainTransform, moving_boxes

WHERE = {"yx_left_top": 0.0, "yx_center": 0.5, "yx_right_bottom": 1.0}


def frames_of(height, width, num_frames=2, seed=0):
    return torch.from_numpy(
        np.random.RandomState(seed).randint(0, 256, (num_frames, height, width, 3)).astype(np.uint8)
    )


def test_crop_places():
    for row in golden("framework/spatial_crops")["rows"]:
        height, width = row["h"], row["w"]
        if min(height, width) != row["scale"]:
            height, width = transforms.short_side_size(height, width, row["scale"])
        assert [height, width] == row["resized_hw"], row
        for key, where in WHERE.items():
            if row[key] is not None:
                assert transforms.box_at(height, width, row["crop"], where)[:2] == tuple(row[key]), row


@pytest.mark.parametrize("at", range(12))
def test_pixels_of_a_test_view(at):
    """float32 clips, normalised: the published order of steps up to the order of resize and normalisation, which
    commute."""
    case = golden("framework/test_transform_pixels")["cases"][at]
    seed, shape = case["input"]["seed"], case["input"]["shape"]
    pixels = torch.from_numpy(np.random.RandomState(seed).randint(0, 256, size=shape).astype(np.uint8))
    where = case["index"] / 2
    results = {}
    for dtype in (torch.float32, torch.uint8):
        transform = EvaluationTransform(crop_size=case["crop"], short_side=case["scale"], dtype=dtype)
        clip = transform(transform.prepare(pixels), where, random.Random(0))
        assert clip.dtype == dtype
        results[dtype] = clip.permute(3, 0, 1, 2)  # (C, T, H, W)
    expected = case["output_CTHW"]
    normalised = (results[torch.float32] / 255 - 0.45) / 0.225
    assert list(normalised.shape) == expected["shape"]
    flat = normalised.flatten()
    torch.testing.assert_close(flat[:8], torch.tensor(expected["first8"]), atol=2e-5, rtol=0)
    torch.testing.assert_close(flat[-4:], torch.tensor(expected["last4"]), atol=2e-5, rtol=0)
    assert flat.mean().item() == pytest.approx(expected["mean"], abs=2e-5)
    assert flat.std(unbiased=False).item() == pytest.approx(expected["std"], abs=1e-3)
    assert torch.equal(results[torch.uint8], results[torch.float32].round().to(torch.uint8))  # uint8 = rounded once


def test_resize_leaves_the_right_size_alone():
    frames = frames_of(12, 16)
    assert transforms.resize(frames, 12, 16) is frames
    transform = EvaluationTransform(crop_size=12, short_side=12)
    assert transform.prepare(frames) is frames


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_frames_resized_one_by_one_are_those_of_all_at_once(dtype):
    frames = frames_of(60, 80, num_frames=5)
    plain = F.interpolate(
        frames.permute(0, 3, 1, 2).float(), size=(52, 69), mode="bilinear", align_corners=False
    ).permute(0, 2, 3, 1)
    plain = plain.round().to(torch.uint8) if dtype == torch.uint8 else plain
    assert torch.equal(transforms.resize(frames, 52, 69, dtype=dtype), plain)


def test_short_side_draws():
    for row in golden("framework/train_jitter")["rows"]:
        assert (
            transforms.draw_short_side(row["min"], row["max"], row["u"], inverse=row["inv_uniform"]) == row["size"]
        ), row


def test_relative_boxes():
    data = golden("framework/random_resized_crop")
    for row in data["given_draws"]:
        size = transforms.relative_size(row["h"], row["w"], row["area_fraction"], row["aspect_w_over_h"])
        assert list(size) == row["box_hw"], row
        assert (size[0] <= row["h"] and size[1] <= row["w"]) == row["fits"], row
    for row in data["fallback"]:
        top, left, height, width = row["box_yxhw"]
        assert transforms.widest_box(row["h"], row["w"], tuple(row["ratio"])) == Box(top, left, height, width), row


def test_relative_boxes_fit_and_spread():
    boxes = [
        transforms.random_relative_box(60, 80, (0.08, 1.0), (0.75, 1.3333), random.Random(seed)) for seed in range(500)
    ]
    shares = [box.height * box.width / 4800 for box in boxes]
    assert all(
        box.top >= 0 and box.left >= 0 and box.top + box.height <= 60 and box.left + box.width <= 80 for box in boxes
    )
    assert min(shares) < 0.12 and max(shares) > 0.85
    assert 0.35 < sum(shares) / len(shares) < 0.6


def test_random_box_reaches_every_place():
    boxes = {transforms.random_box(10, 12, 8, random.Random(seed))[:2] for seed in range(400)}
    assert boxes == {(top, left) for top in range(3) for left in range(5)}


def test_resized_box_is_crop_then_resize():
    frames = frames_of(60, 80)
    box = {"areas": (0.3, 0.9), "aspects": (0.75, 1.3333)}
    transform = TrainTransform(crop_size=32, jitter_scales=(1, 1), **box, flip=False, dtype=torch.float32)
    clip = transform(frames, None, random.Random(3))
    top, left, height, width = transforms.random_relative_box(60, 80, **box, rng=random.Random(3))
    part = frames.permute(3, 0, 1, 2)[:, :, top : top + height, left : left + width].float()  # (C, T, h, w)
    expected = F.interpolate(part, size=(32, 32), mode="bilinear", align_corners=False).permute(1, 2, 3, 0)
    torch.testing.assert_close(clip, expected, atol=1e-3, rtol=0)


def test_relative_box_of_resized_frames():
    frames = frames_of(60, 80)
    box = {"areas": (0.08, 1.0), "aspects": (3 / 4, 4 / 3)}
    options = {"crop_size": 32, "jitter_scales": (1, 1), **box, "flip": False}
    clip = TrainTransform(**options, short_side=20)(frames, None, random.Random(3))
    expected = TrainTransform(**options)(transforms.resize(frames, 20, 26), None, random.Random(3))
    assert torch.equal(clip, expected)
    assert not torch.equal(clip, TrainTransform(**options)(frames, None, random.Random(3)))


def test_jittered_crop_is_resize_then_crop():
    frames = frames_of(60, 80)
    transform = TrainTransform(crop_size=48, jitter_scales=(50, 64), flip=False)
    rng = random.Random(4)
    short_side = transforms.draw_short_side(50, 64, rng.random())
    resized = transforms.resize(frames, *transforms.short_side_size(60, 80, short_side))
    expected = transforms.random_box(*resized.shape[1:3], 48, rng).of(resized)
    assert torch.equal(transform(frames, None, random.Random(4)), expected)


def test_multi_scale_boxes():
    data = golden("mienet/crops")
    for row in data["rows"]:
        width, height = row["image_wh"]
        sizes = transforms.multi_scale_sizes(height, width, data["input_size"], (1, 0.875, 0.75, 0.66))
        published = [
            [min(side, height, width) for side in pair] for pair in next(iter(row["train_multiscale"].values()))
        ]
        assert [[w, h] for h, w in sizes] == published, row["image_wh"]
        for name, places in row["train_multiscale"]["offsets_xy_for_some_crops (13, uniform)"].items():
            box_width, box_height = map(int, name.split("x"))
            boxes = transforms.multi_scale_boxes(height, width, box_height, box_width)
            assert [[box.left, box.top] for box in boxes] == places, name


# "five_crop_224_xy" has no twin: no published script of MIE-Net tests with five crops, and fragrant crops along the
# long side only.
@pytest.mark.parametrize("row", golden("mienet/crops")["rows"], ids=lambda row: "x".join(map(str, row["image_wh"])))
def test_test_crops_are_those_of_mie_net_but_for_its_slips(row):
    """Published crops lie on quarters of whole pixels, up to three short of the right border and two of the centre; in
    upright frames they move along the short side."""
    data, (width, height), published = golden("mienet/crops"), row["image_wh"], row["test"]
    height, width = transforms.short_side_size(height, width, data["scale_size"])
    assert [width, height] == published["scaled_wh"]
    for side in (data["input_size"], data["scale_size"]):
        # their order: left, right, centre
        boxes = [transforms.box_at(height, width, side, where) for where in (0, 1, 0.5)]
        found, wanted = [[box.left, box.top] for box in boxes], published[f"three_crop_{side}_xy"]
        if side == data["input_size"]:  # odd remainders are rounded up here, to the even number there
            assert all(
                0 <= ours - theirs <= (rest % 2)
                for ours, theirs, rest in zip(
                    found[2], published["center_224_xy"], (width - side, height - side), strict=True
                )
            )
        if height > width:
            wanted = (
                [[x, y] for y, x in wanted]
                if height == width
                else [[wanted[2][0], 0], [wanted[2][0], height - side], wanted[2]]
            )
        for ours, theirs, missed in zip(found, wanted, (0, 3, 2), strict=True):
            assert all(0 <= a - b <= missed for a, b in zip(ours, theirs, strict=True)), (ours, theirs)


def test_multi_scale_crops_fit():
    frames = frames_of(50, 80)
    transform = TrainTransform(crop_size=32, jitter_scales=(1, 1), scales=(1, 0.875, 0.75, 0.66))
    assert all(transform(frames, None, random.Random(seed)).shape == (2, 32, 32, 3) for seed in range(100))


class Shown:
    """An augmentation that keeps what it was given."""

    def __call__(self, frames, rng):
        self.frames = frames
        return 255 - frames


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("areas", [None, (0.3, 0.9)])
def test_augmentation_of_the_crop_or_of_the_frames(areas, dtype):
    frames = frames_of(60, 80)
    how = {
        "crop_size": 48,
        "jitter_scales": (50, 64),
        "areas": areas,
        "aspects": areas and (0.75, 1.3333),
        "flip": False,
    }
    late, early = Shown(), Shown()
    after = TrainTransform(**how, augment=[late], dtype=dtype)(frames, None, random.Random(4))
    before = TrainTransform(**how, augment=[early], augment_first=True, dtype=dtype)(frames, None, random.Random(4))
    assert (
        torch.equal(early.frames, frames) and late.frames.shape == (2, 48, 48, 3) and late.frames.dtype == torch.uint8
    )
    assert after.dtype == before.dtype == dtype
    plain = TrainTransform(**how, dtype=torch.float32)(frames, None, random.Random(4))
    assert (255 - plain - after.float()).abs().max() <= 0.51 and (255 - plain - before.float()).abs().max() <= 0.51


def test_the_memory_format_of_a_resize_changes_nothing_that_matters():
    frames = frames_of(60, 80)
    together = transforms.resize(frames, 48, 40, together=True)
    assert together.permute(1, 2, 0, 3).is_contiguous()
    torch.testing.assert_close(together.int(), transforms.resize(frames, 48, 40).int(), atol=1, rtol=0)


def test_half_of_the_clips_are_mirrored():
    frames = frames_of(16, 16, num_frames=3)
    transform = TrainTransform(crop_size=16, jitter_scales=(16, 16))
    clips = [transform(frames, None, random.Random(seed)) for seed in range(200)]
    mirrored = [torch.equal(clip, frames.flip(2)) for clip in clips]
    assert all(torch.equal(clip, frames) for clip, flip in zip(clips, mirrored, strict=True) if not flip)
    assert 70 < sum(mirrored) < 130


def test_never_mirrored_when_left_and_right_matter():
    frames = frames_of(16, 16)
    transform = TrainTransform(crop_size=16, jitter_scales=(16, 16), flip=False)
    assert all(torch.equal(transform(frames, None, random.Random(seed)), frames) for seed in range(20))


def test_a_moving_box_goes_from_one_place_to_another():
    boxes = moving_boxes(Box(0, 10, 20, 40), Box(9, 0, 40, 20), 4)
    assert boxes == [Box(0, 10, 20, 40), Box(3, 6, 26, 33), Box(6, 3, 33, 26), Box(9, 0, 40, 20)]
    assert moving_boxes(Box(0, 0, 4, 4), Box(1, 1, 2, 2), 1) == [Box(0, 0, 4, 4)]


@pytest.mark.parametrize("augmented", [False, True])
def test_a_clip_through_a_moving_box(augmented):
    options = dict(crop_size=16, jitter_scales=(16, 16), areas=(0.1, 0.5), aspects=(0.5, 2.0), flip=False)
    if augmented:
        options["augment"] = [lambda frames, rng: frames]
    frames = torch.randint(0, 256, (1, 40, 60, 3), dtype=torch.uint8).repeat(5, 1, 1, 1)  # it stands still
    clip = TrainTransform(**options, moving=True)(frames, None, random.Random(0))
    assert clip.shape == (5, 16, 16, 3) and clip.dtype == torch.uint8
    assert all(not torch.equal(clip[at], clip[at + 1]) for at in range(4))
    rng = random.Random(0)
    ends = [transforms.random_relative_box(40, 60, (0.1, 0.5), (0.5, 2.0), rng) for _ in range(2)]
    for at, box in zip((0, -1), ends, strict=True):
        assert torch.equal(clip[at], transforms.resize(box.of(frames[:1]), 16, 16)[0])
    still = TrainTransform(**options)(frames, None, random.Random(0))
    assert torch.equal(still[0], still[-1]) and torch.equal(still[0], clip[0])
