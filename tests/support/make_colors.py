"""Writes tests/golden/video/colors.json: one-frame videos of many kinds, and what the ffmpeg command shows of each.

``python tests/support/make_colors.py`` needs the ffmpeg command (the numbers there are those of 5.1.9) with libx264,
libx265, libvpx, libaom; the tests need the file alone."""

import base64
import json
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "golden/video/colors.json"
BLOCK, ACROSS, DOWN = 16, 4, 3
# dark, gray and saturated: (DOWN, ACROSS, 3) RGB
PALETTE = np.array(
    [
        [[0, 0, 0], [8, 8, 8], [20, 14, 6], [255, 255, 255]],
        [[200, 40, 40], [40, 200, 40], [40, 40, 200], [128, 128, 128]],
        [[230, 220, 30], [20, 90, 90], [120, 20, 120], [60, 50, 40]],
    ]
)
MATRICES = {
    "601": ("smpte170m", "smpte170m", "smpte170m"),
    "709": ("bt709", "bt709", "bt709"),
    "2020": ("bt2020nc", "bt2020", "bt2020-10"),
}
BARE = ["-bsf:v", "filter_units=remove_types=6"]  # without the encoder's signature
X265 = ["-x265-params", "log-level=none:info=0"]
ALL = [(matrix, full) for matrix in MATRICES for full in ("tv", "pc")]
TWO = [("709", "tv"), ("2020", "pc")]
# codec, suffix, its options, pixel formats, colors that are written down
KINDS = [
    ("libx264", "mp4", BARE, ["yuv420p"], [*ALL, None]),
    ("libx264", "mkv", BARE, ["yuv420p", "yuv444p", "yuv420p10le"], TWO),
    ("libx264", "mp4", BARE, ["yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le"], TWO),
    ("libx264", "ts", BARE, ["yuv420p", "yuv420p10le"], TWO),
    ("libx264", "avi", BARE, ["yuv420p"], TWO),
    ("libx264rgb", "mp4", BARE, ["rgb24"], [None]),
    ("libx265", "mp4", X265, ["yuv420p10le"], [*ALL, None]),
    ("libx265", "mkv", X265, ["yuv420p", "yuv422p", "yuv444p", "yuv420p12le", "yuv444p12le", "gray", "gray10le", "gray12le"], TWO),
    ("libvpx-vp9", "webm", [], ["yuv420p", "yuv440p", "yuv444p", "yuv420p10le", "yuv444p12le"], TWO),
    ("libvpx", "webm", [], ["yuv420p"], [("601", "tv")]),
    ("libaom-av1", "mkv", ["-cpu-used", "8"], ["yuv420p", "yuv420p10le", "yuv444p", "gray"], TWO),
    ("ffv1", "mkv", [], ["yuv420p", "yuva420p", "yuv422p16le", "gray16le", "gbrp10le", "bgr0"], TWO),
    ("mjpeg", "avi", [], ["yuvj420p", "yuvj422p", "yuvj444p"], [("601", "pc")]),
    ("mpeg4", "avi", [], ["yuv420p"], [("601", "tv")]),
    ("mpeg2video", "mpg", [], ["yuv420p", "yuv422p"], [("709", "tv")]),
    ("prores_ks", "mov", [], ["yuv422p10le", "yuv444p10le"], [("601", "tv")]),
    ("png", "mov", [], ["rgb24", "rgb48be", "gray", "gray16be", "pal8"], [None]),
]  # fmt: skip
# what may stand in the display matrix of an MP4: the four turns, each as it is and mirrored
TURNS = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]  # fmt: skip


def drawn() -> bytes:
    return PALETTE.repeat(BLOCK, 0).repeat(BLOCK, 1).astype(np.uint8).tobytes()


def encode(path: Path, codec: str, options: list[str], pixel_format: str, colors: tuple[str, str] | None) -> None:
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{BLOCK * ACROSS}x{BLOCK * DOWN}", "-i", "-"]
    kind, said = ["-vf", f"format={pixel_format}"], []
    if colors:
        matrix, primaries, curve = MATRICES[colors[0]]
        kind = ["-vf", f"scale=out_color_matrix={matrix}:out_range={colors[1]},format={pixel_format}"]
        said = ["-colorspace", matrix, "-color_primaries", primaries, "-color_trc", curve, "-color_range", colors[1]]
    made = ["-frames:v", "1", "-c:v", codec, "-q:v", "2", "-crf", "12", *said, *options, "-threads", "1"]
    subprocess.run(["ffmpeg", "-v", "fatal", "-y", *source, *kind, *made, str(path)], input=drawn(), check=True)


def shown(path: Path) -> np.ndarray:
    """(blocks down, blocks across, 3): the mean of the middle of each block, as the ffmpeg command shows the file"""
    size = subprocess.run(["ffmpeg", "-v", "fatal", "-i", path, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "image2pipe", "-c:v", "ppm", "-"],
                          capture_output=True, check=True).stdout  # fmt: skip
    width, height = map(int, size.split(maxsplit=3)[1:3])
    pixels = np.frombuffer(size[-3 * width * height :], np.uint8).reshape(height, width, 3)
    return blocks(pixels)


def blocks(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H / 16, W / 16, 3): the mean of the inner 6 x 6 pixels of each block, which no neighbor reaches"""
    height, width = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    inner = pixels.reshape(height, BLOCK, width, BLOCK, 3)[:, 5:11, :, 5:11]
    return inner.mean((1, 3))


def turned(data: bytes, turn: tuple[float, float, float, float]) -> bytes:
    """An MP4 with another display matrix."""
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    place = data.rindex(identity)  # the track's; the first one is the movie's
    a, b, c, d = (round(65536 * value) for value in turn)
    return data[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[place + 36 :]


def main() -> None:
    cases = {}

    def add(name: str, path: Path) -> None:
        numbers = np.rint(shown(path)).astype(int).tolist()
        cases[name] = {"file": base64.b64encode(path.read_bytes()).decode(), "shown": numbers}

    with tempfile.TemporaryDirectory() as folder:
        for codec, suffix, options, formats, colors in KINDS:
            for pixel_format in formats:
                for said in colors:
                    name = f"{codec}_{pixel_format}_{'_'.join(said) if said else 'untagged'}.{suffix}"
                    encode(Path(folder, name), codec, options, pixel_format, said)
                    add(name, Path(folder, name))
        plain = Path(folder, "libx264_yuv420p_601_tv.mp4").read_bytes()
        for number, turn in enumerate(TURNS):
            path = Path(folder, f"turn{number}.mp4")
            path.write_bytes(turned(plain, turn))
            add(f"matrix_{'_'.join(map(str, turn))}.mp4", path)
    OUT.parent.mkdir(exist_ok=True)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
    OUT.write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
