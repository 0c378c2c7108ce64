"""Frames by number: the same, bit for bit, as decoding the file from start to end."""

import os
import random
import re
import tracemalloc

import av
import numpy as np
import pytest
import torch
from make_video import decode_all, encode, pictures, remux

from fragrant.data.video import readers
from fragrant.data.video.frames import VideoError, open_frames
from fragrant.data.video.sweep import Sweep

# name -> how it is encoded, and who reads it; "falls back" = the seeking reader notices while reading that it may not
# seek
ENCODED = {
    "b_frames.mp4": (dict(options={"g": "250"}), readers.Seeker),
    "short_gop.mp4": (dict(options={"g": "12", "bf": "0"}), readers.Seeker),
    "all_intra.mp4": (dict(options={"g": "1"}), readers.Seeker),
    "pyramid.mkv": (dict(options={"x264-params": "b-pyramid=strict:bframes=7:b-adapt=0:keyint=30"}), readers.Seeker),
    "open_gop.mp4": (dict(options={"x264-params": "open-gop=1:keyint=9:bframes=3:b-adapt=0"}), readers.Seeker),
    "open_gop.mkv": (dict(options={"x264-params": "open-gop=1:keyint=9:bframes=3:b-adapt=0"}), readers.Seeker),
    "slices.mp4": (dict(options={"x264-params": "slices=3:keyint=15"}), readers.Seeker),
    "odd_size.mp4": (dict(codec="mpeg4", options={"g": "8"}, height=47, width=63), readers.Seeker),
    "forward_only.avi": (dict(codec="mpeg4", options={"g": "8"}), readers.Seeker),
    "b_frames.avi": (dict(codec="mpeg4", options={"g": "8", "bf": "2"}), readers.Counter),
    "stream.ts": (dict(options={"g": "12"}), readers.Counter),
    "raw.h264": (dict(options={"g": "12"}), readers.Counter),
    "intra_refresh.mp4": (dict(options={"x264-params": "intra-refresh=1:keyint=10"}), readers.Seeker),
    "interlaced.mp4": (dict(options={"x264-params": "interlaced=1:keyint=10"}), "falls back"),
}


def random_requests(num_frames, seed, count):
    rng = random.Random(seed)
    return [[rng.randrange(num_frames) for _ in range(rng.choice([1, 2, 8]))] for _ in range(count)]


def same(frames, expected, indices):
    got = frames.read(indices)
    return got.dtype == torch.uint8 and np.array_equal(got.numpy(), expected[indices])


@pytest.mark.parametrize("name", ENCODED)
def test_any_order_gives_the_frames_of_a_plain_decode(tmp_path, name):
    recipe, reader = ENCODED[name]
    path = encode(tmp_path / name, 40, **recipe)
    expected = decode_all(path)
    assert len(expected) == 40
    with open_frames(path) as frames:
        assert len(frames) == 40
        assert isinstance(frames._reader, readers.Seeker if reader == "falls back" else reader)
        for indices in [
            *random_requests(40, name, 12),
            list(range(40)),
            list(range(39, -1, -1)),
            [39],
            [0],
            [7, 7, 3, 7],
        ]:
            assert same(frames, expected, indices), indices
        assert isinstance(frames._reader, readers.Counter if reader == "falls back" else reader)
    for indices in random_requests(40, name, 4):  # each from a file just opened
        with open_frames(path) as frames:
            assert same(frames, expected, indices), indices


@pytest.mark.parametrize("cut_frames", [10, 13])
def test_frames_that_an_edit_list_hides_do_not_count(tmp_path, cut_frames):
    path = remux(encode(tmp_path / "a.mp4", 40, options={"g": "12"}), tmp_path / "cut.mp4", cut_frames=cut_frames)
    expected = decode_all(path)
    with open_frames(path) as frames:
        assert len(frames) == len(expected) == 40 - cut_frames
        assert all(same(frames, expected, indices) for indices in random_requests(len(expected), 0, 6))


def test_a_file_that_starts_in_the_middle(tmp_path):
    path = remux(encode(tmp_path / "a.mp4", 40, options={"g": "12"}), tmp_path / "rest.mp4", drop_packets=5)
    expected = decode_all(path)
    with open_frames(path) as frames:
        assert len(frames) == len(expected)
        assert same(frames, expected, list(range(len(expected))))


def test_threads_give_the_same_frames(tmp_path):
    path = encode(tmp_path / "a.mp4", 40, options={"g": "12"})
    expected = decode_all(path)
    with open_frames(path, multi_thread=True) as frames:
        assert all(same(frames, expected, indices) for indices in random_requests(40, 1, 6))


def test_frames_that_are_not_kept_are_decoded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "KEPT_BYTES", 20000)
    path = encode(tmp_path / "a.avi", 40, codec="mpeg4", options={"bf": "2"})
    expected = decode_all(path)
    with open_frames(path) as frames:
        assert frames._reader._kept is None
        assert all(same(frames, expected, indices) for indices in random_requests(40, 2, 6))


def test_it_is_the_right_picture(tmp_path):
    path = encode(tmp_path / "a.mp4", 30, options={"crf": "1"})
    drawn = pictures(30).astype(int)
    with open_frames(path) as frames:
        assert frames.fps == 30
        for number in (0, 11, 29):
            distance = np.abs(drawn - frames.read([number])[0].numpy()).mean((1, 2, 3))
            assert distance.argmin() == number


class Count:
    """Counts the packets that are decoded."""

    def __init__(self, monkeypatch):
        self.packets, original = 0, readers.Seeker._packets_from

        def counted(seeker, key):
            for item in original(seeker, key):
                self.packets += 1
                yield item

        monkeypatch.setattr(readers.Seeker, "_packets_from", counted)


@pytest.mark.parametrize(
    "gop, wanted, most",
    [(1, [3, 20, 33], 3), (10, [12, 35], 3 + 6), (10, [19], 10), (10, [10, 20, 30], 3), (250, [5], 6)],
)
def test_decodes_from_the_key_frame_before(tmp_path, monkeypatch, gop, wanted, most):
    path = encode(tmp_path / "a.mp4", 40, options={"g": str(gop), "bf": "0", "sc_threshold": "0"})
    count = Count(monkeypatch)
    with open_frames(path) as frames:
        frames.read(wanted)
    assert count.packets == most


def test_a_seek_that_lands_too_late_is_noticed(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", 40, options={"g": "10"})
    expected = decode_all(path)
    with open_frames(path) as frames:
        table = frames._reader._table
        keys = np.flatnonzero(table.is_key)
        late = table.seek_to.copy()
        late[keys[1:-1]] = table.seek_to[keys[2:]]  # every key frame but the first is found one too late
        frames._reader._table = table._replace(seek_to=late)
        assert same(frames, expected, [15, 25])
        assert isinstance(frames._reader, readers.Seeker)


@pytest.mark.parametrize("indices, message", [([40], "40..40"), ([-1, 3], "-1..3")])
def test_numbers_outside(tmp_path, indices, message):
    with open_frames(encode(tmp_path / "a.mp4", 40)) as frames:
        with pytest.raises(IndexError, match=f"frame numbers {message} are not all in 0..39"):
            frames.read(indices)
        with pytest.raises(IndexError, match="no frame numbers given"):
            frames.read([])


# --------------------------------------------------------------------------------------------------------------- damage
def damaged(tmp_path, name="a.mp4", **recipe):
    """A file whose second half is overwritten after its packets' lengths: nothing but decoding shows it."""
    path = encode(tmp_path / name, 40, **recipe)
    with av.open(str(path)) as container:
        spots = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size][20:]
    data = bytearray(path.read_bytes())
    for start, size in spots:
        data[start + 5 : start + size] = b"\xff" * (size - 5)
    path.write_bytes(data)
    return path


def test_damage_that_shows_itself_only_in_decoding(tmp_path):
    path = damaged(tmp_path, options={"g": "250", "bf": "0"})
    expected = []
    with av.open(str(path)) as container, pytest.raises(av.FFmpegError):
        for frame in container.decode(video=0):
            expected.append(frame.to_ndarray(format="rgb24"))
    good = len(expected)
    assert 10 < good <= 20
    with open_frames(path) as frames:
        assert same(frames, np.stack(expected), [0, 8])
        message = (
            f"video '{path}' cannot be read: it is damaged, only {good} of its 40 frames decode and frame 39 does not"
        )
        with pytest.raises(VideoError, match=f"^{re.escape(message)}$"):
            frames.read([0, 39])
        assert len(frames) == good
        assert same(frames, np.stack(expected), list(range(good)))


@pytest.mark.parametrize(
    "name, make, message",
    [
        ("gone.mp4", lambda path: None, "no such file"),
        (
            "folder.mp4",
            lambda path: path.mkdir(),
            "no file in this folder fits DATA.IMAGE_TEMPLATE '{:05d}.jpg'; it is empty",
        ),
        ("pipe.mp4", os.mkfifo, "it is not a file"),
        ("empty.mp4", lambda path: path.touch(), "Invalid data found when processing input"),
        ("page.mp4", lambda path: path.write_text("<html>404</html>"), "Invalid data found when processing input"),
    ],
)
def test_what_is_no_video(tmp_path, name, make, message):
    path = tmp_path / name
    make(path)
    with pytest.raises(VideoError, match=f"^{re.escape(f'video {str(path)!r} cannot be read: {message}')}$"):
        open_frames(path)


def open_files():
    return {
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{fd}")
    }


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "intra_refresh.mp4"])
def test_no_file_stays_open(tmp_path, name):
    path = encode(tmp_path / name, 20, **ENCODED.get(name, ({},))[0])
    kept = []
    with open_frames(path) as frames:
        kept.append(frames.read([5, 12]))
    kept.append(frames)
    assert str(path) not in open_files()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(path.read_bytes()[:200])
    with pytest.raises(VideoError) as caught:
        open_frames(broken)
    assert str(broken) not in open_files(), caught


def test_reading_again_and_again_keeps_no_memory(tmp_path):
    path = encode(tmp_path / "a.mp4", 30)

    def read_often(times):
        for _ in range(times):
            with open_frames(path) as frames:
                frames.read([3, 9, 27])

    read_often(5)
    tracemalloc.start()
    read_often(50)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200_000


# ----------------------------------------------------------------------------------------------------------- real files
ROW = re.compile(r"\| (?P<file>\S+/\S+) \| .*? \| \d+x\d+ \| [\d.]+ \| \d+ / (?P<n>\d+) \|")
SOME = (
    "derived/h264_open_gop12.mp4 derived/h264_start_at_5s.mkv derived/h264_fragmented_nohdrcount.mp4 "
    "derived/hevc_b.mp4 "
    "misc/decord_video_90.mov misc/decord_video_180.mov misc/decord_video_270.mov "
    "derived/vp9_altref.webm derived/raw_annexb.h264 derived/mpeg1.mpg misc/decord_unordered.mov "
    "misc/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi "
    "misc/TrumanShow_wave_f_nm_np1_fr_med_26.avi misc/torchcodec_h264_10bits.mp4 misc/v_SoccerJuggling_g23_c01.avi "
    "weizmann4/daria_jack.avi arid6/Walk_14_24.mp4 arid6/Jump_8_3.mp4"
).split()


def stated_lengths(shared_clips):
    """file -> frames, as the README of the clips states; ARID's is in no table."""
    text = (shared_clips / "README.md").read_text(encoding="utf-8")
    return {match["file"]: int(match["n"]) for match in ROW.finditer(text)}


def check_file(path, stated, requests):
    with open_frames(path) as frames:
        num_frames = len(frames)
        expected = decode_all(path)
        assert num_frames == len(expected) == (stated or num_frames)
        for indices in random_requests(num_frames, path.name, requests):
            assert same(frames, expected, indices), (path.name, indices)


def test_lengths_of_all_real_files(shared_clips):
    stated = stated_lengths(shared_clips)
    assert len(stated) == 16 + 26 + 26
    for name, num_frames in stated.items():
        with open_frames(shared_clips / name) as frames:
            assert len(frames) == num_frames, name


@pytest.mark.parametrize("name", SOME)
def test_frames_of_some_real_files(shared_clips, name):
    check_file(shared_clips / name, stated_lengths(shared_clips).get(name), requests=4)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["weizmann4", "arid6", "derived", "misc"])
def test_frames_of_all_real_files(shared_clips, folder):
    stated = stated_lengths(shared_clips)
    for path in sorted((shared_clips / folder).iterdir()):
        check_file(path, stated.get(f"{folder}/{path.name}"), requests=12)


# Frames of each broken file, None = an error; where two numbers are reasonable, the frames before the damage count.
BROKEN = {
    "audio_only.mp4": None,
    "corrupt_first_keyframe.mp4": None,
    "corrupt_middle_third.mp4": 27,
    "decord_corrupted.mp4": 28,
    "directory_named.mp4": None,
    "header_claims_10x_frames.avi": 89,
    "html_error_page.mp4": None,
    "jpeg_renamed.mp4": 1,
    "missing_file.mp4": None,
    "one_frame.mp4": 1,
    "random_bytes.mp4": None,
    "text_renamed.mp4": None,
    "truncated_60pct.avi": 51,
    "truncated_faststart_50pct.mp4": 36,
    "truncated_faststart_header_only.mp4": None,
    "truncated_no_moov.mp4": None,
    "zero_bytes.mp4": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(shared_clips, name):
    path = shared_clips / "broken" / name
    if BROKEN[name] is None:
        with pytest.raises(VideoError, match=f"^video '{re.escape(str(path))}' cannot be read: [^\n]+$"):
            open_frames(path)
        return
    with open_frames(path) as frames:
        assert len(frames) == BROKEN[name]
        pixels = frames.read(range(len(frames)))
        assert len(pixels) == BROKEN[name]
        assert same(frames, pixels.numpy(), [len(frames) - 1, 0])


def test_frames_of_two_sizes(shared_clips):
    with open_frames(shared_clips / "broken/size_changes_midway.h264") as frames:
        assert frames.read([0, 1]).shape == (2, 144, 180, 3)
        with pytest.raises(VideoError, match="its frames differ in size, 180x144 and 96x80$"):
            frames.read([0, 39])


def test_reads_planned_before_damage_showed_itself(tmp_path):
    """Windows of a long video are laid out by the length that its packets promise."""
    path = encode(
        tmp_path / "a.mp4", codec="libvpx-vp9", options={"g": "10", "lag-in-frames": "0", "deadline": "realtime"}
    )
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    content[places[20] : places[20] + 8] = bytes(8)
    path.write_bytes(content)
    with open_frames(path) as frames:
        whole = Sweep(frames, [range(0, 20), range(20, 30), range(30, 40)])
        assert len(whole.read(range(20))) == 20
        for numbers in (range(20, 30), range(30, 40)):
            with pytest.raises(VideoError, match="damaged, only .* of its 40 frames decode"):
                whole.read(numbers)
        with pytest.raises(VideoError, match="damaged"):
            frames.read([39])
        with pytest.raises(IndexError):
            frames.read([40])


@pytest.mark.parametrize("codecs", [("libx264", "mpeg2video"), ("libx264", "libx265")], ids="-".join)
def test_recordings_of_two_codecs_behind_one_another(tmp_path, codecs):
    """All frames before the change that FFmpeg hands out, which loses a packet there: also what a decoder held back."""
    parts, options = [], {"muxrate": "8000000"}  # more than FFmpeg looks at when it opens the file
    for number, codec in enumerate(codecs):
        plain, padded = encode(tmp_path / f"{number}.mp4", 150, codec=codec, fps=25), tmp_path / f"{number}.ts"
        with av.open(str(plain)) as old, av.open(str(padded), "w", format="mpegts", options=options) as new:
            copy = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(old.streams.video[0]):
                if packet.pts is not None:
                    packet.stream = copy
                    new.mux(packet)
        parts.append(padded)
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_frames(parts[0]) as first, open_frames(tmp_path / "both.ts") as both:
        assert len(first) == 150 and len(both) in (149, 150)
        assert torch.equal(both.read([0, 100, 140]), first.read([0, 100, 140]))
