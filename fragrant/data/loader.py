"""The batches of an epoch: which videos, in which order, on which rank."""

import contextlib
import queue
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch.utils.data import Sampler

from fragrant.data.clips import Batch, ClipDataset, FrameBatch, Loaded, Skipped, collate
from fragrant.data.reader_pool import DEFAULT_TIMEOUT, ReaderPool
from fragrant.distributed import shard, world_size
from fragrant.errors import RunStopped


class Batches(Protocol):
    """The batches that an evaluation scores: a ClipLoader, whose attributes these are, or a single video."""

    num_views: int
    skipped: dict[int, str]

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch | FrameBatch]: ...


class TrainBatches(Sampler):
    """Shuffled batches of (epoch, id) for one rank.

    The order is a pure function of (seed, epoch); batch number s holds the same videos on any number of ranks, whose
    batches are equally many and equally large. What does not fill a batch is left out, but a short list gives one
    smaller batch.

    Args:
        batch_size: number of videos in a batch of one rank.
        draw: generator -> the videos of an epoch in their order, ``num_videos`` of them; None = each once.
    """

    def __init__(
        self,
        num_videos: int,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        draw: Callable[[random.Random], list[int]] | None = None,
    ):
        self.num_videos = num_videos
        self.draw = draw or self._shuffled
        self.batch_size = max(1, min(batch_size, num_videos // world_size))
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.first = 0  # the batch that the next iteration begins with: an interrupted epoch goes on

    def _shuffled(self, rng: random.Random) -> list[int]:
        order = list(range(self.num_videos))
        rng.shuffle(order)
        return order

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return max(1, self.num_videos // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = self.draw(random.Random(f"{self.seed}-{self.epoch}"))
        for step in range(self.first, len(self)):
            first = (step * self.world_size + self.rank) * self.batch_size
            yield [(self.epoch, order[at % self.num_videos]) for at in range(first, first + self.batch_size)]


class EvaluationBatches(Sampler):
    """Batches of an evaluation: every video exactly once over all ranks, in the order of the list."""

    def __init__(self, num_videos: int, *, batch_size: int, rank: int = 0, world_size: int = 1):
        self.share = shard(num_videos, rank, world_size)
        self.batch_size = batch_size
        self.epoch = self.first = 0  # as TrainBatches has them; every iteration is the same

    def __len__(self) -> int:
        return -(-len(self.share) // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for first in range(0, len(self.share), self.batch_size):
            yield [(0, video_id) for video_id in self.share[first : first + self.batch_size]]  # the same in every epoch


class _Failed(NamedTuple):
    """An error on its way from one thread to another."""

    error: BaseException


def pinned(batches: Callable[[Callable[[], bool]], Iterator[Loaded]]) -> Iterator[Loaded]:
    """The batches in page-locked memory, copied there in a thread, one ahead.

    Args:
        batches: (is nobody waiting any more?) -> the batches.
    """
    ready: queue.Queue = queue.Queue(1)
    left = threading.Event()
    device = torch.cuda.current_device()

    def hand_over(item: Loaded | _Failed | None) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put(item, timeout=0.5)

    def work() -> None:
        try:
            torch.cuda.set_device(device)
            for loaded in batches(left.is_set):
                hand_over(loaded.pin())
                if left.is_set():
                    return
            hand_over(None)
        except BaseException as error:
            hand_over(_Failed(error))

    thread = threading.Thread(target=work, daemon=True, name="pinning")
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        left.set()
        thread.join(10)


def _name_of(dataset: ClipDataset, key: tuple[int, int]) -> str:
    return f"video '{dataset.records[key[1]].path}'"


class ClipLoader:
    """Batches of clips, read ahead by worker processes.

    Videos that cannot be read are left out or, where the dataset replaces them, replaced by others of their class.

    Args:
        num_workers: reading processes, 0 = read in this one; the batches are the same.
        pin_memory: page-locked batches, for a GPU.
        class_names: name of each label, for those who report.
        num_views: views of every video.
        share: which videos of the list these are, and how many the list has; None = all.
        max_bad_fraction: share of this rank's videos that may be replaced in one iteration.
        timeout: see ``ReaderPool``.

    Attributes:
        skipped: video id -> why it cannot be read, of the last iteration on this rank.

    Raises:
        RunStopped: while iterating, where too many videos had to be replaced, or one could not; or a reading process
            was killed or gives no sign.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        batches: TrainBatches | EvaluationBatches,
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
        class_names: list[str] | None = None,
        num_views: int = 1,
        share: tuple[range, int] | None = None,
        max_bad_fraction: float = 1.0,
        timeout: float = DEFAULT_TIMEOUT,
    ):
        self.dataset = dataset
        self.share = share or (range(len(dataset)), len(dataset))
        self.batches = batches
        self.class_names = class_names
        self.num_views = num_views
        self.max_bad_fraction = max_bad_fraction
        self.skipped: dict[int, str] = {}
        self.pin_memory = pin_memory
        self.num_workers = min(num_workers, len(batches))  # more would have nothing to do
        self._pool = None
        if self.num_workers:
            named = partial(_name_of, dataset)
            self._pool = ReaderPool(dataset, collate, num_workers=self.num_workers, timeout=timeout, name=named)

    def __len__(self) -> int:
        return len(self.batches)

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Sets the epoch of the next iteration, which decides its order and its random clips. ``first``: the batch it
        begins with."""
        self.batches.epoch = epoch
        self.batches.first = first

    def _read(self, abandoned: Callable[[], bool] = lambda: False) -> Iterator[Loaded]:
        if self._pool is not None:
            return self._pool.batches(self.batches, abandoned)
        return (collate([self.dataset[key] for key in keys]) for keys in self.batches)

    def _loaded(self) -> Iterator[Loaded]:
        if not self.pin_memory:
            return self._read()
        if self._pool is None:
            return map(Loaded.pin, self._read())
        self._pool.start()  # here, not in a thread
        return pinned(self._read)

    def __iter__(self) -> Iterator[Batch | FrameBatch]:
        self.skipped = {}
        for loaded in self._loaded():
            self._note(loaded.skipped)
            # a smaller batch on one rank would let the others wait for ever
            if self.dataset.replace and loaded.incomplete:
                last = loaded.skipped[-1].message
                raise RunStopped(
                    "a training video cannot be read, nor any of its class that were tried in its place; the "
                    f"last: {last}"
                )
            if isinstance(loaded.batch, FrameBatch):
                yield replace(loaded.batch, transform=self.dataset.transform)
            elif loaded.batch is not None:
                yield loaded.batch

    def _note(self, skipped: list[Skipped]) -> None:
        self.skipped.update((item.id, item.message) for item in skipped)
        bad, all_videos = len(self.skipped), len(self.dataset) / world_size()
        if self.dataset.replace and bad > self.max_bad_fraction * all_videos:
            raise RunStopped(
                f"{bad} of {all_videos:g} training videos cannot be read, more than DATA.MAX_BAD_FRACTION "
                f"{self.max_bad_fraction:g} allows; the last: {next(reversed(self.skipped.values()))}"
            )
