"""Files that nobody vouches for: each is an unreadable video, told in one line, at once, without the network and without
the memory."""

import os
import re
import socket
import subprocess
import sys
import warnings
import zipfile
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from make_video import encode, pictures
from PIL import Image

from fragrant.data.video import containers
from fragrant.data.video.frames import Limits, VideoError, open_frames
from fragrant.data.video.other_decoders import DECODERS

FRAMES = torch.from_numpy(pictures(9))


def why_unreadable(path, **options) -> str:
    """The reason, in one line; fails where the video is read, or something else is raised or warned of."""
    with warnings.catch_warnings(action="error") if sys.version_info >= (3, 11) else warnings.catch_warnings():
        with pytest.raises(VideoError) as caught:
            with open_frames(path, **options) as frames:
                frames.read([0, len(frames) - 1])
    start = f"video '{path}' cannot be read: "
    text = str(caught.value)
    assert text.startswith(start) and "\n" not in text and len(text) > len(start)
    return text.removeprefix(start)


# ------------------------------------------------------------------------------------------ playlists, protocols, names
PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n",
    "live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n",
    "ffconcat": "ffconcat version 1.0\nfile {}\n",
    "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" profiles="urn:mpeg:dash:'
    'profile:isoff-on-demand:2011"><Period><BaseURL>{}</BaseURL></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\na=control:{}\n",
    "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "pls": "[playlist]\nFile1={}\n",
    "mov": "[Reference]\nRef1={}\n",
    "rtsp": "RTSPtext\n{}\n",
    "smil": '<smil><body><video src="{}"/></body></smil>',
}


@pytest.fixture
def server():
    """An address that nobody may ask."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(BlockingIOError):  # nobody came
            listening.accept()


@pytest.mark.parametrize("backend", ["pyav", *DECODERS])
def test_a_list_opens_neither_the_network_nor_other_files(tmp_path, server, backend):
    good = encode(tmp_path / "good.ts", 8)
    for kind, text in PLAYLISTS.items():
        for target in (f"http://{server}/a.ts", f"rtsp://{server}/a", f"tcp://{server}", "good.ts", f"file:{good}"):
            for name in (f"a.{kind}", "a.mp4"):
                (tmp_path / name).write_text(text.format(target))
                why_unreadable(tmp_path / name, backend=backend)


def test_a_playlist_is_called_one(tmp_path):
    (tmp_path / "a.m3u8").write_text(PLAYLISTS["m3u8"].format("a.ts"))
    assert "playlist" in why_unreadable(tmp_path / "a.m3u8")


def test_what_ffmpeg_would_take_for_an_address_is_a_file_name(tmp_path, server, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "a.ts", 8)
    names = (
        f"http:x http://{server}/a.ts tcp://{server} concat:a.ts|a.ts pipe:0 fd:0 file:a.ts cache:a.ts lavfi:testsrc"
    )
    for name in [*names.split(), "subfile,,start,0,end,0,,:a.ts", "-", "", "a.ts/", "a\0.ts", "a" * 5000]:
        assert why_unreadable(name) == "no such file"
    (tmp_path / "concat:a.ts|b.ts").write_bytes((tmp_path / "a.ts").read_bytes())  # a file may have such a name
    with open_frames("concat:a.ts|b.ts") as frames:
        assert len(frames) == 8


def test_a_name_that_ffmpeg_would_take_for_a_pattern(tmp_path):
    for number in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"a{number}.png")
    for name in ("a%d.png", "a*.png"):
        (tmp_path / name).write_bytes((tmp_path / "a0.png").read_bytes())
        why_unreadable(tmp_path / name)


def test_no_format_that_names_other_files_is_allowed():
    allowed = set(containers.FORMATS.split(","))
    other = "hls applehttp dash concat image2 image2pipe sdp rtsp rtp sap lavfi imf webm_dash_manifest mlv vobsub v4l2"
    assert not allowed & {*other.split(), "video4linux2", "avisynth", "vapoursynth", "tty", "ffmetadata", "data"}


# --------------------------------------------------------------------------------------------------- what is not a file
def make_socket(path):
    socket.socket(socket.AF_UNIX).bind(str(path)[-100:])


ODD = {
    "pipe": os.mkfifo,
    "socket": lambda path: (os.chdir(path.parent), make_socket(path.name)),
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "null": lambda path: path.symlink_to("/dev/null"),
    "folder": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path),
    "empty": lambda path: path.touch(),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["a.mp4", "a.npy", "a.pt", "00001.jpg"])
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    ODD[kind](tmp_path / name)
    if not name.endswith(".jpg"):
        why_unreadable(tmp_path / name)
        return
    Image.new("RGB", (64, 48)).save(tmp_path / "00000.jpg")
    assert "'00001.jpg' is " in why_unreadable(tmp_path)


# -------------------------------------------------------------------------------------------------------------- tensors
def npy(shape: str, descr: str = "'|u1'", body: int = 9000) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(body)


SHAPES = [
    "(-1, 48, 64, 3)",
    "(-1, -48, 64, 3)",
    f"({2**62}, 48, 64, 3)",
    f"({10**400}, 1, 1, 3)",
    "(2, 0, 64, 3)",
    "()",
]
SHAPES += [f"({2**32}, {2**32}, {2**32}, 3)", "(1.5, 4, 4, 3)", "'x'", "(9, 9, 9, 9)", "[1]", "-" * 60 + "1", "(" * 50]


@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_of_an_odd_shape(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy(shape))
    why_unreadable(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "content",
    [npy("(2,)", "'|O'"), npy("(1, 1, 1, 3)", "[('a', '|u1')]"), npy("(1, 1, 1, 3)", "'<f4'"), b"", b"\x93NUM"],
)
def test_arrays_of_something_else(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    why_unreadable(tmp_path / "a.npy")


def quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(FRAMES.float(), 0.1, 0, torch.quint8)


TENSORS = {
    "meta": lambda: FRAMES.to("meta"),
    "sparse": lambda: FRAMES.to_sparse(),
    "without pixels": lambda: FRAMES[:, :0],
    "quantised": quantised,
    "expanded": lambda: torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(10**9, 4000, 4000, 3),
    "several": lambda: [FRAMES],
    "none": lambda: None,
    "bool": lambda: FRAMES.bool(),
    "one number": lambda: torch.tensor(3, dtype=torch.uint8),
    **{
        f"fps {fps!r:.9}": (lambda fps=fps: {"frames": FRAMES, "fps": fps})
        for fps in ("x", float("nan"), float("inf"), -1, 0, 10**400, True, [25], torch.zeros(2))
    },
}


@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_that_are_no_frames(tmp_path, kind):
    torch.save(TENSORS[kind](), tmp_path / "a.pt")
    why_unreadable(tmp_path / "a.pt")


def rewritten(source, path, change, compression=zipfile.ZIP_STORED):
    """The archive with another ``data.pkl``."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name.endswith("data.pkl") else old.read(name))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"K\x09K0K@K\x03", b"J\xff\xff\xff\x00K0K@K\x03"),  # more frames than the storage has
        lambda data: data.replace(b"K\x09K0K@K\x03", b"J\xff\xff\xff\xffK0K@K\x03"),  # -1 of them
        lambda data: data.replace(b"K\x09K0K@K\x03", b"\x8a\x08" + b"\xff" * 7 + b"\x7fK0K@K\x03"),
        lambda data: b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",  # 17 TB
        lambda data: b"\x80\x02cos\nmkdir\nX\x06\x00\x00\x00hacked\x85R.",
        lambda data: data[: len(data) // 2],
        lambda data: b"",
    ],
)
def test_archives_whose_pickle_is_hostile(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    torch.save(FRAMES, tmp_path / "good.pt")
    rewritten(tmp_path / "good.pt", tmp_path / "a.pt", lambda data: data)
    with open_frames(tmp_path / "a.pt") as frames:
        assert torch.equal(frames.read(range(9)), FRAMES)
    rewritten(tmp_path / "good.pt", tmp_path / "a.pt", change)
    why_unreadable(tmp_path / "a.pt")
    assert not (tmp_path / "hacked").exists()


def test_compressed_archives_are_not_unpacked(tmp_path):
    torch.save(FRAMES, tmp_path / "good.pt")
    rewritten(tmp_path / "good.pt", tmp_path / "a.pt", lambda data: bytes(2**24), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "a.pt").stat().st_size < 2**20
    assert why_unreadable(tmp_path / "a.pt") == "its parts are compressed, which torch.save does not do"
    for name in ("a.npz", "b.npy"):
        with open(tmp_path / name, "wb") as file:
            np.savez_compressed(file, frames=FRAMES.numpy())
        why_unreadable(tmp_path / name)


# ------------------------------------------------------------------------------------------------------------- pictures
def test_a_stray_number_costs_nothing(tmp_path):
    for number in (0, 1, 4_000_000_000, 20261127093000123456):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number:05d}.jpg")
    assert why_unreadable(tmp_path).startswith("frame '{:05d}.jpg' number 2 is missing, the last one there is 2026")
    assert "number 1000000 is missing" in why_unreadable(tmp_path, base=10**6)


def test_pictures_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for number, size in enumerate([(7000, 6000), (14000, 14000)]):
        Image.new("1", size).save(tmp_path / f"{number:05d}.png")
    monkeypatch.undo()
    assert why_unreadable(tmp_path, template="{:05d}.png") == (
        "its frames are 7000x6000, 42.0 megapixels; DATA.MAX_FRAME_MEGAPIXELS allows 36"
    )
    assert "too large" in why_unreadable(tmp_path, template="{:05d}.png", base=1)


def test_no_program_is_run_for_a_picture(tmp_path, monkeypatch):
    """Pillow calls Ghostscript for PostScript, whatever the file is called."""
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "00000.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    )
    assert why_unreadable(tmp_path) == "'00000.jpg' is no picture, or torn"
    why_unreadable(tmp_path / "00000.jpg")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "ppm", "tif", "webp", "gif", "tga", "jp2"])
def test_kinds_of_pictures_that_people_have(tmp_path, suffix):
    Image.new("RGB", (64, 48), (10, 200, 30)).save(tmp_path / f"0.{suffix}")
    with open_frames(tmp_path, template=f"{{}}.{suffix}") as frames:
        assert (frames.read([0]).int() - torch.tensor([10, 200, 30])).abs().max() < 12


# --------------------------------------------------------------------------------------------------------------- memory
def blank(path, frames: int, height: int, width: int, codec: str = "libx264", pix_fmt: str = "yuv420p"):
    """A file of some kilobytes, whatever its size."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options={"preset": "ultrafast"} if codec == "libx264" else {})
        stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
        frame = av.VideoFrame(width, height, pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for number in range(frames):
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


LARGE = [("a.mp4", {}), ("a.mkv", {}), ("a.ts", {}), ("a.h264", {}), ("a.avi", dict(codec="mjpeg", pix_fmt="yuvj420p"))]


@pytest.mark.parametrize("name, recipe", LARGE)
def test_frames_too_large(tmp_path, name, recipe):
    path = blank(tmp_path / name, 2, 512, 512, **recipe)
    with open_frames(path, limits=Limits(megapixels=0.27)) as frames:
        assert frames.read([0, 1]).shape == (2, 512, 512, 3)
    reason = why_unreadable(path, limits=Limits(megapixels=0.25))
    assert "DATA.MAX_FRAME_MEGAPIXELS" in reason and "0.25" in reason


def test_a_header_that_says_less_than_its_frames_have(tmp_path, monkeypatch):
    """The decoder itself refuses, before it has the memory."""
    path = blank(tmp_path / "a.mp4", 2, 512, 512)
    monkeypatch.setattr(Limits, "check", lambda *sizes: None)
    why_unreadable(path, limits=Limits(megapixels=0.25))


@pytest.mark.parametrize("kind", ["a.mp4", "a.ts", "a.npy", "folder"])
def test_frames_too_many_to_be_read_at_once(tmp_path, kind):
    path = tmp_path / kind
    if kind == "a.npy":
        np.save(path, FRAMES.numpy())
    elif kind == "folder":
        path.mkdir()
        for number, frame in enumerate(FRAMES):
            Image.fromarray(frame.numpy()).save(path / f"{number:05d}.jpg")
    else:
        encode(path, 9)
    limits = Limits(gigabytes=5.5 * 48 * 64 * 3 / 1e9)
    with open_frames(path, limits=limits) as frames:
        assert frames.read(range(5)).shape == (5, 48, 64, 3)
        message = "6 frames of 64x48 take 0.0 GB of memory; DATA.MAX_DECODED_GB allows 5.0688e-05"
        with pytest.raises(VideoError, match=re.escape(message)):
            frames.read(range(6))
        assert frames.read([8]).shape == (1, 48, 64, 3)


def test_frames_that_are_reduced_while_decoding_take_less(tmp_path):
    path = encode(tmp_path / "a.mp4", 9)
    with open_frames(path, limits=Limits(gigabytes=5.5 * 48 * 64 * 3 / 1e9), short_side=24) as frames:
        assert frames.read(range(9)).shape == (9, 24, 32, 3)


def test_every_backend_keeps_the_limits(tmp_path):
    path = encode(tmp_path / "a.mp4", 9)
    for backend in DECODERS:
        for limits in (Limits(megapixels=0.001), Limits(gigabytes=5.5 * 48 * 64 * 3 / 1e9)):
            with pytest.raises(VideoError, match="DATA.MAX_"):
                with open_frames(path, backend=backend, limits=limits) as frames:
                    frames.read(range(9))


BOMBS = """
import resource
import sys
from fragrant.data.video.frames import VideoError, open_frames

start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        with open_frames(path, template="{:05d}.png") as frames:
            frames.read(range(len(frames)))
        print("read", path)
    except VideoError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


@pytest.mark.slow
def test_bombs_take_no_memory(tmp_path, monkeypatch):
    """2.4 GB, 1.2 GB and 0.6 GB decoded, of 200 kB and less."""
    paths = [blank(tmp_path / name, 12, 8192, 8192, **recipe) for name, recipe in LARGE]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "folder").mkdir()
    Image.new("1", (20000, 20000)).save(tmp_path / "folder" / "00000.png")
    Image.new("1", (13000, 13000)).save(tmp_path / "a.png")
    paths += [tmp_path / "folder", tmp_path / "a.png"]
    told = subprocess.run([sys.executable, "-c", BOMBS, *map(str, paths)], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 100 and not told.stderr
