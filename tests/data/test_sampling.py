"""Frame numbers against the published ones, bit for bit."""

import random

import numpy as np
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


# -------------------------------------------------------------------------------------------------------------- segment
SEGMENTS = golden("mienet/sampling")


def counted_from_1(numbers):
    return [number + 1 for number in numbers]


def test_segment_test_clips():
    for row in SEGMENTS["rows"]:
        num_frames, run = row["num_frames"], row["new_length"]
        parts = {"segments": row["segments"], "run": run}
        middle = sampling.segment_starts_placed(num_frames, **parts)
        assert counted_from_1(middle) == row["test_fixed"], row
        twice = [sampling.segment_starts_placed(num_frames, **parts, view=view, views=2) for view in (0, 1)]
        assert counted_from_1(twice[0] + twice[1]) == row["twice_fixed"], row
        for name in ("test", "twice"):  # what the published code asks for: there is no frame below the first
            assert [max(1, number) for number in row[name]] == row[f"{name}_fixed"], row
        assert (min(row["test"]) < 1) == row["test_first_index_invalid"]
        long_enough = num_frames - run + 1 > row["segments"]  # else published validation shows the first frames alone
        published = counted_from_1(middle) if long_enough else [1] * row["segments"]
        assert row["val"] == published, row
        if "val_frames" in row:
            seen = sampling.runs([number - 1 for number in published], num_frames, run=run)
            assert counted_from_1(seen) == [number for frames in row["val_frames"] for number in frames], row
        if "test_fixed_frames" in row:
            published = [number for frames in row["test_fixed_frames"] for number in frames]
            assert counted_from_1(sampling.runs(middle, num_frames, run=run)) == published, row


def test_many_segment_clips_go_from_the_first_to_the_last_frame_of_each_part():
    starts = [sampling.segment_starts_placed(40, segments=4, run=1, view=view, views=10) for view in range(10)]
    assert starts == [tuple(part * 10 + view for part in range(4)) for view in range(10)]


def test_segment_training_clips_as_published():
    """With the published generator, to the draw; where the published code draws from too few or too many frames, ours
    does not."""
    compared = 0
    for row in SEGMENTS["train_seeded"]:
        num_frames, segments, run = row["num_frames"], row["segments"], row["new_length"]
        if num_frames - run + 1 < segments and run != 4:
            continue
        rng = np.random.RandomState(row["np_seed"])
        assert (
            counted_from_1(sampling.segment_starts(num_frames, segments=segments, run=run, rng=rng)) == row["train"]
        ), row
        compared += 1
    assert compared > 10


def test_segment_training_clips_draw_from_every_part():
    for row in SEGMENTS["rows"]:
        num_frames, segments, run = row["num_frames"], row["segments"], row["new_length"]
        draws = [
            sampling.segment_starts(num_frames, segments=segments, run=run, rng=np.random.RandomState(seed))
            for seed in range(100)
        ]
        low, high = np.min(draws, axis=0) + 1, np.max(draws, axis=0) + 1
        if row["train_branch"] == "sorted_random":
            assert 1 <= low[0] and high[-1] <= num_frames and all(list(draw) == sorted(draw) for draw in draws)
            continue
        assert (low >= row["train_lo"]).all() and (high <= row["train_hi"]).all(), row
        if row["train_hi"][0] <= 15:
            assert (low == row["train_lo"]).all() and (high == row["train_hi"]).all(), row


def test_looped_segment_clips():
    """In training the published code never draws the last window, and its validation is random: not here."""
    for row in SEGMENTS["dense"]:
        num_frames, segments = row["num_frames"], row["segments"]
        starts = [sampling.placed_window(num_frames, view=view, views=10) for view in range(10)]
        clips = [sampling.looped_starts(num_frames, segments=segments, start=start) for start in starts]
        assert counted_from_1(number for clip in clips for number in clip) == row["test_10_clips"], row
        drawn = {sampling.random_window(num_frames, np.random.RandomState(seed)) for seed in range(200)}
        assert min(drawn) == 0 and max(drawn) <= max(0, num_frames - 64)
        assert starts[0] <= sampling.placed_window(num_frames) <= starts[-1]
    assert {sampling.random_window(66, np.random.RandomState(seed)) for seed in range(50)} == {0, 1, 2}


def test_a_run_repeats_the_last_frame():
    assert sampling.runs((0, 3), 5, run=3) == (0, 1, 2, 3, 4, 4)


# ------------------------------------------------------------------------------------------------------------- mmaction
MMACTION = golden("frozen_features/sampling")["cases"]
OFFSET = {"SampleFrames(mmaction2 1.x)": True, "SampleFrames(ELLAR, mmaction2 0.x)": False}


def cases_of(*ops):
    """Of the 91 published cases those of these operations; the crops are read beside their transforms."""
    assert len(MMACTION) == 91 and {"ThreeCrop", "CenterCrop"} == {c["op"] for c in MMACTION} - {
        *OFFSET,
        "UniformSampleFrames",
    }
    return [case for case in MMACTION if case["op"] in ops]


def placed(case):
    settings = sampling.ClipSettings(case["clip_len"], case["frame_interval"], offset=OFFSET[case["op"]])
    return sampling.SAMPLERS.get("mmaction").placed(case["N"], settings, case["num_clips"])


def test_mmaction_test_clips():
    cases = cases_of(*OFFSET)
    assert len(cases) == 54 and all(case["test_mode"] for case in cases)
    for case in cases:
        clips = placed(case)
        assert [clip[0] for clip in clips] == case["clip_starts"], case
        assert [clip[-1] for clip in clips] == case["last"], case
        steps = {(b - a) % case["N"] for clip in clips for a, b in zip(clip, clip[1:], strict=False)}
        assert steps == {case["frame_interval"]}, case


@pytest.mark.parametrize(
    "num_frames, length, stride, clips, offset, starts",
    [
        (301, 32, 2, 4, False, (29, 89, 148, 208)),
        (301, 32, 2, 4, True, (0, 79, 159, 238)),
        (301, 32, 2, 1, False, (119,)),
        (301, 32, 2, 1, True, (119,)),
        (63, 32, 2, 2, True, (0, 0)),  # the last length at which all clips are one
        (64, 32, 2, 2, True, (0, 1)),
        (64, 32, 2, 2, False, (0, 0)),
        (68, 32, 2, 3, True, (0, 2, 5)),  # 2.5: to the even number
        (10, 1, 1, 4, True, (1, 3, 6, 8)),  # single frames: middles in 1.x as well
        (10, 1, 1, 4, False, (1, 3, 6, 8)),
        (1, 1, 4, 2, True, (0, 0)),
    ],
)
def test_starts_of_mmaction_by_hand(num_frames, length, stride, clips, offset, starts):
    assert sampling.mmaction_starts(num_frames, length=length, stride=stride, clips=clips, offset=offset) == starts


def test_short_videos_are_looped():
    assert sampling.looped(5, length=4, stride=2, start=0) == (0, 2, 4, 1)
    assert sampling.looped(1, length=3, stride=7, start=0) == (0, 0, 0)
    assert sampling.looped(3, length=4, stride=2, start=2) == (2, 1, 0, 2)


@pytest.mark.parametrize("num_frames", [1, 7, 8, 9, 20])
def test_mmaction_training_clips(num_frames):
    how = {"length": 4, "stride": 2}
    rngs = [np.random.RandomState(seed) for seed in range(200)]
    starts = {sampling.mmaction_start(num_frames, **how, rng=rng) for rng in rngs}
    assert starts == set(range(max(1, num_frames - 7)))  # frames 0 to 7 are a clip: of 8 frames the last is in none
    settings = sampling.ClipSettings(**how)
    for seed in range(20):
        start, *others = sampling.SAMPLERS.get("mmaction").random(num_frames, settings, random.Random(seed))
        assert start in starts and others == [(start + 2 * step) % num_frames for step in (1, 2, 3)]


def test_a_training_clip_of_mmaction_to_the_draw():
    for seed in range(20):
        np.random.seed(seed)
        expected = int(np.random.randint(100 - 64 + 1, size=1)[0])
        assert sampling.mmaction_start(100, length=32, stride=2, rng=np.random.RandomState(seed)) == expected


# -------------------------------------------------------------------------------------------------------------- uniform
def test_uniform_clips():
    cases = cases_of("UniformSampleFrames")
    assert len(cases) == 27
    for case in cases:
        num_frames, length = case["N"], case["clip_len"]
        if case["test_mode"]:
            (clip,) = sampling.uniform_placed(num_frames, length=length, views=case["num_clips"])
        else:
            clip = sampling.uniform(num_frames, length=length, rng=np.random.RandomState(case["np_seed"]))
        assert list(clip) == case["frame_inds"], case


def test_uniform_test_clips_leave_other_draws_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    sampling.uniform_placed(200, length=8)
    assert np.random.random() == expected


def test_uniform_clips_of_a_short_video_begin_at_different_frames():
    assert [clip[0] for clip in sampling.uniform_placed(8, length=10, views=4)] == [0, 2, 4, 6]
    assert [clip[0] for clip in sampling.uniform_placed(2, length=10, views=4)] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "num_frames, interval, frames",
    [(7, 2, (0, 2, 4, 6)), (6, 2, (0, 2, 4)), (1, 2, (0,)), (3, 5, (0,)), (4, 1, (0, 1, 2, 3))],
)
def test_every_nth_frame(num_frames, interval, frames):
    assert sampling.every(num_frames, interval=interval) == frames


def test_drawn_frames():
    frames = [sampling.drawn(20, count=5, rng=random.Random(seed)) for seed in range(100)]
    assert all(len(set(row)) == 5 and list(row) == sorted(row) for row in frames) and len(set(frames)) > 90
    assert {number for row in frames for number in row} == set(range(20))
    assert sampling.drawn(3, count=5, rng=random.Random(0)) == (0, 1, 2)  # the published code fails here


@pytest.mark.parametrize("case", golden("uniformer_v2/sparse_sampling")["train"], ids=lambda case: str(case["frames"]))
def test_sparse_training_clips_as_uniformer_v2_draws_them(case):
    numbers = sampling.sparse_random(case["frames"], length=case["num_frames"], rng=random.Random(case["seed"]))
    assert list(numbers) == case["indices"]


def test_sparse_test_clips_as_uniformer_v2_places_them():
    for case in golden("uniformer_v2/sparse_sampling")["cases"]:
        clips = [
            list(sampling.sparse_placed(case["frames"], length=case["num_frames"], view=view, views=case["num_clips"]))
            for view in range(case["num_clips"])
        ]
        assert clips == case["indices"], case
