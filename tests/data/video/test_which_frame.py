"""Which frame comes for a number never depends on what else is asked, nor on what was asked before: of whole files, and
of those cut out of longer ones without encoding them again."""

import random

import av
import numpy as np
import pytest
from conftest import shared_folder
from make_video import decode_all, encode, remux

from fragrant.data.video.frames import VideoError, open_frames
from fragrant.data.video.readers import ANY_TAGS, Seeker

# kinds of GOP, by how they are encoded
OPEN = {
    "h264": dict(options={"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0"}),
    "h264_pyramid": dict(options={"x264-params": "open-gop=1:keyint=12:bframes=7:b-adapt=0:b-pyramid=normal"}),
    "h264_refresh": dict(options={"x264-params": "intra-refresh=1:keyint=10"}),
    "h264_interlaced": dict(options={"x264-params": "interlaced=1:keyint=10:open-gop=1:bframes=2:b-adapt=0"}),
    "h264_closed": dict(options={"g": "10"}),
    "hevc": dict(codec="libx265", options={"x265-params": "log-level=none:keyint=10:bframes=3:b-adapt=0"}),
    "hevc_radl": dict(codec="libx265", options={"x265-params": "log-level=none:keyint=12:open-gop=0:radl=2"}),
    "mpeg4": dict(codec="mpeg4", options={"g": "10", "bf": "2"}),
    "mpeg2": dict(codec="mpeg2video", options={"g": "10", "bf": "2"}),
}


def key_places(path):
    with av.open(str(path), **ANY_TAGS) as container:
        return [at for at, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]


def must_not_depend(path, *, seed, singles=8, groups=5):
    """Every read is compared with decoding from start to end: each from a file just opened, then all from one."""
    expected, rng = decode_all(path), random.Random(seed)
    count = len(expected)
    requests = [[number] for number in rng.sample(range(count), min(singles, count))] + [[0], [count - 1]]
    requests += [[rng.randrange(count) for _ in range(rng.choice([2, 5]))] for _ in range(groups)]
    with open_frames(path) as kept:
        assert len(kept) == count
        for numbers in requests:
            with open_frames(path) as fresh:
                for frames in (fresh, kept):
                    assert np.array_equal(frames.read(numbers).numpy(), expected[numbers]), numbers
                    assert len(frames) == count


@pytest.mark.parametrize("suffix, cut", [("mkv", 0), ("mkv", 1), ("mp4", 1)])
@pytest.mark.parametrize("name", OPEN)
def test_files_that_are_cut_at_a_key_frame(tmp_path, name, suffix, cut):
    whole = encode(tmp_path / "whole.mkv", 36, height=32, width=32, **OPEN[name])
    path = remux(whole, tmp_path / f"cut.{suffix}", drop_packets=key_places(whole)[cut]) if cut else whole
    must_not_depend(path, seed=f"{name} {cut}", singles=4, groups=3)


@pytest.mark.parametrize("name, lost", [("h264", 0), ("hevc", 1)])
def test_cut_files_are_read_by_seeking(tmp_path, name, lost):
    """What cannot be decoded at the beginning costs a look at the beginning, not at the whole file."""
    whole = encode(tmp_path / "whole.mkv", 60, **OPEN[name])
    keys = key_places(whole)
    path = remux(whole, tmp_path / "cut.mkv", drop_packets=keys[1])
    with open_frames(path) as frames:
        assert isinstance(frames._reader, Seeker)
        with av.open(str(path)) as container:
            packets = sum(bool(packet.size) for packet in container.demux(video=0))
        assert (packets - len(frames) > 0) >= lost
        frames.read([len(frames) - 1])
        assert isinstance(frames._reader, Seeker)


def _clips():
    folder = shared_folder()
    kinds = ("misc", "derived", "weizmann4", "arid6", "broken")
    return sorted(path for kind in kinds for path in (folder / "clips" / kind).iterdir()) if folder else []


@pytest.mark.slow
@pytest.mark.parametrize("path", _clips(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_files(path):
    if path.name == "size_changes_midway.h264":
        pytest.skip("its frames have two sizes")
    try:
        with open_frames(path):
            pass
    except VideoError:
        pytest.skip("it cannot be read")
    if path.parent.name != "broken":
        must_not_depend(path, seed=path.name)
        return
    with open_frames(path) as frames:  # how many there are may show itself at the first read only
        frames.read([len(frames) - 1]) if path.name != "corrupt_middle_third.mp4" else None
