"""The loop of a live run: its answers are those of the clip path, its memory is bounded, its events follow."""

import time

import av
import pytest
import torch
from make_video import encode
from tiny_predictor import tiny_checkpoint, tiny_predictor

from fragrant.data.transforms.enhance import clahe, standardize
from fragrant.data.transforms.frame_by_frame import FrameByFrame
from fragrant.data.transforms.view_transforms import EvaluationTransform
from fragrant.data.video.row_of_frames import Limits
from fragrant.errors import RunStopped, UserError
from fragrant.live.frame_queue import FrameQueue
from fragrant.live.loop import LiveLoop, Settings
from fragrant.live.messages import Listener, LiveFrame, News
from fragrant.live.reader import Reader
from fragrant.live.source import open_source

# one clip at a time on both ways: then equal means equal to the bit
ALONE = ("TEST.BATCH_SIZE", "1")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("live") / "tiny.pyth")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("live") / "a.mp4", 31, fps=10, options={"bf": "2"})


class Kept(Listener):
    def __init__(self):
        self.windows, self.events, self.frames, self.told = [], [], [], []

    def frame(self, frame):
        self.frames.append(frame.number)

    def window(self, window):
        self.windows.append(window)

    def event(self, event):
        self.events.append(event)

    def news(self, news):
        self.told.append(news.kind)


def looked_at(predictor, path, **settings):
    """Everything that is said of a file."""
    queue, kept = FrameQueue(16, lossless=True), Kept()
    loop = LiveLoop(predictor, queue, Settings(**{"smooth": 0.0, "top": 6} | settings), [kept])
    reader = Reader(open_source(str(path), limits=Limits()), queue, reopen=lambda: None)
    reader.start()
    return loop.run(), kept


# ------------------------------------------------------------------------------------------------------------ exactness
@pytest.mark.parametrize(
    "pairs",
    [
        (),
        ("DATA.GAMMA", "[2,4]", "TEST.SHORT_SIDE", "40"),
        ("DATA.ENHANCE", "standardize"),
        ("DATA.ENHANCE", "equalize"),
        ("DATA.DECODE_SHORT_SIDE", "40", "DATA.SAMPLING", "mmaction"),
        ("DATA.CLIP_DTYPE", "float32", "DATA.ENHANCE", "standardize", "DATA.GAMMA", "[2]"),
    ],
    ids=["plain", "gamma", "standardize", "equalize", "reduced", "float32"],
)
def test_windows_of_a_stream_are_those_of_the_clip_path(checkpoint, video, pairs):
    predictor = tiny_predictor(checkpoint, *ALONE, *pairs)
    expected = predictor.predict_windows(video, step=0.3, top=6)
    summary, kept = looked_at(predictor, video, step=0.3)
    assert summary.frames == 31 and summary.dropped == 0 and kept.frames == list(range(31))
    assert len(kept.windows) == len(expected.windows) == summary.windows == 9
    for window, other in zip(kept.windows, expected.windows, strict=True):
        assert window.top == other.top  # names, and probabilities to the last bit
        assert (window.start, window.end) == pytest.approx((other.start, other.end))
        assert window.luma == pytest.approx(other.luma)
    assert len({window.top[0].prob for window in kept.windows}) > 1


def test_logits_of_a_window_are_those_of_a_video_of_its_frames(checkpoint, video, tmp_path):
    predictor = tiny_predictor(checkpoint, "TEST.NUM_ENSEMBLE_VIEWS", "1", "TEST.NUM_SPATIAL_CROPS", "1")
    _, kept = looked_at(predictor, video, step=1.0)
    with predictor.source.open_frames(str(video)) as frames:
        for at, window in enumerate(kept.windows):
            pixels = frames.read(range(window.first, window.last + 1))
            path = tmp_path / f"{at}.pt"
            torch.save(pixels, path)
            assert torch.equal(predictor.logits(path)[0, 0], window.logits)
    assert len(kept.windows) == 4


@pytest.mark.parametrize("enhance", [None, standardize, clahe])
@pytest.mark.parametrize("short_side", [24, 30])
def test_frame_by_frame_is_the_same_as_all_at_once(enhance, short_side):
    frames = torch.randint(0, 90, (5, 30, 44, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    transform = EvaluationTransform(crop_size=24, short_side=short_side, enhance=enhance, gamma=1.8)
    steps = FrameByFrame(transform)
    assert torch.equal(steps.finish([steps.start(frame) for frame in frames]), transform.prepare(frames))


# --------------------------------------------------------------------------------------------------------------- events
def test_events_follow_from_the_smoothed_windows(checkpoint, video):
    predictor = tiny_predictor(checkpoint)
    _, kept = looked_at(predictor, video, step=0.3, smooth=1.0, enter=0.02, leave=0.01)
    in_now, expected = set(), []
    for window in kept.windows:
        smooth = window.smooth.tolist()
        expected += [("leave", k, window.end) for k in sorted(in_now) if smooth[k] < 0.01]
        in_now -= {k for k in in_now if smooth[k] < 0.01}
        expected += [("enter", k, window.end) for k in range(6) if smooth[k] >= 0.02 and k not in in_now]
        in_now |= {k for k in range(6) if smooth[k] >= 0.02}
    ends = [(event.kind, event.number, event.time) for event in kept.events]
    assert ends[: len(expected)] == expected and expected
    # what is still in ends with the file
    assert {event[:2] for event in ends[len(expected) :]} == {("leave", k) for k in in_now}


def test_a_window_longer_than_the_file_has_no_answer(checkpoint, video):
    summary, kept = looked_at(tiny_predictor(checkpoint), video, window=4.0)
    assert summary.windows == 0 and kept.told == ["end"] and len(kept.frames) == 31


def test_numbers_that_are_none(checkpoint):
    predictor, queue = tiny_predictor(checkpoint), FrameQueue(1, lossless=False)
    for wrong in ({"step": 0.0}, {"window": float("nan")}, {"smooth": -1.0}):
        with pytest.raises(UserError, match="must be a number of seconds"):
            LiveLoop(predictor, queue, Settings(**wrong), [])


def test_scores_that_are_no_numbers_end_the_run(checkpoint, video):
    predictor = tiny_predictor(checkpoint)
    torch.nn.init.constant_(predictor.model.head.bias, float("nan"))
    with pytest.raises(RunStopped, match="NaN or infinite"):
        looked_at(predictor, video)


# ----------------------------------------------------------------------------------------------------- dropping, breaks
def picture(number: int, size: int = 48) -> av.VideoFrame:
    return av.VideoFrame(size, size, "rgb24")


def live_frame(number: int, connection: int = 0, size: int = 48) -> LiveFrame:
    return LiveFrame(picture(number, size), number / 10, number, connection, time.perf_counter(), time.time(), 10.0)


def slow(predictor, seconds: float, meanwhile=lambda: None):
    fast = predictor.score_clips

    def score(item):
        meanwhile()
        time.sleep(seconds)
        return fast(item)

    predictor.score_clips = score
    return predictor


def test_a_slow_network_drops_frames_and_answers_for_the_newest(checkpoint):
    """Each answer takes as long as 40 frames; windows have 8 frames, the queue has room for 16."""
    queue, kept, sent = FrameQueue(16, lossless=False), Kept(), []

    def send(count: int = 40):
        for _ in range(count):
            queue.put(live_frame(len(sent)))
            sent.append(None)
            assert len(queue) <= 16
        if len(sent) >= 400:
            queue.tell(News("end", 0.0))

    loop = LiveLoop(slow(tiny_predictor(checkpoint), 0.0, send), queue, Settings(step=0.1), [kept])
    send(8)
    summary = loop.run()
    assert (
        summary.windows >= 9
        and summary.dropped >= 9 * 24
        and summary.frames + summary.dropped + len(queue) == len(sent)
    )
    assert all(window.last - window.first == 7 for window in kept.windows)  # no window spans a gap
    assert [window.last for window in kept.windows[1:4]] == [47, 87, 127]  # the newest frame at that time
    assert summary.skipped > 0 and len(loop.ring) == 8


def test_nothing_spans_a_lost_connection(checkpoint):
    queue, kept = FrameQueue(64, lossless=False), Kept()
    loop = LiveLoop(tiny_predictor(checkpoint), queue, Settings(step=0.1, enter=0.001, leave=0.001), [kept])
    for number in range(10):
        queue.put(live_frame(number))
    queue.tell(News("lost", 0.0, "torn", 1.0))
    queue.tell(News("back", 0.0))
    for number in range(10, 15):
        queue.put(live_frame(number, connection=1))
    queue.tell(News("end", 0.0))
    loop.queue.lossless = True  # every window
    summary = loop.run()
    assert kept.told == ["lost", "back", "end"]
    # 10 frames: three windows; the 5 frames of the second connection are too few for one
    assert [(window.first, window.last) for window in kept.windows] == [(0, 7), (1, 8), (2, 9)] and summary.frames == 15
    assert (
        sum(event.kind == "enter" for event in kept.events) == sum(event.kind == "leave" for event in kept.events) > 0
    )


def test_another_size_begins_anew(checkpoint):
    queue, kept = FrameQueue(64, lossless=True), Kept()
    loop = LiveLoop(tiny_predictor(checkpoint), queue, Settings(step=0.1), [kept])
    for number in range(20):
        queue.put(live_frame(number, size=48 if number < 9 else 64))
    queue.tell(News("end", 0.0))
    loop.run()
    assert [(window.first, window.last) for window in kept.windows] == [
        (0, 7),
        (1, 8),
        (9, 16),
        (10, 17),
        (11, 18),
        (12, 19),
    ]


def test_frames_that_would_fill_the_memory(checkpoint):
    queue = FrameQueue(4, lossless=False)
    loop = LiveLoop(tiny_predictor(checkpoint, "DATA.MAX_DECODED_GB", "1e-5"), queue, Settings(), [])
    queue.put(live_frame(0))
    with pytest.raises(
        UserError, match="the source cannot be looked at: 8 frames of 48x48 take .* DATA.MAX_DECODED_GB"
    ):
        loop.run()


@pytest.mark.slow
def test_a_long_run_keeps_its_memory(checkpoint):
    """Ten thousand frames through the ring, smoothing and events."""
    import gc

    def resident() -> int:
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    queue, sizes = FrameQueue(16, lossless=False), []
    total = 10_000

    class Feeder(Listener):
        sent = 0

        def frame(self, frame):
            if frame.number % 2000 == 1999:
                sizes.append(resident())
            self.feed()

        def feed(self):
            if self.sent < total:
                queue.put(
                    LiveFrame(
                        av.VideoFrame(320, 240, "yuv420p"), self.sent / 30, self.sent, 0, time.perf_counter(), 0.0, 30.0
                    )
                )
                self.sent += 1
            else:
                queue.tell(News("end", 0.0))

    feeder = Feeder()
    loop = LiveLoop(tiny_predictor(checkpoint), queue, Settings(step=0.1), [feeder])
    feeder.feed()
    loop.run()
    assert len(sizes) == 5 and sizes[-1] - sizes[1] < 8e6
