"""Other decoders give the same frames, or are not used; what is missing is said in one line."""

import sys

import numpy as np
import pytest
from decoders import installed
from make_video import decode_all, encode

from fragrant.data.video.frames import open_frames
from fragrant.data.video.other_decoders import DECODERS, _ByNumber, require
from fragrant.data.video.readers import Counter
from fragrant.errors import UserError


@pytest.mark.parametrize("backend", DECODERS)
@pytest.mark.parametrize(
    "name, options",
    [
        ("b_frames.mp4", {"g": "250"}),
        ("short_gop.mp4", {"g": "12", "bf": "0"}),
        ("a.mkv", {"g": "30"}),
        ("b.avi", {"bf": "2"}),
    ],
)
def test_the_same_frames(tmp_path, backend, name, options):
    path = encode(tmp_path / name, 40, options=options, **({"codec": "mpeg4"} if name.endswith("avi") else {}))
    expected = decode_all(path)
    with open_frames(path, backend=installed(backend)) as frames:
        assert isinstance(frames._reader, Counter if name == "b.avi" else DECODERS[backend])
        assert len(frames) == 40
        for indices in ([0], [39, 3, 3, 17], range(40)):
            assert np.array_equal(frames.read(indices).numpy(), expected[list(indices)])


# what another library decodes to other pixels, or counts in another way
LEFT_TO_PYAV = {
    "hevc.mp4": dict(codec="libx265", options={"x265-params": "log-level=none:keyint=10:bframes=3"}),
    "open_gop.mp4": dict(options={"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0"}),
    "open_gop.mkv": dict(options={"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0"}),
    "not_idr.mp4": dict(options={"x264-params": "open-gop=1:keyint=9:bframes=3:b-adapt=0"}),
    "interlaced.mp4": dict(options={"x264-params": "interlaced=1:keyint=10"}),
    "full_range.mp4": dict(options={"x264-params": "fullrange=on:keyint=10"}),
    "odd_height.mp4": dict(codec="libvpx-vp9", height=49),
}


@pytest.mark.parametrize("backend", ["refuses", *DECODERS])
@pytest.mark.parametrize("name", LEFT_TO_PYAV)
def test_files_that_are_left_to_pyav(tmp_path, monkeypatch, backend, name):
    class Refuses(_ByNumber):
        def _read(self, numbers):
            pytest.fail("asked for frames of a file that is not ordinary")

    monkeypatch.setitem(DECODERS, "refuses", Refuses)
    path = encode(tmp_path / name, 40, **LEFT_TO_PYAV[name])
    expected = decode_all(path)
    for indices in ([9], [10, 30], [39], list(range(40)), *([number] for number in range(0, 40, 7))):
        with open_frames(path, backend=backend if backend == "refuses" else installed(backend)) as frames:
            assert np.array_equal(frames.read(indices).numpy(), expected[indices])


@pytest.mark.parametrize("fault", ["raises", "late", "six channels"])
def test_a_library_that_fails_is_not_asked_again(tmp_path, monkeypatch, fault):
    asked = []

    class Fails(_ByNumber):
        def _read(self, numbers):
            asked.append(numbers)
            if fault == "raises":
                raise KeyError
            return np.zeros((len(numbers), 48, 64, 3 + 3 * (fault == "six channels")), np.uint8), np.array(
                numbers
            ) / 30 + 0.1 * (fault == "late")

    monkeypatch.setitem(DECODERS, "fails", Fails)
    path = encode(tmp_path / "a.mp4", 20)
    expected = decode_all(path)
    with open_frames(path, backend="fails") as frames:
        for indices in ([3], [7, 5], list(range(20))):
            assert np.array_equal(frames.read(indices).numpy(), expected[indices])
    assert asked == [[3]]


FOLDERS = ("derived", "misc", "weizmann4", "arid6")


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("backend", DECODERS)
def test_the_same_frames_of_real_files(shared_clips, backend, folder):
    installed(backend)
    for path in sorted((shared_clips / folder).iterdir()):
        with open_frames(path) as frames, open_frames(path, backend=backend) as others:
            assert len(frames) == len(others), path
            numbers = sorted({0, 1 % len(frames), len(frames) // 2, len(frames) - 1})
            a, b = (reader.read(numbers).numpy().astype(int) for reader in (frames, others))
            assert a.shape == b.shape and np.abs(a - b).mean() < 0.5, (path, np.abs(a - b).mean())


@pytest.mark.parametrize("backend, module", [("torchcodec", "torchcodec"), ("decord", "decord")])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, backend, module):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    hint = rf"pip install 'fragrant\[{backend}\]', or set it to pyav: the same frames"
    message = rf"^DATA.DECODING_BACKEND {backend}: {module} is not installed; {hint}$"
    with pytest.raises(UserError, match=message):
        require(backend)
    require("pyav"), require("torchvision")
