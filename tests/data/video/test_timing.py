"""Time stamps of a variable rate are kept; those of a constant rate change nothing; long files are read in one pass."""

import pickle
import random

import numpy as np
import pytest
import torch
from make_video import decode_all, encode, stamped

from fragrant.data.video import readers
from fragrant.data.video.cache import CachedFrames
from fragrant.data.video.frames import VideoError, open_frames
from fragrant.data.video.sweep import Sweep
from fragrant.data.video.timing import EvenFrames, end_of, evenly, timing_of
from fragrant.data.views import parts_by_count, parts_by_time

SLOWED = [*range(0, 1000, 40), *range(1000, 4000, 200), *range(4000, 5000, 40)]  # ms: 25, 5, 25 frames per second


def jittered(count, ms, seed):
    rng = random.Random(seed)
    return [round(number * ms + rng.uniform(-0.4, 0.4) * ms) for number in range(count)]


@pytest.mark.parametrize(
    "stamps, fps, expected",
    [
        ([number * 40 for number in range(50)], 25, 25),
        ([round(number * 1000 / 30) for number in range(50)], 30, 30),
        (jittered(50, 33, 1), 30, 30),
        ([0, 80, *range(120, 2000, 40)], 25, 25),  # one frame was dropped
        ([None] * 50, 25, 25),
        ([0, 40, 40, 80], 25, 25),  # no order
        ([0, 500], 25, 25),
        ([number * 100 for number in range(50)], 25, 10),  # constant, but another rate than the file says
        ([number * 100 for number in range(50)], None, 10),
    ],
)
def test_constant_rates(stamps, fps, expected):
    timing = timing_of(stamps, 0.001, fps)
    assert timing.times is None and timing.fps == pytest.approx(expected)


@pytest.mark.parametrize(
    "stamps",
    [SLOWED, [0, 40, 80, 1200, 1240, 1280, 1320], [number**2 for number in range(1, 60)], [*range(0, 400, 40), 9000]],
)
def test_variable_rates(stamps):
    timing = timing_of(stamps, 0.001, 25.0)
    assert timing.times == pytest.approx((np.array(stamps) - stamps[0]) / 1000)
    assert timing.fps == pytest.approx(len(stamps) / end_of(timing.times))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts"])
def test_files_of_a_variable_rate(tmp_path, name):
    path = stamped(tmp_path / name, SLOWED)
    expected = decode_all(path)
    with open_frames(path) as frames:
        assert len(frames) == len(SLOWED)
        assert frames.times == pytest.approx(np.array(SLOWED) / 1000, abs=0.002)
        assert frames.fps == pytest.approx(len(SLOWED) / 5, rel=0.01)
        even = EvenFrames(frames)
        assert even.fps == pytest.approx(25, rel=0.05) and even.times is None
        shown = [
            int(np.searchsorted(SLOWED, 1000 * (number + 0.5) / even.fps, side="right")) - 1
            for number in range(len(even))
        ]
        assert abs(len(even) - 125) <= 6 and np.array_equal(even.read(range(len(even))).numpy(), expected[shown])


def test_constant_rates_stay_as_they_are(tmp_path):
    path = encode(tmp_path / "a.mp4", 20)
    opened = evenly(open_frames)
    assert type(opened(path)) is type(open_frames(path)) and pickle.loads(pickle.dumps(opened))(path).fps == 30


def test_times_are_cached(tmp_path):
    path = stamped(tmp_path / "a.mp4", SLOWED)
    cached = CachedFrames(open_frames, tmp_path / "cache")
    first, second = cached(str(path)), cached(str(path))
    assert type(first) is not type(second) and np.array_equal(first.times, second.times)


@pytest.mark.parametrize("seconds, step", [(1.0, 0.5), (2.0, 2.0), (0.1, 0.7), (9.0, 4.5), (5.04, 1.0)])
def test_parts_by_time_cover_the_video(seconds, step):
    times = np.array(SLOWED) / 1000
    end = end_of(times)
    parts = parts_by_time(times, end, seconds=seconds, step=step)
    assert parts[0].start == 0 and parts[-1].end == pytest.approx(end)
    for at, part in enumerate(parts):
        assert part.end - part.start == pytest.approx(min(seconds, end))
        assert len(part.frames) and times[part.frames[0]] <= part.start + 1e-6 and times[part.frames[-1]] < part.end
        if at and at < len(parts) - 1:
            assert part.start == pytest.approx(at * step)


def test_parts_by_time_of_a_constant_rate_are_those_by_count():
    times = np.arange(100) / 25
    by_time = parts_by_time(times, 4.0, seconds=1.0, step=0.4)
    assert [part.frames for part in by_time] == [
        part.frames for part in parts_by_count(100, length=25, step=10, fps=25)
    ]


# -------------------------------------------------------------------------------------------------------------- passes
@pytest.fixture
def decoded(monkeypatch):
    """How many frames the counting reader decodes, though it may keep none."""
    monkeypatch.setattr(readers, "KEPT_BYTES", 0)
    count, original = [0], readers.Counter._decode

    def counted(reader):
        for frame in original(reader):
            count[0] += 1
            yield frame

    monkeypatch.setattr(readers.Counter, "_decode", counted)
    return count


@pytest.mark.parametrize(
    "name, codec",
    [("a.ts", "libx264"), ("a.h264", "libx264"), ("a.avi", "mpeg4"), ("a.flv", "flv1"), ("a.mpg", "mpeg2video")],
)
def test_one_pass_to_count_and_one_to_read(tmp_path, decoded, name, codec):
    path = encode(
        tmp_path / name, 90, codec="flv" if codec == "flv1" else codec, options={"bf": "2"} if codec == "mpeg4" else {}
    )
    expected = decode_all(path)
    requests = [[*range(start, min(start + 12, 90), 3), start + 1] for start in range(0, 84, 6)]  # windows that overlap
    requests = [sorted(set(numbers)) for numbers in requests]
    with open_frames(path) as frames:
        assert decoded[0] == len(frames) == 90
        sweep = Sweep(frames, requests)
        for numbers in requests:
            assert np.array_equal(sweep.read(numbers).numpy(), expected[numbers])
        assert decoded[0] <= 2 * 90
        assert len(sweep._kept) == 0
        frames.read([5, 80])  # going back starts anew
        assert decoded[0] <= 3 * 90


def test_chunks_one_after_the_other_are_one_pass(tmp_path, decoded):
    path = encode(tmp_path / "a.ts", 64)
    expected = decode_all(path)
    with open_frames(path) as frames:
        read = torch.cat([frames.read(range(first, first + 16)) for first in range(0, 64, 16)])
    assert np.array_equal(read.numpy(), expected) and decoded[0] == 2 * 64


def test_many_views_of_a_test_are_one_request(tmp_path, decoded):
    path = encode(tmp_path / "a.ts", 64)
    with open_frames(path) as frames:
        frames.read([number for start in range(0, 60, 2) for number in range(start, start + 4)])
    assert decoded[0] <= 2 * 64


def of_times(tmp_path, times, count=6):
    torch.save(
        {"frames": torch.zeros(count, 4, 4, 3, dtype=torch.uint8), "fps": 25.0, "times": times}, tmp_path / "a.pt"
    )
    return tmp_path / "a.pt"


NOT_TIMES = [
    torch.arange(3.0).double(),
    torch.arange(6.0),
    torch.arange(6).double() * float("nan"),
    torch.arange(6).double() * 0,
    -torch.arange(6).double(),
    torch.arange(6).double() + 1,
    torch.arange(6).double().reshape(2, 3),
    torch.arange(6).double().to("meta"),
    torch.arange(6).double().to_sparse(),
    torch.zeros(0).double(),
    torch.tensor(3.0).double(),
    torch.arange(6).bool(),
    "text",
    [0, 1],
]


@pytest.mark.parametrize("times", NOT_TIMES, ids=range(len(NOT_TIMES)))
def test_a_tensor_with_other_times(tmp_path, times):
    with pytest.raises(VideoError, match="its times must"):
        open_frames(of_times(tmp_path, times))


def test_a_gap_of_years_takes_no_memory(tmp_path):
    times = torch.tensor([0, 0.04, 0.08, 0.12, 0.16, 1e9], dtype=torch.float64)
    path = of_times(tmp_path, times)
    with pytest.raises(VideoError, match="a gap"):
        evenly(open_frames)(path)
    times[-1] = 100.0
    with evenly(open_frames)(of_times(tmp_path, times)) as frames:
        assert len(frames) == 2501
