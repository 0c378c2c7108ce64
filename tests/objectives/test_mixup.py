"""Mixup and CutMix against the numbers of the published code, with its draws."""

import random

import numpy as np
import pytest
import torch
from conftest import golden, golden_input
from golden_values import assert_golden

from fragrant.objectives.mixup import Mix, Mixup, box_mix, cutmix_box, mix_clips, mix_labels

CASES = golden("mixup/video_mixup_cutmix")["cases"]
FIXED = [case for case in CASES if case["kind"] == "fixed"]
SEEDED = [case for case in CASES if case["kind"] == "seeded"]


class NumpyDraws:
    """The generator that the published code draws from, with the names of Python's."""

    def __init__(self, seed: int):
        self.draws = np.random.RandomState(seed)
        self.random, self.betavariate, self.randrange = self.draws.rand, self.draws.beta, self.draws.randint


def inputs(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    return golden_input(case["input"]["clip"]["seed"], case["input"]["clip"]["shape"]), torch.tensor(
        case["input"]["labels"]
    )


def test_every_case_is_used():
    assert len(FIXED) + len(SEEDED) == len(CASES) == 17


@pytest.mark.parametrize("case", FIXED)
def test_published_mix(case):
    given, expected = case["input"], case["output"]
    clips, labels = inputs(case)
    mix = Mix(given["lam"])
    if given["mode"] == "cutmix":
        centre = (given["center_y"], given["center_x"])
        mix = box_mix(*clips.shape[-2:], given["lam"], centre=centre, correct_lam=given.get("correct_lam", True))
        assert list(mix.box) == expected["box_y0_y1_x0_x1"]
        assert mix.lam == pytest.approx(expected["lam_after_area_correction"], rel=1e-6)
    before = clips.clone()
    assert_golden(mix_clips(clips, mix), expected["clip"])
    assert torch.equal(clips, before)
    soft_labels = mix_labels(labels, mix, num_classes=given["num_classes"], smoothing=given["label_smoothing"])
    torch.testing.assert_close(soft_labels, torch.tensor(expected["target"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", SEEDED)
def test_published_draws(case):
    given, expected = case["input"], case["output"]
    mixup = Mixup(
        given["num_classes"],
        NumpyDraws(given["numpy_seed"]),
        alpha=given["mixup_alpha"],
        cutmix_alpha=given["cutmix_alpha"],
        prob=given["mix_prob"],
        switch_prob=given["switch_prob"],
        smoothing=given["label_smoothing"],
    )
    clips, soft_labels = mixup(*inputs(case))
    assert_golden(clips, expected["clip"])
    torch.testing.assert_close(soft_labels, torch.tensor(expected["target"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", golden("framework/mixup")["cutmix_boxes"])
def test_published_boxes(case):
    mix = box_mix(case["h"], case["w"], case["lam"], centre=(case["cy"], case["cx"]))
    assert (
        list(mix.box)
        == case["box_y0y1x0x1"]
        == list(cutmix_box(case["h"], case["w"], case["lam"], centre=(case["cy"], case["cx"])))
    )
    assert mix.lam == pytest.approx(case["lam_corrected"], rel=1e-6)


@pytest.mark.parametrize("case", golden("framework/mixup")["targets"])
def test_published_targets(case):
    soft_labels = mix_labels(
        torch.tensor(case["labels"]), Mix(case["lam"]), num_classes=case["classes"], smoothing=case["smoothing"]
    )
    torch.testing.assert_close(soft_labels, torch.tensor(case["target"]), rtol=1e-5, atol=1e-6)


def test_labels_that_are_shares_already():
    hard = torch.tensor([2, 0, 1])
    mixed = mix_labels(hard, Mix(0.3), num_classes=4, smoothing=0.1)
    torch.testing.assert_close(mix_labels(torch.eye(4)[hard], Mix(0.3), num_classes=4, smoothing=0.1), mixed)
    torch.testing.assert_close(mixed.sum(1), torch.ones(3))


def test_same_generator_same_mix():
    clips, labels = torch.randn(4, 3, 2, 8, 8), torch.arange(4)
    first, second = (Mixup(4, random.Random(5))(clips, labels) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    kinds = {Mixup(4, random.Random(seed)).draw(8, 8).box is None for seed in range(20)}
    assert kinds == {True, False}


@pytest.mark.parametrize("off", [dict(prob=0.0), dict(alpha=0.0, cutmix_alpha=0.0)])
def test_no_mix_still_smooths(off):
    clips, labels = torch.randn(2, 3, 2, 8, 8), torch.tensor([0, 1])
    mixed, soft_labels = Mixup(2, random.Random(0), **off)(clips, labels)
    assert torch.equal(mixed, clips)
    torch.testing.assert_close(soft_labels, torch.tensor([[0.95, 0.05], [0.05, 0.95]]))
