"""Extracts the features of a list's videos, or takes them from the cache."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fragrant.data.clips import ClipDataset, Unreadable
from fragrant.data.reader_pool import read_in_order
from fragrant.data.video.frames import VideoError
from fragrant.data.video.row_of_frames import CannotRead
from fragrant.features.cache import FeatureCache, FeatureError


class Extractor(NamedTuple):
    """A fixed network and the settings of its input.

    Attributes:
        network: clips (V, C, T, H, W) uint8 -> features (n, D), n rows for the video, or tokens (n, L, D).
        device: the device that the network computes on.
        clips_per_forward: largest number of views of one forward pass.
        num_workers: number of worker processes that read videos.
        drawn: whether frames are drawn at random, by the seed and the place in the list.
    """

    network: nn.Module
    device: torch.device
    clips_per_forward: int
    num_workers: int
    drawn: bool


def extract(
    dataset: ClipDataset, extractor: Extractor, cache: FeatureCache, *, title: str, say: Callable[[str], None]
) -> np.ndarray:
    """Extracts the features of all videos of ``dataset``: (n, D) float32, for each video the mean over its rows.

    Raises:
        VideoError: see ``rows_of``.
    """
    found = rows_of(dataset, extractor, cache, title=title, say=say)
    means = {video_id: mean_of(rows) for video_id, rows, _ in found}
    return np.stack([means[video_id] for video_id in range(len(dataset))])


@torch.inference_mode()
def rows_of(
    dataset: ClipDataset,
    extractor: Extractor,
    cache: FeatureCache,
    *,
    title: str,
    say: Callable[[str], None],
    half: bool = False,
) -> Iterator[tuple[int, np.ndarray, Path]]:
    """Yields the id, the rows (V, ...) and the file of every video: first those that the cache has, then the others.

    Features that the cache lacks are computed, and stored video by video: an interrupted run goes on where it was.

    Args:
        half: rows are float16, otherwise float32.

    Raises:
        VideoError: a video cannot be read; what was computed before stays.
        FeatureError: features that are NaN, infinite, or too large for float16.
    """
    began = time.perf_counter()
    paths, missing = cache_paths(dataset, extractor, cache), []
    for video_id, path in enumerate(paths):
        if (rows := cache.read(path)) is None:
            missing.append(video_id)
        else:
            yield video_id, rows, path
    for video_id, clips in tqdm(
        watched(dataset, missing, extractor), total=len(missing), desc=title, disable=None, leave=False
    ):
        parts = clips.split(extractor.clips_per_forward)  # (V, C, T, H, W) in parts
        found = torch.cat([extractor.network(part.to(extractor.device)) for part in parts]).float()
        rows = (as_half(found, dataset.records[video_id].path) if half else found).cpu().numpy()
        cache.write(paths[video_id], rows, video=dataset.records[video_id].path)
        yield video_id, rows, paths[video_id]
    seconds = time.perf_counter() - began
    say(
        f"{title}: {len(dataset)} videos, {len(dataset) - len(missing)} from the cache, {len(missing)} computed "
        f"in {seconds:.1f} s"
    )


def as_half(rows: Tensor, video: str) -> Tensor:
    """The same in float16.

    Raises:
        FeatureError: a number is NaN, infinite, or too large.
    """
    half = rows.half()
    if not bool(half.isfinite().all()):
        raise FeatureError(
            f"the features of '{video}' are NaN, infinite or above 65504 in magnitude, largest "
            f"{rows.abs().max().item():g}; the weights of the network are at fault"
        )
    return half


def mean_of(rows: np.ndarray) -> np.ndarray:
    """Mean over the rows of a video: (V, D) -> (D,) float32"""
    return rows.mean(0, dtype=np.float64).astype(np.float32)


def cache_paths(dataset: ClipDataset, extractor: Extractor, cache: FeatureCache) -> list:
    """Paths of the feature files of all videos.

    Raises:
        VideoError: a video does not exist.
    """
    paths = []
    for video_id, record in enumerate(dataset.records):
        try:
            paths.append(cache.path(record.path, draw=f"{dataset.seed}-{video_id}" if extractor.drawn else ""))
        except (OSError, CannotRead) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise VideoError(f"'{record.path}': {why} ({dataset.records.where(video_id)})") from error
    return paths


def watched(dataset: ClipDataset, ids: list[int], extractor: Extractor) -> Iterator[tuple[int, Tensor]]:
    """Yields (id, clips (V, C, T, H, W) uint8) of the videos, read ahead by worker processes."""
    keys = [(0, video_id) for video_id in ids]

    def name(key: tuple[int, int]) -> str:
        return dataset.records[key[1]].path

    for item in read_in_order(dataset, keys, num_workers=extractor.num_workers, name=name):
        if isinstance(item, Unreadable):
            raise VideoError(item.message)
        yield item.id, item.clips[list(item.views)].permute(0, 4, 1, 2, 3)
