"""Times live prediction on a stream that is made here: frames per second, time to the answer, memory over the run."""

import argparse
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fragrant.benchmarks.timing import machine
from fragrant.data import VideoError
from fragrant.data.video.row_of_frames import Limits
from fragrant.errors import UserError
from fragrant.files import expanded
from fragrant.inference.build import load_predictor
from fragrant.inference.predictor import Predictor
from fragrant.live.command import spare_a_core
from fragrant.live.frame_queue import FrameQueue
from fragrant.live.loop import LiveLoop, Settings, Summary
from fragrant.live.messages import Listener, LiveFrame
from fragrant.live.pictures import Pictures
from fragrant.live.reader import Reader
from fragrant.live.source import Opened, open_source
from fragrant.plugins import add_import_argument, load_plugins

HEIGHT, WIDTH = 240, 320
LOOP_SECONDS = 10  # of the clip that is sent again and again
PATIENCE = 30.0  # seconds until the stream is there
QUEUE = 32


def make_clip(path: Path, rate: int) -> Path:
    """A dark, noisy video with something that moves, as MPEG-TS."""
    rng = np.random.RandomState(0)
    ground = rng.randint(4, 40, (HEIGHT // 16, WIDTH // 16)).repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w", format="mpegts") as container:
        options = {"preset": "veryfast", "tune": "zerolatency", "g": str(rate)}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number in range(LOOP_SECONDS * rate):
            picture = ground + rng.normal(0, 4, ground.shape)
            left = int((0.5 + 0.45 * np.sin(2 * np.pi * number / rate / 4)) * (WIDTH - 40))
            picture[80:200, left : left + 40] += 25
            pixels = picture.clip(0, 255).astype(np.uint8)[..., None].repeat(3, -1)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@contextmanager
def sent(clip: Path) -> Iterator[str]:
    """A server of FFmpeg's that sends a clip over and over, at its own speed, to one who asks. Yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/live"
    words = ["ffmpeg", "-nostdin", "-loglevel", "quiet", "-re", "-stream_loop", "-1", "-i", str(clip)]
    server = subprocess.Popen([*words, "-c", "copy", "-f", "mpegts", "-listen", "1", address])
    try:
        yield address
    finally:
        server.kill()
        server.wait()


def _opened(address: str, limits: Limits) -> Opened:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return open_source(address, limits=limits)
        except VideoError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def resident() -> float:
    """Memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


class _Memory(Listener):
    """Resident memory once a second: (seconds since the first frame, MB)."""

    def __init__(self):
        self.samples: list[tuple[float, float]] = []

    def frame(self, frame: LiveFrame) -> None:
        if not self.samples or frame.time >= self.samples[-1][0] + 1:
            self.samples.append((frame.time, resident()))

    def at(self, share: float) -> float:
        """Around this share of the run: the median of its tenth."""
        count = len(self.samples)
        width = max(1, count // 10)
        first = min(int(share * (count - width)), count - width) if count > width else 0
        part = sorted(memory for _, memory in self.samples[first : first + width])
        return part[len(part) // 2] if part else float("nan")


def _run(predictor: Predictor, opened: Opened, settings: Settings, listeners: list[Listener]) -> Summary:
    queue = FrameQueue(QUEUE, lossless=opened.finite)
    loop = LiveLoop(predictor, queue, settings, listeners)
    reader = Reader(opened, queue, reopen=lambda: opened, tries=1)
    reader.start()
    try:
        return loop.run()
    finally:
        reader.stop()
        reader.join(5)


def live_command(words: list[str]) -> str:
    """Runs the command line and returns a table.

    Raises:
        UserError: no ffmpeg, or an argument is wrong.
    """
    parser = argparse.ArgumentParser(prog="benchmark.py live", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=1.0, metavar="M", help="length of the stream; default 1")
    add("--rate", type=int, default=60, metavar="N", help="frames per second of the stream; default 60")
    add("--step", type=float, default=0.25, metavar="SECONDS", help="from window to window; default 0.25")
    add("--checkpoint", default="zoo:dark6-xs", metavar="FILE", help="default: the model dark6-xs of the box")
    add("--device", default="cpu", metavar="NAME", help="default cpu")
    add("--annotate", action="store_true", help="with an annotated MP4, which is thrown away")
    add("--debug", action="store_true", help="show the traceback of an error")
    add_import_argument(parser)
    arguments = parser.parse_args(words)
    load_plugins(arguments.plugins)
    if not 0 < arguments.minutes < float("inf") or not 1 <= arguments.rate <= 1000:
        raise UserError(f"--minutes {arguments.minutes:g} and --rate {arguments.rate}: above 0, and from 1 to 1000")
    if shutil.which("ffmpeg") is None:
        raise UserError("benchmark live needs the ffmpeg command, which sends the stream: apt-get install ffmpeg")
    predictor = load_predictor(expanded(arguments.checkpoint), device=arguments.device)
    spare_a_core(predictor.device)
    with tempfile.TemporaryDirectory() as folder:
        return _measured(arguments, predictor, Path(folder))


def _measured(arguments, predictor: Predictor, folder: Path) -> str:
    clip = make_clip(folder / "clip.ts", arguments.rate)
    settings = Settings(step=arguments.step, most_seconds=60 * arguments.minutes)
    file = _run(predictor, open_source(str(clip), limits=predictor.source.limits), settings, [])
    memory = _Memory()
    listeners: list[Listener] = [memory]
    pictures = None
    if arguments.annotate:
        pictures = Pictures(record=folder / "out.mp4", lossless=False, source="stream")
        listeners.append(pictures)
    with sent(clip) as address:
        opened, spent = _opened(address, predictor.source.limits), time.process_time()
        live = _run(predictor, opened, settings, listeners)
        spent = time.process_time() - spent
    if pictures:
        pictures.close()
    if not live.windows:
        raise UserError("benchmark live: no window was answered; a longer --minutes")
    where = machine(predictor.device)
    lines = [
        f"{where}; {WIDTH}x{HEIGHT}, {type(predictor.model).__name__}, a window every {arguments.step:g} s"
        + (", annotated" if pictures else ""),
        f"file, as fast as it goes   {file.frames / file.seconds:8.1f} frames/s   "
        f"{file.windows / file.seconds:6.1f} windows/s",
        f"stream of {arguments.rate} frames/s     {live.frames / live.seconds:8.1f} frames/s   "
        f"{live.windows / live.seconds:6.1f} windows/s   {live.dropped} frames dropped, {live.skipped} windows skipped",
        f"from frame to answer       {1e3 * live.latency(0.5):8.1f} ms median   "
        f"{1e3 * live.latency(0.95):6.1f} ms 95 %",
        f"processor                  {100 * spent / live.seconds:8.0f} % of a core",
        f"resident memory            {memory.at(0):8.1f} MB start   {memory.at(0.5):6.1f} MB middle   "
        f"{memory.at(1):6.1f} MB end   ({live.seconds / 60:.1f} min)",
    ]
    return "\n".join(lines)
