"""Patches of clips against a plain loop, and their normalisation."""

import itertools

import torch

from fragrant.layers.patches import from_patches, normalized_patches, to_patches
from fragrant.layers.pixel_decoder import PixelDecoder
from fragrant.layers.positions import sine_positions

SIZE, GRID = (2, 4, 6), (2, 3, 2)


def random_clips() -> torch.Tensor:
    shape = [2, 3, *(side * count for side, count in zip(SIZE, GRID, strict=True))]
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_patches_are_those_of_a_plain_loop():
    clips = random_clips()
    patches = to_patches(clips, SIZE)
    for at, place in enumerate(itertools.product(*map(range, GRID))):
        t, h, w = (side * number for side, number in zip(SIZE, place, strict=True))
        box = clips[:, :, t : t + SIZE[0], h : h + SIZE[1], w : w + SIZE[2]]  # (N, C, 2, 4, 6)
        assert torch.equal(patches[:, at], box.flatten(2).transpose(1, 2)), place


def test_patches_put_together_are_the_clip():
    clips = random_clips()
    assert torch.equal(from_patches(to_patches(clips, SIZE), SIZE, GRID), clips)
    channels_last = clips.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(to_patches(channels_last, SIZE), to_patches(clips, SIZE))


def test_targets_have_no_brightness_and_no_contrast():
    patches = to_patches(random_clips(), SIZE)
    targets = normalized_patches(patches)
    plain = (patches - patches.mean(2, keepdim=True)) / patches.var(2, unbiased=False, keepdim=True).sqrt()
    torch.testing.assert_close(targets, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(normalized_patches(0.2 * patches - 3), targets, rtol=1e-3, atol=1e-3)


def test_a_constant_patch_is_zero_and_harmless():
    patches = torch.full((1, 2, 8, 3), 0.7, requires_grad=True)
    targets = normalized_patches(patches)
    targets.square().sum().backward()
    assert targets.abs().max() < 1e-3 and patches.grad.isfinite().all()


def test_positions_tell_every_place_from_every_other():
    positions = sine_positions((3, 4, 5), 32)
    assert positions.shape == (60, 32) and positions.abs().max() <= 1
    distances = torch.cdist(positions, positions) + torch.eye(60)
    assert distances.min() > 0.1
    first, same_frame = positions.view(3, 4, 5, 32)[0], positions.view(3, 4, 5, 32)[1]
    assert torch.equal(first[..., 10:20], same_frame[..., 10:20])  # a part of the width for every axis


def test_the_decoder_paints_clips():
    for depth in (0, 2):
        decoder = PixelDecoder(8, SIZE, width=20, depth=depth)
        assert decoder(torch.randn(2, 8, *GRID)).shape == random_clips().shape
        without = [n for n, p in decoder.named_parameters() if not p.requires_grad]
        assert not without and len(decoder.blocks) == depth
