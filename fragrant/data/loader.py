"""The batches of an epoch: which videos, in which order, on which rank."""

import random
import signal
from collections.abc import Iterator
from typing import Protocol

import torch
from torch.utils.data import DataLoader, Sampler

from fragrant.data.clips import Batch, ClipDataset, Skipped, collate
from fragrant.distributed import shard, world_size
from fragrant.errors import RunStopped
from fragrant.plugins import load_plugins
from fragrant.workers import keep_freed_memory


class Batches(Protocol):
    """The batches that an evaluation scores: a ClipLoader, whose attributes these are, or a single video."""

    num_views: int
    skipped: dict[int, str]

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class TrainBatches(Sampler):
    """Shuffled batches of (epoch, id) for one rank.

    The order is a pure function of (seed, epoch); batch number s holds the same videos on any number of ranks, whose
    batches are equally many and equally large. What does not fill a batch is left out, but a short list gives one
    smaller batch.

    Args:
        batch_size: number of videos in a batch of one rank.
    """

    def __init__(self, num_videos: int, *, batch_size: int, seed: int, rank: int = 0, world_size: int = 1):
        self.num_videos = num_videos
        self.batch_size = max(1, min(batch_size, num_videos // world_size))
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.first = 0  # the batch that the next iteration begins with: an interrupted epoch goes on

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return max(1, self.num_videos // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = list(range(self.num_videos))
        random.Random(f"{self.seed}-{self.epoch}").shuffle(order)
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


def _leave_signals_to_the_main_process() -> None:
    """A cluster sends its signal to every process of a job; the main one still needs its workers to finish the step.

    Only the first is ignored: later ones come from the main process, which ends workers that do not answer any more.
    """
    for name in ("SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: signal.signal(number, signal.SIG_DFL))


def _start(worker: int) -> None:
    _leave_signals_to_the_main_process()
    keep_freed_memory()
    load_plugins()  # a forked worker has them already


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

    Attributes:
        skipped: video id -> why it cannot be read, of the last iteration on this rank.

    Raises:
        RunStopped: while iterating, where too many videos had to be replaced, or one could not.
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
    ):
        self.dataset = dataset
        self.share = share or (range(len(dataset)), len(dataset))
        self.batches = batches
        self.class_names = class_names
        self.num_views = num_views
        self.max_bad_fraction = max_bad_fraction
        self.skipped: dict[int, str] = {}
        num_workers = min(num_workers, len(batches))  # more would have nothing to do
        self._loader = DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            worker_init_fn=_start,
            generator=torch.Generator(),  # its own: iterating draws nothing from the generator of the model
        )

    def __len__(self) -> int:
        return len(self.batches)

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Sets the epoch of the next iteration, which decides its order and its random clips. ``first``: the batch it
        begins with."""
        self.batches.epoch = epoch
        self.batches.first = first

    def __iter__(self) -> Iterator[Batch]:
        self.skipped = {}
        for loaded in self._loader:  # workers use one thread each: torch sees to it
            self._note(loaded.skipped)
            # a smaller batch on one rank would let the others wait for ever
            if self.dataset.replace and loaded.incomplete:
                last = loaded.skipped[-1].message
                raise RunStopped(
                    "a training video cannot be read, nor any of its class that were tried in its place; the "
                    f"last: {last}"
                )
            if loaded.batch is not None:
                yield loaded.batch

    def _note(self, skipped: list[Skipped]) -> None:
        self.skipped.update((item.id, item.message) for item in skipped)
        bad, all_videos = len(self.skipped), len(self.dataset) / world_size()
        if self.dataset.replace and bad > self.max_bad_fraction * all_videos:
            raise RunStopped(
                f"{bad} of {all_videos:g} training videos cannot be read, more than DATA.MAX_BAD_FRACTION "
                f"{self.max_bad_fraction:g} allows; the last: {next(reversed(self.skipped.values()))}"
            )
