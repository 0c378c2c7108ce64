"""Everything that a checkpoint of a training run holds: its saving, its restoring, its comparison with today's run."""

import torch
from torch import nn

from fragrant.checkpoint import CheckpointError, rng_state, set_rng_state
from fragrant.distributed import gather_objects, rank, world_size
from fragrant.engine.meter import TrainMeter
from fragrant.engine.parallel import cut_like, sharded_optimizer_state, whole_state
from fragrant.engine.resumable import check_fits
from fragrant.engine.start import Start, of_another
from fragrant.engine.validations import Validations
from fragrant.objectives import Objective
from fragrant.optim.step import Stepper


class RunState:
    """State of a training run: everything that changes while it trains, and the facts that a checkpoint records.

    Args:
        num_batches: number of batches of an epoch, on each rank. videos: number of videos of a batch, on all ranks
            together.
        facts: further entries of the checkpoint, which do not change.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        stepper: Stepper,
        *,
        num_batches: int,
        videos: int,
        facts: dict,
    ):
        self.model, self.objective, self.optimizer, self.scaler, self.stepper = (
            model,
            objective,
            optimizer,
            scaler,
            stepper,
        )
        self.num_batches, self.videos, self.facts = num_batches, videos, facts
        self.best: dict = {}
        self.validations: Validations = []
        self.lost = 0  # videos of the last validation with NaN or infinite scores
        self.meter: TrainMeter | None = None  # of the epoch at work

    def to_save(self, finished_epochs: int, done: int) -> dict:
        """The content of a checkpoint; every rank calls it.

        ``best`` and ``validations`` are as they were before this epoch's validation, which resuming repeats.
        """
        averaged = None
        if done:
            assert self.meter is not None  # an epoch is at work
            averaged = self.meter.state_dict()
        share = {"rng": rng_state(), "meter": averaged}
        shares = gather_objects(share)
        return {
            "epoch": finished_epochs - 1,
            "batch": done,
            "batches": [self.num_batches, self.videos],
            "step": finished_epochs * self.num_batches + done,
            **states(self.model, self.objective, self.optimizer),
            "scaler_state": self.scaler.state_dict(),
            "stepper": self.stepper.state_dict(),
            "rng": [share["rng"] for share in shares],
            "meter": [share["meter"] for share in shares],
            "best": self.best,
            "validations": self.validations,
            **self.facts,
        }

    def take_up(self, start: Start) -> None:
        """Restores everything but the model from a checkpoint: nothing may draw random numbers after it."""
        take_up(start, self.objective, self.optimizer, self.scaler, self.stepper)
        self.best, self.validations = start.best, start.validations

    def take_up_meter(self, start: Start) -> None:
        """Restores the averages of an epoch that was interrupted."""
        if averaged := of_this_rank(start.state["meter"]):
            assert self.meter is not None  # the epoch is at work
            self.meter.load_state_dict(averaged)


def states(model: nn.Module, objective: Objective, optimizer: torch.optim.Optimizer) -> dict:
    """Weights and optimiser as one process has them, and what the objective holds besides the model (a mixer, a
    teacher)."""
    of_model = {id(tensor) for tensor in model.state_dict(keep_vars=True).values()}
    further = {name: value for name, value in objective.state_dict(keep_vars=True).items() if id(value) not in of_model}
    return {
        "model_state": whole_state(model.state_dict()),
        "optimizer_state": whole_state(optimizer.state_dict()),
        "objective_state": whole_state({name: value.detach() for name, value in further.items()}),
    }


def take_up(
    start: Start, objective: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, stepper: Stepper
) -> None:
    """Restores everything but the model from a checkpoint: nothing may draw random numbers after it.

    ``objective`` as one process has it. Random numbers come back only on as many ranks as there were.
    """
    state = start.state
    if not state:
        return
    try:
        check_fits(state, objective, optimizer, scaler)
        if "optimizer_state" in state:
            load_optimizer(optimizer, state["optimizer_state"])
        if state["scaler_state"]:  # empty for every format but fp16
            scaler.load_state_dict(state["scaler_state"])
        if state.get("objective_state"):
            now = objective.state_dict()
            further = {name: cut_like(value, now.get(name)) for name, value in state["objective_state"].items()}
            unexpected = objective.load_state_dict(further, strict=False).unexpected_keys
            if unexpected:
                raise KeyError(f"{unexpected[0]} is not part of this objective")
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise of_another(state["path"], error) from error
    if "stepper" in state:
        stepper.load_state_dict(state["stepper"])
    own = of_this_rank(state["rng"])
    if own is not None:
        set_rng_state(own)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Its averages come back; weight decay, betas and the like stay as the config of today has them."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(sharded_optimizer_state(state, optimizer))
    for group, values in zip(optimizer.param_groups, own, strict=True):
        group.update(values)


def of_this_rank(values: list | dict) -> dict | None:
    """This rank's entry of a value that every rank has saved; None when the number of ranks differs. A dict is from a
    single process."""
    values = values if isinstance(values, list) else [values]
    return values[rank()] if len(values) == world_size() else None


def check_same_batches(start: Start, *, num_batches: int, videos: int) -> str:
    """Checks the batches of a resumed run; returns a note for the user where it goes on with other processes or batches
    than it had, "" where all is equal.

    Args:
        num_batches: number of batches of an epoch. videos: number of videos of a batch, on all ranks together.

    Raises:
        CheckpointError: the run stands in the middle of an epoch that now has other batches.
    """
    had = start.state.get("batches", [num_batches, videos])
    if had != [num_batches, videos] and start.batch:
        raise CheckpointError(
            f"{start.state['path']} stands in the middle of an epoch of {had[0]} batches of {had[1]} videos on "
            "all processes together, now "
            f"they are {num_batches} of {videos}; keep TRAIN.BATCH_SIZE x NUM_SHARDS at {had[1]} until the epoch "
            "is done"
        )
    notes = []
    if had != [num_batches, videos]:
        notes.append(f"a batch had {had[1]} videos, now it has {videos}: steps and learning rates are others")
    before = len(start.state["rng"]) if isinstance(start.state.get("rng"), list) else 1
    if start.state and before != world_size():
        notes.append(
            f"{before} processes before, {world_size()} now: the result is as good, but not the same bit for bit"
        )
    return "; ".join(notes)
