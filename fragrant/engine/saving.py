"""Saving of checkpoints in training: after epochs, between steps, and before the run has to stop."""

from collections.abc import Callable

from fragrant.checkpoint import CheckpointError, checkpoint_path, drop_old_batches, save_best, save_checkpoint
from fragrant.distributed import any_rank, is_main
from fragrant.distributed.signals import Interrupted, StopRequest
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
    ):
        self.output_dir, self.log, self.stop, self.state_of = output_dir, log, stop, state_of
        self.every_steps, self.accum_steps, self.num_batches = every_steps, accum_steps, num_batches

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
        """Saves after the last batch of ``epoch`` where it is ``due``, and stops the run when it was asked to end.

        Raises:
            Interrupted, RunStopped: as ``between_steps``; RunStopped also when the last checkpoint of the run could not
                be saved.
        """
        heard = self.stop.agreed()
        if heard or due or self._is_due(epoch, self.num_batches):
            saved = self._save(epoch + 1, 0)
            self._end_if_asked(heard, saved, f"after epoch {epoch + 1}")
            if last and not saved:
                raise RunStopped(
                    "the end of the training could not be saved, see the warning above; the same command repeats "
                    "what is missing"
                )

    def in_validation(self, epoch: int) -> None:
        """Saves the finished ``epoch`` and stops, when a signal came during its validation; resuming repeats the
        validation."""
        self._end_if_asked(self.stop.agreed(), self._save(epoch + 1, 0), f"in the validation of epoch {epoch + 1}")

    def keep_best(self, finished_epochs: int, best: dict) -> None:
        state = {**self.state_of(finished_epochs, 0), "best": best}
        self._try(lambda: save_best(self.output_dir, state))

    def _save(self, finished_epochs: int, done: int) -> bool:
        state = self.state_of(finished_epochs, done)
        path = checkpoint_path(self.output_dir, finished_epochs, done)

        def write() -> None:
            save_checkpoint(path, state)
            drop_old_batches(self.output_dir)

        return self._try(write)

    def _try(self, write: Callable[[], object]) -> bool:
        """Writes a file on rank 0; returns on all ranks whether it was written."""
        failed = False
        if is_main():
            try:
                write()
            except CheckpointError as error:
                failed = True
                self.log.warn(f"NOT SAVED: {error}")
        return not any_rank(failed)

    def _end_if_asked(self, heard: str, saved: bool, where: str) -> None:
        if not heard:
            return
        if not saved:
            raise RunStopped(f"stopped by {heard} {where}, and it could not be saved, see the warning above")
        raise Interrupted(f"Stopped by {heard} {where}, saved; the same command goes on from there")
