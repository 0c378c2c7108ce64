"""RandAugment against the published strings, strengths and pixels."""

import random
import re
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import golden
from PIL import Image

from fragrant.data.transforms.color_jitter import ColorJitter
from fragrant.data.transforms.randaugment import OPERATIONS, USED, Drawn, apply, argument_of, parse_randaugment
from fragrant.data.transforms.warp import rotate, shear_x, shear_y, translate
from fragrant.errors import UserError

GOLDEN = golden("framework/randaugment")
ABSOLUTE = ("PosterizeOriginal", "TranslateX", "TranslateY")  # of other operation sets


def our_name(published):
    return published.removesuffix("Increasing").removesuffix("Rel")


@pytest.mark.parametrize("row", GOLDEN["parse"], ids=lambda row: row["string"])
def test_strings(row):
    augment = parse_randaugment(row["string"])
    assert (augment.magnitude, augment.num_ops) == (row["magnitude"], row["num_ops"])
    assert (augment.magnitude_std, augment.weighted, USED) == (row["magnitude_std"], row["weighted"], row["op_prob"])
    assert [our_name(name) for name in row["ops"]] == list(OPERATIONS)
    # published: inc0 is on, too
    rising = row["first_posterize_kind"] == ["PosterizeIncreasing"] and "inc0" not in row["string"]
    assert augment.rising == rising


@pytest.mark.parametrize(
    "text", ["", "augmix-m3", "rand-m7-x3", "rand-n2.5", "rand-w1", "rand-m7-m8", "m7-n4", "rand-m"]
)
def test_other_strings(text):
    with pytest.raises(
        UserError, match=re.escape(f"AUG.AA_TYPE {text!r} is no RandAugment; write rand-m7-n4-mstd0.5-inc1")
    ):
        parse_randaugment(text)


def test_strengths():
    for magnitude, row in GOLDEN["level_args_positive_sign"].items():
        for name, expected in row.items():
            if name not in ABSOLUTE:
                argument = argument_of(our_name(name), float(magnitude), 1, rising=name.endswith("Increasing"))
                assert ([] if argument is None else [argument]) == pytest.approx(expected), name


CASE = GOLDEN["op_pixels"][0]


@pytest.mark.parametrize("row", CASE["ops"], ids=lambda row: row["op"])
def test_pixels(row):
    """The published picture; the mean of all values to five digits and more: of this picture at most two of 9216 are one
    higher, of any see below."""
    small = np.random.RandomState(CASE["input"]["seed"]).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    picture = np.array(Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC))
    assert picture.mean() == pytest.approx(CASE["input"]["mean"], abs=1e-4)
    argument = argument_of(our_name(row["op"]), CASE["magnitude"], 1, rising=row["op"].endswith("Increasing"))
    clip = apply(
        torch.from_numpy(picture).expand(2, -1, -1, -1), [Drawn(our_name(row["op"]), argument, CASE["interpolation"])]
    )
    assert torch.equal(clip[0], clip[1])
    values = clip[0].flatten().double()
    assert values[:6].tolist() == row["first6"]
    assert values.mean().item() == pytest.approx(row["mean"], abs=3e-4)
    assert values.std(unbiased=False).item() == pytest.approx(row["std"], abs=3e-4)


WARPED = ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"]
MOST_OFF = {"bilinear": 0.08, "bicubic": 0.005}  # shares of values that are not Pillow's


@pytest.mark.parametrize("interpolation", MOST_OFF)
@pytest.mark.parametrize("name", WARPED)
def test_what_moves_pixels_is_at_most_one_higher_than_in_pillow(name, interpolation):
    rng = np.random.RandomState(0)
    for magnitude, sign in [(m, s) for m in (1, 2, 2.5, 4, 5, 7, 9, 10) for s in (1, -1)]:
        height, width = rng.randint(20, 90, 2).tolist()
        picture = rng.randint(0, 256, (height, width, 3)).astype(np.uint8)
        amount = argument_of(name, magnitude, sign, rising=False)
        affine = {
            "Rotate": lambda amount, size: rotate(amount, *size),
            "ShearX": lambda amount, size: shear_x(amount),
            "ShearY": lambda amount, size: shear_y(amount),
            "TranslateX": lambda amount, size: translate(amount * size[1], 0),
            "TranslateY": lambda amount, size: translate(0, amount * size[0]),
        }[name](amount, (height, width))
        resampling = Image.Resampling[interpolation.upper()]
        image = Image.fromarray(picture)
        expected = image.transform(image.size, Image.Transform.AFFINE, tuple(affine), resampling, fillcolor=(128,) * 3)
        found = apply(torch.from_numpy(picture)[None], [Drawn(name, amount, interpolation)])[0].numpy()
        off = found.astype(int) - np.asarray(expected)
        assert 0 <= off.min() and off.max() <= 1 and (off != 0).mean() <= MOST_OFF[interpolation], (magnitude, sign)


# ---------------------------------------------------------------------------------------------------------------- draws
def drawn_by(text, seeds=2000, **options):
    augment = parse_randaugment(text, **options)
    return [augment.draw(random.Random(seed)) for seed in range(seeds)]


def test_half_of_the_operations_are_used_and_all_alike():
    draws = drawn_by("rand-m7-n4-mstd0.5-inc1")
    counts = Counter(operation.name for operations in draws for operation in operations)
    assert sum(counts.values()) / len(draws) == pytest.approx(2.0, abs=0.1)
    assert set(counts) == set(OPERATIONS) and max(counts.values()) < 1.4 * min(counts.values())
    assert max(len(operations) for operations in draws) == 4


def test_weighted_operations_are_drawn_by_weight_and_once():
    draws = drawn_by("rand-m9-n3-w0")
    counts = Counter(operation.name for operations in draws for operation in operations)
    assert {"Invert", "Posterize"}.isdisjoint(counts)
    assert counts["Rotate"] > counts["ShearX"] > counts["TranslateX"] > counts["Color"]
    assert all(len({operation.name for operation in operations}) == len(operations) for operations in draws)


def test_magnitudes_spread_and_stay_below_the_highest():
    angles = [
        abs(one.argument) for operations in drawn_by("rand-m9-n4-mstd1") for one in operations if one.name == "Rotate"
    ]
    assert max(angles) == 30 and 26 < np.mean(angles) < 27.5 and np.std(angles) > 1.5
    fixed = {one.argument for operations in drawn_by("rand-m9-n4") for one in operations if one.name == "Rotate"}
    assert fixed == {27, -27}


def test_interpolation_may_be_drawn():
    drawn = {one.interpolation for operations in drawn_by("rand", interpolation="random") for one in operations}
    assert drawn == {"bicubic", "bilinear"}


FRAMES = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (3, 24, 32, 3)).astype(np.uint8))


@pytest.mark.parametrize(
    "augment", [parse_randaugment("rand-m7-n4-mstd0.5-inc1"), ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)]
)
def test_all_frames_change_alike(augment):
    same = FRAMES[:1].expand(4, -1, -1, -1)
    changed = 0
    for seed in range(30):
        clip = augment(same, random.Random(seed))
        assert clip.shape == same.shape and clip.dtype == torch.uint8
        assert all(torch.equal(frame, clip[0]) for frame in clip)
        assert torch.equal(clip, augment(same, random.Random(seed)))
        changed += not torch.equal(clip, same)
    assert changed > 20


def test_color_jitter_stays_in_its_range():
    gray = torch.full((2, 8, 8, 3), 100, dtype=torch.uint8)
    values = [ColorJitter(brightness=0.4)(gray, random.Random(seed))[0, 0, 0, 0].item() for seed in range(300)]
    assert 58 <= min(values) < 66 and 134 < max(values) <= 140
    # a gray picture has neither
    assert torch.equal(ColorJitter(saturation=0.9, contrast=0.9)(gray, random.Random(0)), gray)


def test_hue():
    red = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    red[..., 0] = 200
    turned = [ColorJitter(hue=0.5)(red, random.Random(seed))[0, 0, 0] for seed in range(50)]
    assert all(pixel.max() == 200 and pixel.min() == 0 for pixel in turned)
    assert {pixel.argmax().item() for pixel in turned} == {0, 1, 2}
