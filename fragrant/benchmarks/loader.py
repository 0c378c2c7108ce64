"""Benchmark of making a training or test item on one core, next to only reading its frames, in the same run."""

import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from torch import Tensor

from fragrant.data.clips import ClipDataset, Unreadable, VideoClips, VideoFrames, collate
from fragrant.data.loader import ClipLoader, EvaluationBatches
from fragrant.data.video.frames import VideoFile, open_frames
from fragrant.data.video.packets import Doubtful, list_packets
from fragrant.data.video.places import Place, place_of
from fragrant.data.video.readers import CannotRead, Source

GOPS = (1, 12, 250)
SIZES = ((240, 320), (360, 480))  # height, width
SECONDS, FPS = 10, 30
BATCH, VIDEOS_PER_WORKER = 2, 16  # videos, where the whole loader is timed
STAGES = ("open", "decode", "convert", "augment", "collate")


class Work(NamedTuple):
    """A kind of item to measure; ``dataset_of(paths)`` makes the ClipDataset that has one such item per file."""

    name: str
    dataset_of: Callable[[Sequence[str]], ClipDataset]


# ---------------------------------------------------------------------------------------------------------------- files
def generated_files(folder: Path) -> dict[str, list[str]]:
    """Writes H.264 clips of 10 s in two sizes, with a key frame every 1, 12 and 250 frames; x264's defaults
    otherwise."""
    files = {}
    for height, width in SIZES:
        for gop in GOPS:
            path = folder / f"{width}x{height}_gop{gop}.mp4"
            _encode(path, height, width, gop)
            files[f"{width}x{height}, GOP {gop}"] = [str(path)]
    return files


def _encode(path: Path, height: int, width: int, gop: int) -> None:
    """Encodes a generated video: a soft texture that drifts, a figure that moves in front of it, sensor noise."""
    rng = np.random.RandomState(0)
    coarse = rng.randint(0, 256, (height // 16, width // 16, 3)).astype(np.float32)
    texture = coarse.repeat(32, 0).repeat(32, 1)
    for axis in (0, 1):
        texture = np.asarray(sum(np.roll(texture, shift, axis) for shift in range(-12, 13)) / 25)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": str(gop)})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for t in range(SECONDS * FPS):
            picture = np.roll(texture, (t // 2, t), (0, 1))[:height, :width].copy()
            top, left = (round(height * (0.3 + 0.2 * np.sin(t / 9))), round(width * (0.4 + 0.3 * np.cos(t / 13))))
            picture[top : top + height // 3, left : left + width // 8] = 220
            picture += rng.normal(0, 4, (height, width, 1))
            frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = t, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# --------------------------------------------------------------------------------------------------------------- stages
class _Clock:
    """Clock of CPU seconds by stage; decoder threads count as well."""

    def __init__(self):
        self.seconds = Counter()

    @contextmanager
    def count(self, stage: str) -> Iterator[None]:
        begin = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - begin


class _TimedFile(VideoFile):
    def __init__(self, path: str, clock: _Clock):
        self._clock = clock
        with clock.count("open"):
            super().__init__(path)

    def _load(self, numbers: list[int]) -> Tensor:
        before = self._clock.seconds["convert"]
        with self._clock.count("decode"):
            pixels = super()._load(numbers)
        self._clock.seconds["decode"] -= self._clock.seconds["convert"] - before
        return pixels

    def _upright(self, frame):
        with self._clock.count("convert"):
            return super()._upright(frame)


def _stages(dataset: ClipDataset, epoch: int) -> Counter:
    """CPU seconds of each stage, for one item per file; "augment" is everything that happens to the frames once they
    are read."""
    clock, plain = _Clock(), dataset.open_frames
    dataset.open_frames = lambda path: _TimedFile(path, clock)
    try:
        for video_id in range(len(dataset)):
            with clock.count("item"):
                item = _item(dataset, epoch, video_id)
            with clock.count("collate"):
                collate([item])
    finally:
        dataset.open_frames = plain
    seconds = clock.seconds
    seconds["augment"] = seconds.pop("item") - seconds["open"] - seconds["decode"] - seconds["convert"]
    return seconds


# ------------------------------------------------------------------------------------------------------------- readings
def _needed(dataset: ClipDataset, epoch: int) -> list[list[int]]:
    """The frame numbers of every item of this epoch, as the dataset draws them."""
    needed = []
    for video_id in range(len(dataset)):
        with open_frames(dataset.records[video_id].path) as frames:
            views = dataset.plan(len(frames), random.Random(f"{dataset.seed}-{epoch}-{video_id}"), fps=frames.fps)
        needed.append(sorted({number for view in views for number in view.frames}))
    return needed


def _item(dataset: ClipDataset, epoch: int, video_id: int) -> VideoClips | VideoFrames:
    item = dataset[(epoch, video_id)]
    assert not isinstance(item, Unreadable), "an unreadable file"
    return item


def _make(dataset: ClipDataset, epoch: int) -> None:
    """Makes a batch of each video, dropped before the next is made, as a worker process does."""
    for video_id in range(len(dataset)):
        collate([_item(dataset, epoch, video_id)])


def _read(path: str, numbers: list[int]) -> None:
    """Reads exactly the frames that are needed and nothing else: the floor."""
    with open_frames(path) as frames:
        frames.read(numbers)


def _each(function: Callable[..., None], arguments: Sequence[tuple]) -> None:
    for own in arguments:
        function(*own)


def _place(path: str) -> Place:
    place = place_of(path)
    if not isinstance(place, Place):
        raise CannotRead("it is no video file")
    return place


def _times(path: str) -> np.ndarray | None:
    """Time stamps of all frames; None where the packets do not tell them."""
    try:
        source = Source(_place(path), quick=True, multi_thread=False)
        table = list_packets(source.container, source.stream)
    except (CannotRead, Doubtful, av.FFmpegError):
        return None
    source.close()
    return table.pts[table.shown]


def _plain_seek(path: str, times: np.ndarray, numbers: list[int]) -> None:
    """Reads frames as most loaders do: seek to the key frame before the first frame, decode all up to the last, convert
    those that are needed."""
    source, wanted = Source(_place(path), quick=False, multi_thread=False), {int(times[number]) for number in numbers}
    source.container.seek(min(wanted), stream=source.stream)
    pixels = []
    for frame in source.container.decode(source.stream):
        if frame.pts in wanted:
            pixels.append(frame.to_ndarray(format="rgb24"))
        if len(pixels) == len(wanted):
            break
    np.stack(pixels)
    source.close()


# -------------------------------------------------------------------------------------------------------------- measure
def _cpu(function: Callable[[], object]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


def loader_speed(work: Work, paths: Sequence[str], *, workers: int) -> float:
    """Clips per second of the whole loader in wall-clock time, once its worker processes run; the better of two
    passes."""
    num_videos = VIDEOS_PER_WORKER * max(1, workers)
    dataset = work.dataset_of(list(itertools.islice(itertools.cycle(paths), num_videos)))
    loader = ClipLoader(dataset, EvaluationBatches(num_videos, batch_size=BATCH), num_workers=workers)
    seconds = []
    for _ in range(3):  # the first is a warm-up
        begin = time.perf_counter()
        clips = sum(len(batch.ids) * loader.num_views for batch in loader)
        seconds.append(time.perf_counter() - begin)
    return clips / min(seconds[1:])


def measure_kind(paths: Sequence[str], works: Sequence[Work], *, rounds: int, workers: int) -> list[dict]:
    """Measures CPU seconds per item for one kind of file, as medians of rounds in which the variants take turns; every
    round draws other frames."""
    datasets = [work.dataset_of(paths) for work in works]
    times = {path: _times(path) for path in paths}
    rows: list[dict[str, Any]] = [
        {"name": work.name, "item": [], "floor": [], "plain": [], "stages": Counter()} for work in works
    ]
    for epoch in range(rounds + 1):  # the first is a warm-up
        for row, dataset in zip(rows, datasets, strict=True):
            needed = _needed(dataset, epoch)
            item = _cpu(partial(_make, dataset, epoch))
            todo = list(zip(paths, needed, strict=True))
            floor = _cpu(partial(_each, _read, todo))
            with_times = [(path, stamps, numbers) for path, numbers in todo if (stamps := times[path]) is not None]
            plain = _cpu(partial(_each, _plain_seek, with_times))
            stages = _stages(dataset, epoch)
            if epoch:
                row["item"].append(item / len(paths))
                row["floor"].append(floor / len(paths))
                row["plain"].append(plain / len(paths) if len(with_times) == len(paths) else float("nan"))
                row["stages"].update(stages)
            row["views"] = len(_item(dataset, epoch, 0).views)
    for row, work in zip(rows, works, strict=True):
        row["clips/s"] = loader_speed(work, paths, workers=workers)
    return rows


def benchmark_loader(files: Mapping[str, Sequence[str]], works: Sequence[Work], *, rounds: int, workers: int) -> str:
    """Table with a row for every kind of item of every kind of file.

    item: CPU time of one video with all its views; floor: CPU time of reading the frames that it needs; plain: CPU time
    of reading them with plain seeking. Ratios are medians of the ratios of each round. clips/s: speed of the whole
    loader with ``workers`` processes."""
    numbers = ("ms/item", "floor ms", "item/floor", "clip/floor", "plain/floor", "clips/s", "per core")
    lines = [_row("files", "item", *numbers, *STAGES)]
    for name, paths in files.items():
        for row in measure_kind(paths, works, rounds=rounds, workers=workers):
            lines.append(_line(name, row, cores=max(1, workers)))
            name = ""
    return "\n".join(lines)


def _line(name: str, row: dict, *, cores: int) -> str:
    def ratio(part: str) -> float:
        return statistics.median(a / b for a, b in zip(row[part], row["floor"], strict=True))

    item, total = statistics.median(row["item"]), sum(row["stages"].values())
    shares = (f"{row['stages'][stage] / total:.0%}" for stage in STAGES)
    numbers = (f"{1e3 * item:.1f}", f"{1e3 * statistics.median(row['floor']):.1f}", f"{ratio('item'):.2f}x")
    more = (
        f"{ratio('item') / row['views']:.2f}x",
        f"{ratio('plain'):.2f}x",
        f"{row['clips/s']:.1f}",
        f"{row['clips/s'] / cores:.1f}",
    )
    return _row(name, row["name"], *numbers, *more, *shares)


def _row(name: str, item: str, *cells: str) -> str:
    return f"{name:<20}{item:<34}" + "".join(f"{cell:>12}" for cell in cells)
