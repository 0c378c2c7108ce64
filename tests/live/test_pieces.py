"""Smoothing, events, the queue and the clock of a stream, by value."""

import argparse
import json
import math
import threading

import pytest
import torch

from fragrant.errors import UserError
from fragrant.live.arguments import _port, _positive
from fragrant.live.frame_queue import FrameQueue
from fragrant.live.hysteresis import Hysteresis
from fragrant.live.lines import event_fields, news_fields, news_text
from fragrant.live.messages import ActionEvent, LiveFrame, News
from fragrant.live.reader import StreamClock, pauses
from fragrant.live.smoothing import Smoother
from fragrant.live.source import kind_of, shown

NAMES = ["jump", "run"]


def frame(number: int) -> LiveFrame:
    return LiveFrame(None, number / 30, number, 0, 0.0, 0.0, 30.0)


# ------------------------------------------------------------------------------------------------------------ smoothing
def test_smoothing_counts_its_memory_in_seconds():
    smoother = Smoother(2.0)
    assert smoother.update(0.0, torch.tensor([1.0, 0.0])).tolist() == [1, 0]
    kept = math.exp(-0.5)  # one second of two
    assert smoother.update(1.0, torch.tensor([0.0, 1.0])).tolist() == pytest.approx([kept, 1 - kept])
    # two windows half a second apart forget as much as one a second apart
    twice = Smoother(2.0)
    twice.update(0.0, torch.tensor([1.0, 0.0]))
    twice.update(0.5, torch.tensor([0.0, 1.0]))
    assert twice.update(1.0, torch.tensor([0.0, 1.0])).tolist() == pytest.approx([kept, 1 - kept])
    smoother.reset()
    assert smoother.update(9.0, torch.tensor([0.0, 1.0])).tolist() == [0, 1]
    assert Smoother(0.0).update(1.0, torch.tensor([0.25, 0.75])).tolist() == [0.25, 0.75]


# --------------------------------------------------------------------------------------------------------------- events
def events(probs, **settings) -> list[tuple]:
    machine = Hysteresis(NAMES, **settings)
    found = []
    for time, row in enumerate(probs):
        found += [(event.kind, event.name, event.time, event.since) for event in machine.update(float(time), row)]
    return found


@pytest.mark.parametrize(
    "probs, expected",
    [
        ([[0.5, 0.5]] * 3, []),
        ([[0.59, 0.41], [0.6, 0.4]], [("enter", "jump", 1, 1)]),
        # between the two thresholds nothing changes, in neither direction
        ([[0.7, 0.3], [0.5, 0.5], [0.4, 0.6], [0.39, 0.59]], [*[("enter", "jump", 0, 0)], *[("enter", "run", 2, 2)], *[("leave", "jump", 3, 0)]]),
        # one that ends and one that begins at the same time: the end is told first
        ([[0.9, 0.1], [0.1, 0.9]], [("enter", "jump", 0, 0), ("leave", "jump", 1, 0), ("enter", "run", 1, 1)]),
        # no flicker around the upper threshold
        ([[0.61, 0.39], [0.59, 0.41], [0.61, 0.39], [0.2, 0.3], [0.61, 0.1]], [("enter", "jump", 0, 0), ("leave", "jump", 3, 0), ("enter", "jump", 4, 4)]),
        # a value that is no number ends what is in
        ([[0.8, 0.1], [math.nan, 0.1]], [("enter", "jump", 0, 0), ("leave", "jump", 1, 0)]),
    ],
)  # fmt: skip
def test_hysteresis(probs, expected):
    assert events(probs, enter=0.6, leave=0.4) == expected


def test_what_is_in_ends_with_the_stream():
    machine = Hysteresis(NAMES, enter=0.6, leave=0.4)
    machine.update(1.0, [0.7, 0.9])
    assert machine.active == {0: 1.0, 1: 1.0}
    assert [(event.kind, event.name, event.time, event.since) for event in machine.close(3.0, [0.7, 0.9])] == [
        ("leave", "jump", 3, 1),
        ("leave", "run", 3, 1),
    ]
    assert not machine.active and machine.close(4.0, [0.7, 0.9]) == []


@pytest.mark.parametrize("enter, leave", [(0.4, 0.6), (1.2, 0.5), (0.5, 0.0), (math.nan, 0.5)])
def test_thresholds_that_are_none(enter, leave):
    with pytest.raises(UserError, match="allowed is 0 < leave <= enter <= 1"):
        Hysteresis(NAMES, enter=enter, leave=leave)


# ---------------------------------------------------------------------------------------------------------------- queue
def numbers(items) -> list:
    return [item.number if isinstance(item, LiveFrame) else item.kind for item in items]


def test_a_live_queue_drops_the_oldest_frames_and_no_news():
    queue = FrameQueue(3, lossless=False)
    queue.tell(News("back", 0.0))
    for number in range(5):
        assert queue.put(frame(number))
    queue.tell(News("lost", 0.0))
    queue.put(frame(5))
    assert len(queue) == 3 and queue.dropped == 3
    assert numbers(queue.take(0)) == ["back", 3, 4, "lost", 5]
    assert queue.take(0) == [] and queue.dropped == 3


def test_a_lossless_queue_waits():
    queue, done = FrameQueue(2, lossless=True), []

    def fill():
        done.extend(queue.put(frame(number)) for number in range(5))

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    taken = []
    while len(taken) < 5:
        taken += numbers(queue.take(5.0))
        assert len(queue) <= 2
    thread.join(10)
    assert taken == [0, 1, 2, 3, 4] and done == [True] * 5 and queue.dropped == 0


def test_a_closed_queue_lets_go_of_who_waits():
    queue, said = FrameQueue(1, lossless=True), []
    queue.put(frame(0))
    thread = threading.Thread(target=lambda: said.append(queue.put(frame(1))), daemon=True)
    thread.start()
    queue.close()
    thread.join(10)
    assert said == [False] and len(queue) == 0


# ------------------------------------------------------------------------------------------------------ clock and pauses
def test_pauses_grow_up_to_half_a_minute():
    found = pauses()
    assert [next(found) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_time_follows_the_stamps_of_a_stream():
    clock = StreamClock(live=True)
    # the first frame is 0 whatever its stamp; frames that come in a burst are as far apart as their stamps say
    assert [clock.time_of(stamp, now, 25) for stamp, now in [(100.0, 7.0), (100.5, 7.0), (101.0, 8.1)]] == [0, 0.5, 1]
    # stamps that jump, back or far ahead: the clock counts on
    assert clock.time_of(3.0, 9.0, 25) == pytest.approx(2.0)
    assert clock.time_of(3.5, 9.4, 25) == pytest.approx(2.5)
    assert clock.time_of(99.0, 10.0, 25) == pytest.approx(3.0)
    # another connection, with stamps of its own
    clock.connect()
    assert clock.time_of(0.0, 27.0, 25) == pytest.approx(20.0)
    assert clock.time_of(None, 28.0, 25) == pytest.approx(21.0)


def test_time_of_a_file_does_not_depend_on_when_it_is_read():
    clock = StreamClock(live=False)
    assert [clock.time_of(stamp, 0.0, 10) for stamp in (5.0, 5.1, 65.1)] == pytest.approx([0, 0.1, 60.1])
    bare = StreamClock(live=False)
    assert [bare.time_of(None, 0.0, 10) for _ in range(3)] == pytest.approx([0, 0.1, 0.2])


# -------------------------------------------------------------------------------------------------------- names and lines
@pytest.mark.parametrize(
    "source, kind",
    [("0", "camera"), ("rtsp://10.0.0.2/stream", "stream"), ("HTTP://x/y", "stream"), ("nowhere.mp4", "file"), (".", "folder")],
)  # fmt: skip
def test_kinds_of_sources(source, kind):
    assert kind_of(source) == kind


@pytest.mark.parametrize("source", ["file:///etc/passwd", "concat://a", "ftp://x/y", "s3://bucket/x.mp4"])
def test_other_addresses_are_refused(source):
    with pytest.raises(UserError, match="addresses begin with http://"):
        kind_of(source)


def test_passwords_are_not_shown():
    assert shown("rtsp://me:secret@10.0.0.2/a") == "rtsp://***@10.0.0.2/a" and shown("a@b.mp4") == "a@b.mp4"


def test_fields_of_json_lines():
    event = ActionEvent("leave", "run", 1, 12.5, 1_700_000_000.25, 0.3, 10.0)
    assert json.loads(json.dumps(event_fields(event))) == {
        **{"type": "leave", "clock": "2023-11-14T22:13:20.250Z", "time": 12.5, "name": "run", "number": 1},
        **{"prob": 0.3, "since": 10.0, "seconds": 2.5},
    }
    lost = News("lost", 1_700_000_000.0, "Connection refused", 4.0)
    assert news_fields(lost) == {
        **{"type": "lost", "clock": "2023-11-14T22:13:20.000Z", "reason": "Connection refused", "next_try_seconds": 4.0}
    }
    assert news_text(lost) == "lost: Connection refused; the next try in 4 s"


@pytest.mark.parametrize(
    "read, text, told",
    [
        (_port, "web", "'web' is no port; allowed: 0 to 65535"),
        (_port, "-1", "'-1' is no port"),
        (_positive, "long", "'long' must be a number above 0"),
        (_positive, "nan", "'nan' must be a number above 0"),
    ],
)
def test_numbers_of_the_command_line(read, text, told):
    with pytest.raises(argparse.ArgumentTypeError, match=told):
        read(text)
