"""Writes tests/golden/video/edges.json: lossless videos of one small picture of hard edges, and every pixel that the
ffmpeg command shows of each.

``python tests/support/make_edges.py`` needs the ffmpeg command (the numbers there are those of 5.1.9) with libx265; the
tests need the file alone."""

import base64
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "golden/video/edges.json"
FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv410p", "yuv411p", "gbrp"]
FORMATS += ["yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv422p12le", "yuva420p10le"]
SIZES = [(24, 18), (25, 17)]
# Where a color lies among its 2 x 2 pixels. ffmpeg before 7.1 does not look at what the file says: it is told.
SITES = {"left": (0, 128, 0), "center": (128, 128, 1), "topleft": (0, 0, 2)}  # horizontal, vertical (of 256), x265's


def picture(width: int, height: int) -> bytes:
    small = np.random.default_rng(0).integers(0, 256, (-(-height // 5), -(-width // 7), 3), dtype=np.uint8)
    return small.repeat(5, 0).repeat(7, 1)[:height, :width].tobytes()


def case(folder: str, size: tuple[int, int], pixel_format: str, options: list[str], shown_by: list[str]) -> dict:
    path = Path(folder, "a.mkv")
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "{}x{}".format(*size), "-i", "-"]
    made = ["-pix_fmt", pixel_format, *options, "-fflags", "+bitexact", str(path)]
    subprocess.run(["ffmpeg", "-v", "fatal", "-y", *source, *made], input=picture(*size), check=True)
    show = ["ffmpeg", "-v", "fatal", "-i", str(path), *shown_by, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    pixels = subprocess.run(show, capture_output=True, check=True).stdout
    texts = {"file": path.read_bytes(), "shown": pixels}
    return {"size": size, **{key: base64.b64encode(value).decode() for key, value in texts.items()}}


def main() -> None:
    cases = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            for kind in FORMATS:
                cases["{}_{}x{}".format(kind, *size)] = case(folder, size, kind, ["-c:v", "ffv1"], [])
        for site, (across, down, number) in SITES.items():
            lossless = f"log-level=none:info=0:lossless=1:chromaloc={number}"
            told = ["-vf", f"scale=in_h_chr_pos={across}:in_v_chr_pos={down}"]
            options = ["-c:v", "libx265", "-chroma_sample_location", site, "-x265-params", lossless]
            cases[f"yuv420p10le_{site}"] = case(folder, (32, 32), "yuv420p10le", options, told)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in cases.items())
    OUT.write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
