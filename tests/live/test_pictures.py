"""The annotated video and the pictures of the page: whole files, bounded waiting, no viewer that holds up another."""

import threading
import time

import av
import numpy as np
import pytest
from make_video import pictures

from fragrant.inference.predictor import Ranked
from fragrant.live.annotate import ACTIVE, Annotator, Caption, band_height, draw_band
from fragrant.live.messages import LiveFrame
from fragrant.live.pictures import WAITING, LatestPicture, Pictures
from fragrant.live.recorder import Recorder

TOP = [
    Ranked("walk", 5, 0.8),
    Ranked("a class with a very long name that does not fit", 1, 0.15),
    Ranked("sit", 2, 0.0),
]


def frames(count: int, fps: float = 20.0) -> list[LiveFrame]:
    images = [av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures(count)]
    return [LiveFrame(image, at / fps, at, 0, time.perf_counter(), 0.0, fps) for at, image in enumerate(images)]


def played(path) -> tuple[list[float], tuple[int, int]]:
    with av.open(str(path)) as container:
        shown = [
            (float(frame.pts * frame.time_base), (frame.height, frame.width)) for frame in container.decode(video=0)
        ]
    return [when for when, _ in shown], shown[0][1]


def test_the_band_shows_bars_and_what_goes_on():
    height = band_height(240, 320)
    assert (240 + height) % 2 == 0 and band_height(241, 320) % 2 == 1
    plain = draw_band(Caption(TOP, text="1.00 s"), height, 320)
    active = draw_band(Caption(TOP, frozenset({5}), "1.00 s"), height, 320)
    assert plain.shape == (height, 320, 3)

    def orange(picture):
        return int((picture == ACTIVE).all(-1).sum())

    assert orange(plain) == 0 and orange(active) > 300


def test_pictures_of_any_size_are_annotated():
    annotator = Annotator(49, 63)
    picture = annotator(pictures(1, 49, 63)[0], Caption())
    assert picture.shape[1] == 64 and picture.shape[0] % 2 == 0
    other = annotator(np.zeros((20, 30, 3), np.uint8), Caption(TOP))
    assert other.shape == picture.shape and not other[:49].any()


def test_every_frame_of_a_file_is_recorded_at_its_time(tmp_path):
    pictures_ = Pictures(record=tmp_path / "out.mp4", lossless=True, source="a.mp4")
    for frame in frames(3 * WAITING):
        pictures_.frame(frame)
    pictures_.close()
    times, size = played(tmp_path / "out.mp4")
    assert times == pytest.approx([at / 20 for at in range(3 * WAITING)], abs=1e-3)
    assert size == (48 + band_height(48, 64), 64) and pictures_.error is None and pictures_.left_out == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_recording_that_is_not_finished_can_be_played(tmp_path):
    """As after a power cut: what is on the disk by then."""
    recorder = Recorder(tmp_path / "out.mp4", height=48, width=64, fps=20.0)
    for at, picture in enumerate(pictures(200)):
        recorder.add(picture, at / 20)
    (unfinished,) = tmp_path.iterdir()
    (tmp_path / "copy.mp4").write_bytes(unfinished.read_bytes())
    times, _ = played(tmp_path / "copy.mp4")
    assert len(times) > 50
    recorder.close()
    assert len(played(tmp_path / "out.mp4")[0]) == 200


def test_a_full_disk_ends_the_recording_alone(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Recorder, "add", full)
    pictures_ = Pictures(record=tmp_path / "out.mp4", lossless=True, source="a.mp4")
    for frame in frames(WAITING + 5):
        pictures_.frame(frame)
    pictures_.close()
    assert pictures_.error.strerror == "No space left on device"


def test_a_slow_encoder_leaves_frames_out_of_a_stream(tmp_path, monkeypatch):
    going = threading.Event()
    monkeypatch.setattr(Pictures, "_draw", lambda *_: going.wait(30))
    pictures_ = Pictures(record=tmp_path / "out.mp4", lossless=False, source="0")
    for frame in frames(WAITING + 10):
        pictures_.frame(frame)
        assert len(pictures_._waiting) <= WAITING
    assert pictures_.left_out >= 9
    going.set()
    pictures_.close()


def test_jpegs_are_made_only_for_viewers():
    shown = LatestPicture()
    pictures_ = Pictures(shown=shown, lossless=False, source="0")
    some = frames(3)
    pictures_.frame(some[0])
    time.sleep(0.1)
    assert shown.after(0, 0.0) == (0, b"")
    with shown.viewer():
        pictures_.frame(some[1])
        number, data = shown.after(0, 20.0)
        assert number == 1 and data[:2] == b"\xff\xd8"
    pictures_.close()
    assert shown.after(1, 0.0) is None
