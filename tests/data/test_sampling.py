"""Frame numbers against the published ones, bit for bit."""

import random

import pytest
from conftest import golden

from fragrant.data import sampling

DENSE = [row for name in ("dense", "dense_10views", "fragile") for row in golden(f"framework/temporal_{name}")["rows"]]


def test_dense_test_clips():
    for row in DENSE:
        span = sampling.clip_span(row["T"], row["rate"])
        start = sampling.placed_start(row["n"], span, view=row["view"], views=row["views"], offset=row["offset"])
        assert start == pytest.approx(row["start"], abs=1e-5), row
        assert start + span - 1 == pytest.approx(row["end"], abs=1e-5), row
        assert sampling.dense(row["n"], length=row["T"], span=span, start=start) == tuple(row["idx"]), row


def test_dense_training_clips():
    class Fixed(random.Random):
        def random(self):
            return self.u

    rng = Fixed()
    for row in golden("framework/temporal_train")["rows"]:
        rng.u, span = row["u"], sampling.clip_span(row["T"], row["rate"])
        start = sampling.random_start(row["n"], span, rng)
        assert start == pytest.approx(row["start"]), row
        assert sampling.dense(row["n"], length=row["T"], span=span, start=start) == tuple(row["idx"]), row


def test_clips_measured_in_seconds():
    for row in golden("framework/temporal_fps")["rows"]:
        span = sampling.clip_span(row["T"], row["rate"], fps=row["fps"], target_fps=row["target_fps"])
        assert span == pytest.approx(row["clip_size"], abs=1e-4), row
        start = sampling.placed_start(row["n"], span, view=row["view"], views=row["views"], offset=row["offset"])
        assert start == pytest.approx(row["start"], abs=1e-4), row
        assert sampling.dense(row["n"], length=row["T"], span=span, start=start) == tuple(row["idx_full_decode"]), row


def test_span_counts_frames_unless_both_rates_are_known():
    assert sampling.clip_span(8, 8, fps=15) == sampling.clip_span(8, 8, target_fps=30) == 64


@pytest.mark.parametrize(
    "num_frames, start, expected",
    [(10, 5, (5, 7, 9, 9)), (100, 5, (5, 7, 9, 12)), (1, 0, (0, 0, 0, 0)), (3, 0, (0, 2, 2, 2))],
)
def test_dense_by_eye(num_frames, start, expected):
    assert sampling.dense(num_frames, length=4, span=8, start=start) == expected


def test_sparse_test_clips():
    for row in golden("framework/temporal_sparse")["rows"]:
        numbers = sampling.sparse_placed(row["n"], length=row["T"], view=row["view"], views=row["views"])
        assert numbers == tuple(row["kinetics_sparse_0based"]), row
        assert tuple(number + 1 for number in numbers) == tuple(row["sth_1based"]), row


def test_segments():
    for row in golden("framework/temporal_sparse")["segments"]:
        bounds = [[first + 1, last + 1] for first, last in sampling.segments(row["n"], row["T"])]
        assert bounds == row["sth_train_inclusive_1based"], row
        assert sampling.sparse_middle(row["n"], length=row["T"]) == tuple(row["ssv2_upstream_test_0based"]), row


@pytest.mark.parametrize("num_frames", [1, 5, 8, 100])
def test_sparse_training_clips_draw_from_every_segment(num_frames):
    bounds = sampling.segments(num_frames, 8)
    seen = [set() for _ in bounds]
    for seed in range(300):
        numbers = sampling.sparse_random(num_frames, length=8, rng=random.Random(seed))
        for number, (first, last), values in zip(numbers, bounds, seen, strict=True):
            assert first <= number <= last < num_frames
            values.add(number)
    assert seen == [set(range(first, last + 1)) for first, last in bounds]
