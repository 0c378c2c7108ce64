"""Views of a video: the test grid, its names, random clips."""

import pickle
import random

import pytest
from conftest import golden

from fragrant.data import sampling
from fragrant.data.views import (
    View,
    evaluation_plan,
    frame_plan,
    result_file_name,
    train_plan,
    views_label,
    views_of_windows,
    windows,
)

RNG = random.Random(0)
ACCOUNTING = golden("framework/frame_accounting")


def test_grid_is_clip_by_clip():
    views = evaluation_plan(length=8, stride=8, clips=4, crops=3, offset=True)(200, RNG)
    clips = [view.frames for view in evaluation_plan(length=8, stride=8, clips=4, offset=True)(200, RNG)]
    assert len(set(clips)) == 4
    for row, clip, crop in ACCOUNTING["index_layout"]["example_views4_crops3"]:
        assert views[row].frames == clips[clip]
        assert views[row].where == (0.0, 0.5, 1.0)[crop]


def test_one_crop_is_the_centre():
    assert {view.where for view in evaluation_plan(length=8, stride=8, clips=4)(200, RNG)} == {0.5}


def test_names_of_a_grid():
    for row in ACCOUNTING["rows"]:
        frames, crops, clips = row["NUM_FRAMES"], row["NUM_SPATIAL_CROPS"], row["NUM_ENSEMBLE_VIEWS"]
        crop_size = int(row["file"].split("x")[1])
        assert views_label(frames, crops, clips) == row["label"].split()[0]
        assert result_file_name(frames, crop_size, clips, crops) == row["file"]
        views = evaluation_plan(length=frames, stride=4, clips=clips, crops=crops)(300, RNG)
        assert len(views) == row["forward_passes_per_video"]
        assert sum(len(view.frames) for view in views) == row["frames_per_video"]


def test_sampling_modes_reach_the_frame_numbers():
    assert evaluation_plan(length=4, stride=2)(100, RNG)[0].frames == (0, 2, 4, 7)
    assert evaluation_plan(length=4, stride=2, offset=True)(100, RNG)[0].frames == (46, 48, 50, 53)
    assert evaluation_plan(length=4, stride=2, target_fps=30)(100, RNG, fps=60)[0].frames == (0, 5, 10, 15)
    assert evaluation_plan(length=4, stride=2, mode="mmaction")(100, RNG)[0].frames == (46, 48, 50, 52)
    assert evaluation_plan(length=4, stride=2, mode="mmaction", offset=True, clips=2)(100, RNG)[1].frames[0] == 93
    assert evaluation_plan(length=4, mode="sparse")(100, RNG)[0].frames == (12, 37, 62, 86)
    assert evaluation_plan(length=4, mode="segment")(100, RNG)[0].frames == (12, 37, 62, 87)
    assert evaluation_plan(length=4, mode="segment", run=2)(100, RNG)[0].frames == (24, 25, 74, 75)
    assert evaluation_plan(length=4, mode="uniform")(3, RNG)[0].frames == (0, 1, 2, 0)


PLANS = [
    {"mode": "dense", "stride": 4},
    {"mode": "mmaction", "stride": 4},
    {"mode": "sparse"},
    {"mode": "segment"},
    {"mode": "segment", "run": 4},
    {"mode": "segment_dense", "run": 4},
    {"mode": "uniform"},
]


@pytest.mark.parametrize("options", PLANS, ids=str)
def test_every_mode_takes_videos_of_any_length(options):
    for num_frames in (1, 2, 3, 7, 8, 9, 15, 16, 100):
        views = train_plan(length=8, **options)(num_frames, random.Random(num_frames))
        views += evaluation_plan(length=8, clips=3, **options)(num_frames, RNG)
        for view in views:
            assert len(view.frames) == 8 and 0 <= min(view.frames) and max(view.frames) < num_frames, view
            assert all(type(number) is int for number in view.frames)


@pytest.mark.parametrize("options", PLANS, ids=str)
def test_test_clips_are_the_same_every_time_and_differ_from_each_other(options):
    plan = evaluation_plan(length=8, clips=3, **options)
    clips = [view.frames for view in plan(100, random.Random(1))]
    assert clips == [view.frames for view in plan(100, random.Random(2))] and len(set(clips)) == 3


@pytest.mark.parametrize("options", PLANS, ids=str)
def test_training_clips_follow_from_the_generator(options):
    plan = train_plan(length=8, **options)
    views = plan(300, random.Random(5))
    assert views == plan(300, random.Random(5)) != plan(300, random.Random(6))
    assert [view.where for view in views] == [None]
    assert pickle.loads(pickle.dumps(plan))(300, random.Random(5)) == views  # a worker may get it by pickling


def test_repeated_augmentation_shows_one_clip_several_times():
    one, three = (train_plan(length=8, stride=4, views=views)(300, random.Random(5)) for views in (1, 3))
    assert three == one * 3


def test_single_frames_are_views():
    def frames(mode, num_frames=9):
        plan = frame_plan(mode, interval=4, count=3)
        views = plan(num_frames, random.Random(0))
        assert all(len(view.frames) == 1 and view.where == 0.5 for view in views)
        return [view.frames[0] for view in views]

    assert frames("interval") == [0, 4, 8]
    assert frames("uniform") == list(sampling.uniform_placed(9, length=3)[0])
    assert frames("sparse") == [1, 4, 6] and frames("segment") == [1, 4, 7]
    assert frames("mmaction", 20) == [4, 8, 12] and frames("mmaction") == [0, 4, 8]
    assert len(frames("random")) == 3 and frames("random", 2) == [0, 1]


@pytest.mark.parametrize(
    "num_frames, length, step, expected",
    [
        (10, 4, 2, [(0, 4), (2, 6), (4, 8), (6, 10)]),
        (11, 4, 2, [(0, 4), (2, 6), (4, 8), (6, 10), (7, 11)]),  # the last one ends with the video
        (10, 4, 4, [(0, 4), (4, 8), (6, 10)]),
        (4, 4, 1, [(0, 4)]),
        (3, 4, 2, [(0, 3)]),
        (1, 8, 8, [(0, 1)]),
    ],
)
def test_windows_reach_from_the_first_frame_to_the_last(num_frames, length, step, expected):
    assert [(part.start, part.stop) for part in windows(num_frames, length=length, step=step)] == expected


def test_a_window_is_a_video_of_its_own():
    plan = evaluation_plan(length=2, stride=2)
    views = views_of_windows(plan, [range(0, 4), range(6, 10)])(10, random.Random(0))
    alone = plan(4, random.Random(0))[0]
    assert views == [alone, View(tuple(6 + number for number in alone.frames), 0.5)]


def test_several_numbers_of_clips_are_those_of_each_one_after_the_other():
    for mode in ("dense", "sparse", "uniform", "segment", "mmaction"):
        one = {"length": 8, "stride": 2, "mode": mode, "crops": 3}
        together = evaluation_plan(**one, clips=[1, 4, 10])(90, RNG)
        assert together == [view for count in (1, 4, 10) for view in evaluation_plan(**one, clips=count)(90, RNG)]


def test_a_faster_clip_spans_less():
    """The rate is drawn from TARGET_FPS to TARGET_FPS + TRAIN_JITTER_FPS, as in SlowFast."""
    plan = train_plan(length=8, stride=8, target_fps=30, faster=0.5)
    spans = []
    for seed in range(200):
        (view,) = plan(1000, random.Random(seed), fps=60.0)
        spans.append(view.frames[-1] - view.frames[0])
    assert 126 <= max(spans) <= 127 and 84 <= min(spans) <= 88  # 64 / 30 .. 64 / 45 seconds of 60 frames
    assert len(set(spans)) > 20


def test_without_jitter_the_draws_stay_as_they_were():
    drawn = [train_plan(length=8, stride=8, **more)(1000, random.Random(3)) for more in ({}, {"faster": 0.0})]
    assert drawn[0] == drawn[1]
