"""Saving of checkpoints in training: after epochs, between steps, and before the run has to stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from fragrant.checkpoint import (
    ONLY_FOR_RESUMING,
    CheckpointError,
    best_path,
    checkpoint_path,
    drop_old_batches,
    drop_old_epochs,
    drop_unranked,
    ranked_path,
    save_best,
    save_checkpoint,
    save_weights,
)
from fragrant.distributed import any_rank, is_main
from fragrant.distributed.signals import Interrupted, StopRequest
from fragrant.engine.validations import Validations, kept_epochs
from fragrant.errors import RunStopped
from fragrant.logs import RunLog

# (finished epochs, batches done in the next) -> all that a resumed run needs; every rank calls it
StateOf = Callable[[int, int], dict]


class Saver:
    """Writes the run's checkpoints. A disk that is full does not end the run: what stands there stays, and every
    failure is said.

    Args:
        every_steps: save also every so many optimiser steps, counted from the start of the training; 0 = not.
        accum_steps: batches per optimiser step.
        num_batches: number of batches of an epoch.
        keep_last: checkpoints of whole epochs that are kept; 0 = all. An older one goes when the next is on disk.
        keep_best: best epochs whose weights are kept beside best.pyth. Those that are no longer among them go with the
            next checkpoint: a run that goes on from the one before may find other epochs.
        spared: files that are not deleted.
    """

    def __init__(
        self,
        output_dir: str,
        *,
        log: RunLog,
        stop: StopRequest,
        state_of: StateOf,
        every_steps: int,
        accum_steps: int,
        num_batches: int,
        keep_last: int = 0,
        keep_best: int = 0,
        spared: frozenset[Path] = frozenset(),
    ):
        self.output_dir, self.log, self.stop, self.state_of = output_dir, log, stop, state_of
        self.every_steps, self.accum_steps, self.num_batches = every_steps, accum_steps, num_batches
        self.num_last, self.num_best, self.spared = keep_last, keep_best, spared
        self._unsaved_end: int | None = None  # epochs of the run, where their checkpoint could not be written
        self._late_best: Any = None  # what best.pyth should hold, on the main process

    def _is_due(self, epoch: int, done: int) -> bool:
        """Whether a save falls on the optimiser step that ends with batch ``done`` of ``epoch``."""
        steps = epoch * -(-self.num_batches // self.accum_steps) + -(-done // self.accum_steps)
        return bool(self.every_steps) and steps % self.every_steps == 0

    def between_steps(self, epoch: int, done: int) -> None:
        """Saves after batch ``done`` of ``epoch`` when it is time, and stops the run when it was asked to end.

        Raises:
            Interrupted: stopped, and saved.
            RunStopped: asked to end, but it could not be saved.
        """
        # the epoch has a checkpoint of its own; gradients are not saved
        if done == self.num_batches or done % self.accum_steps:
            return
        heard = self.stop.agreed()
        if heard or self._is_due(epoch, done):
            saved = self._save(epoch, done)
            self._end_if_asked(heard, saved, f"after batch {done} of {self.num_batches} of epoch {epoch + 1}")

    def after_epoch(self, epoch: int, *, due: bool, last: bool) -> None:
        """After the last batch of ``epoch``; ``due``: a checkpoint is wanted; ``last``: it is that of the run.

        Raises:
            Interrupted, RunStopped: as ``between_steps``.
        """
        heard = self.stop.agreed()
        if heard or due or self._is_due(epoch, self.num_batches):
            saved = self._save(epoch + 1, 0)
            self._unsaved_end = epoch + 1 if last and not saved else None
            self._end_if_asked(heard, saved, f"after epoch {epoch + 1}")

    def in_validation(self, epoch: int) -> None:
        """Saves the finished ``epoch`` and stops, when a signal came during its validation; resuming repeats the
        validation."""
        self._end_if_asked(self.stop.agreed(), self._save(epoch + 1, 0), f"in the validation of epoch {epoch + 1}")

    def keep_best(self, finished_epochs: int, best: dict) -> None:
        """Writes best.pyth; where that fails, a copy of the weights waits in memory until there is room."""
        state = {**self.state_of(finished_epochs, 0), "best": best}
        self._late_best = None
        if not self._try(lambda: save_best(self.output_dir, state)) and is_main():
            kept = {key: value for key, value in state.items() if key not in ONLY_FOR_RESUMING}
            self._late_best = copied(kept)

    def keep_epoch(self, finished_epochs: int, own: dict, validations: Validations) -> None:
        """Writes the weights of an epoch that is among the best to keep; ``own``: its numbers."""
        if finished_epochs in kept_epochs(validations, self.num_best):
            state = {**self.state_of(finished_epochs, 0), "best": own}
            self._try(lambda: save_weights(ranked_path(self.output_dir, finished_epochs), state))

    def finish(self, finished_epochs: int, validations: Validations) -> None:
        """After the last validation: tries once more what could not be written, and deletes what need not be kept, also
        where a kill came before that.

        Raises:
            RunStopped: the last checkpoint, or the best one, is not on disk.
        """
        if self._unsaved_end is not None and self._save(self._unsaved_end, 0, quiet=True):
            self._unsaved_end = None
        if self._unsaved_end is not None:
            raise RunStopped(
                "the end of the training could not be saved, see the warning above; the same command repeats what is "
                "missing"
            )
        if self._best_is_missing():
            raise RunStopped(
                "best.pyth, the weights of the best epoch, could not be written, see the warning above; the newest "
                "checkpoint is there: with TEST.TEST_BEST False it can be tested"
            )

        def drop() -> None:
            drop_old_epochs(checkpoint_path(self.output_dir, finished_epochs), self.num_last, self.spared)
            self._drop_unranked(validations)

        self._try(drop)

    def _drop_unranked(self, validations: Validations) -> None:
        if self.num_best:
            drop_unranked(self.output_dir, kept_epochs(validations, self.num_best), self.spared)

    def _best_is_missing(self) -> bool:
        """On any rank, all of which ask, after a last try."""
        self._write_late_best()
        return any_rank(self._late_best is not None)

    def _write_late_best(self) -> None:
        if self._late_best is not None and not self._failure(lambda: save_best(self.output_dir, self._late_best or {})):
            self._late_best = None
            self.log.say(f"{best_path(self.output_dir)} is written now")

    def _save(self, finished_epochs: int, done: int, *, quiet: bool = False) -> bool:
        state = self.state_of(finished_epochs, done)
        path = checkpoint_path(self.output_dir, finished_epochs, done)

        def write() -> None:
            save_checkpoint(path, state)
            drop_old_batches(self.output_dir)
            drop_old_epochs(path, self.num_last, self.spared)
            self._drop_unranked(state["validations"])

        self._write_late_best()  # first: what the checkpoint says of the best epoch is then true
        return self._try(write, quiet=quiet)

    def _try(self, write: Callable[[], object], *, quiet: bool = False) -> bool:
        """Writes a file on rank 0; returns on all ranks whether it was written."""
        why = self._failure(write) if is_main() else ""
        if why and not quiet:
            self.log.warn(f"NOT SAVED: {why}")
        return not any_rank(bool(why))

    @staticmethod
    def _failure(write: Callable[[], object]) -> str:
        try:
            write()
        except (CheckpointError, OSError) as error:
            return str(error)
        return ""

    def _end_if_asked(self, heard: str, saved: bool, where: str) -> None:
        if not heard:
            return
        if not saved:
            raise RunStopped(f"stopped by {heard} {where}, and it could not be saved, see the warning above")
        if self._best_is_missing():
            raise RunStopped(f"stopped by {heard} {where}, saved, but best.pyth could not be written")
        raise Interrupted(f"Stopped by {heard} {where}, saved", heard, saved=True)


def copied(value: Any) -> Any:
    """A copy of a state on the CPU, whatever happens to the tensors in it."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple) else value
