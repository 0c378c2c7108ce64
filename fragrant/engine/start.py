"""Where the weights of a run come from: resumed, continued, fine-tuned, pretrained or fresh."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from fragrant.checkpoint import CheckpointError, best_path, find_latest, load_checkpoint, load_latest, set_rng_state
from fragrant.distributed import from_main, rank, world_size
from fragrant.engine.parallel import cut_like, sharded_optimizer_state
from fragrant.engine.step import Stepper
from fragrant.models.weights import LoadReport, load_weights


class Start(NamedTuple):
    """What training begins with."""

    message: str  # says where the weights come from
    epoch: int = 0  # 0-based
    batch: int = 0  # of that epoch: more than 0 where it was interrupted
    state: dict = {}  # the checkpoint that is taken up again; empty for a new run

    @property
    def best(self) -> dict:
        """The best validation so far."""
        return dict(self.state.get("best", {}))


class Sources(NamedTuple):
    """The files that a training run may start from, as the config names them."""

    output_dir: str
    auto_resume: bool  # TRAIN.AUTO_RESUME
    checkpoint: str  # TRAIN.CHECKPOINT_FILE_PATH
    epoch_reset: bool  # TRAIN.CHECKPOINT_EPOCH_RESET
    clear_patterns: tuple[str, ...]  # TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN
    inflation: str | None  # TRAIN.CHECKPOINT_INFLATE: image filters of ``checkpoint`` are spread over time, or not taken
    pretrained: str  # image or video weights of the published model


def load_start(model: nn.Module, sources: Sources, *, max_epoch: int) -> Start:
    """Fills the model, before anything else is built on it; ``take_up`` brings the rest back.

    The first of these that applies: a checkpoint in the output folder (resume), ``checkpoint`` with its epoch and optimiser
    (continue) or without (fine-tune), ``pretrained``, nothing.

    Raises:
        CheckpointError, WeightsError: the file is missing, damaged, fits too little, or has nothing left to train.
    """
    latest = from_main(lambda: load_latest(sources.output_dir)) if sources.auto_resume else None
    if latest:
        path, state = latest
        ignored = f"; TRAIN.CHECKPOINT_FILE_PATH {sources.checkpoint} is not used" if sources.checkpoint else ""
        start = _taken_up(model, state, path)
        within = f" and {start.batch} batches of the next" if start.batch else ""
        return start._replace(message=f"Resuming {path}: {start.epoch} of {max_epoch} epochs{within} are done{ignored}")
    if sources.checkpoint:
        return _from_file(model, sources, max_epoch)
    if sources.pretrained:
        report = load_weights(model, _existing(sources.pretrained, "UNIFORMER.PRETRAIN_NAME"))
        return Start(f"Starting from the pretrained weights {sources.pretrained}: {report.summary()}")
    return Start("Starting from random weights")


def _from_file(model: nn.Module, sources: Sources, max_epoch: int) -> Start:
    path = _existing(sources.checkpoint, "TRAIN.CHECKPOINT_FILE_PATH")
    state = load_checkpoint(path)
    report = load_weights(model, state, where=path, clear_name_patterns=sources.clear_patterns, inflation=sources.inflation)
    complete = not (report.missing or report.dropped)
    if sources.epoch_reset or "optimizer_state" not in state or not complete:
        why = "" if sources.epoch_reset or complete else " (it does not fit completely, so its epoch and optimiser are not taken over)"
        return Start(f"Fine-tuning from {path}{why}, epoch 1 of {max_epoch}: {report.summary()}")
    if state["epoch"] + 1 >= max_epoch:
        raise CheckpointError(
            f"TRAIN.CHECKPOINT_FILE_PATH {path} has finished {state['epoch'] + 1} of SOLVER.MAX_EPOCH {max_epoch} epochs, nothing is left "
            "to train; to fine-tune from it set TRAIN.CHECKPOINT_EPOCH_RESET True"
        )
    start = _taken_up(model, state, path)
    return start._replace(message=f"Continuing {path} with its optimiser: {start.epoch} of {max_epoch} epochs are done")


def _taken_up(model: nn.Module, state: dict, path: Path) -> Start:
    try:
        model.load_state_dict(state["model_state"])
    except RuntimeError as error:
        raise _of_another(path, error) from error
    return Start(str(path), state["epoch"] + 1, state.get("batch", 0), {**state, "path": path})


def _of_another(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:300]
    return CheckpointError(f"{path} is of another model or optimiser, it cannot be taken up again: {reason}")


def take_up(start: Start, objective: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, stepper: Stepper) -> None:
    """All but the model back as it was when the checkpoint was written: nothing may draw random numbers after it.

    ``objective`` as one process has it. Random numbers come back only on as many ranks as there were.
    """
    state = start.state
    if not state:
        return
    try:
        optimizer.load_state_dict(sharded_optimizer_state(state["optimizer_state"], optimizer))
        if state["scaler_state"]:  # empty for every format but fp16
            scaler.load_state_dict(state["scaler_state"])
        if state.get("objective_state"):
            now = objective.state_dict()
            further = {name: cut_like(value, now.get(name)) for name, value in state["objective_state"].items()}
            unexpected = objective.load_state_dict(further, strict=False).unexpected_keys
            if unexpected:
                raise KeyError(f"{unexpected[0]} is not part of this objective")
    except (RuntimeError, ValueError, KeyError) as error:
        raise _of_another(state["path"], error) from error
    if "stepper" in state:
        stepper.load_state_dict(state["stepper"])
    own = of_this_rank(state["rng"])
    if own is not None:
        set_rng_state(own)


def of_this_rank(values: list | dict) -> dict | None:
    """This rank's entry of what every rank has saved; None when there were other numbers of ranks. A dict is from a single process."""
    values = values if isinstance(values, list) else [values]
    return values[rank()] if len(values) == world_size() else None


def check_same_batches(start: Start, *, num_batches: int, videos: int) -> str:
    """What a user should know about a run that goes on with other processes or batches than it had; "" where all is equal.

    Args:
        num_batches: of an epoch. videos: of a batch, on all ranks together.

    Raises:
        CheckpointError: the run stands in the middle of an epoch that now has other batches.
    """
    had = start.state.get("batches", [num_batches, videos])
    if had != [num_batches, videos] and start.batch:
        raise CheckpointError(
            f"{start.state['path']} stands in the middle of an epoch of {had[0]} batches of {had[1]} videos on all processes together, now "
            f"they are {num_batches} of {videos}; keep TRAIN.BATCH_SIZE x NUM_SHARDS at {had[1]} until the epoch is done"
        )
    notes = []
    if had != [num_batches, videos]:
        notes.append(f"a batch had {had[1]} videos, now it has {videos}: steps and learning rates are others")
    before = len(start.state["rng"]) if isinstance(start.state.get("rng"), list) else 1
    if start.state and before != world_size():
        notes.append(f"{before} processes before, {world_size()} now: the result is as good, but not the same bit for bit")
    return "; ".join(notes)


def _existing(path: str, key: str) -> str:
    if not Path(path).is_file():
        raise CheckpointError(f"{key} '{path}' is no file; give the path of a checkpoint")
    return path


def weights_for_test(*, output_dir: str, checkpoint: str, best: bool, train_checkpoint: str) -> str:
    """The file whose weights are tested: the named one, else the run's best or newest, else what training started from.

    Raises:
        CheckpointError: there is none; random weights are never tested.
    """
    if checkpoint:
        return _existing(checkpoint, "TEST.CHECKPOINT_FILE_PATH")
    if best:
        return _existing(str(best_path(output_dir)), "TEST.TEST_BEST True, but the best checkpoint")
    latest = find_latest(output_dir)
    if latest:
        return str(latest)
    if train_checkpoint:
        return _existing(train_checkpoint, "TRAIN.CHECKPOINT_FILE_PATH")
    raise CheckpointError(f"no weights to test: TEST.CHECKPOINT_FILE_PATH is empty and there is no checkpoint in {output_dir}/checkpoints")


def weights_of_part(state: dict, part: str) -> dict:
    """A checkpoint with the weights that stand under ``part`` in the objective's state (a teacher, an average) as the model's.

    Files without such weights, published ones for example, stay as they are.
    """
    of_objective = state.get("objective_state") or {}
    found = {name.removeprefix(part): value for name, value in of_objective.items() if part and name.startswith(part)}
    return {**state, "model_state": found} if found else state


def load_for_test(
    model: nn.Module, path: str, *, clear_patterns: tuple[str, ...], allow_partial: bool, part: str = ""
) -> tuple[LoadReport, dict]:
    """The file's weights in the model; the report, and the file's content.

    Args:
        part: see ``weights_of_part``.

    Raises:
        CheckpointError: a tensor of the model is missing in the file or has another shape, and ``allow_partial`` is False.
    """
    state = from_main(lambda: load_checkpoint(path))
    return fill_for_test(model, state, path, clear_patterns=clear_patterns, allow_partial=allow_partial, part=part), state


def fill_for_test(
    model: nn.Module, state: dict, path: str, *, clear_patterns: tuple[str, ...], allow_partial: bool, part: str = ""
) -> LoadReport:
    """The same with the content of the file at hand."""
    report = load_weights(model, weights_of_part(state, part), where=path, clear_name_patterns=clear_patterns)
    unfit = list(dict.fromkeys([*report.missing, *report.dropped]))  # of another shape: in both
    if unfit and not allow_partial:
        raise CheckpointError(
            f"{path} does not fit the model: {len(unfit)} tensors are missing or have another shape, first {unfit[0]}; "
            "check MODEL.* and MODEL.NUM_CLASSES, or set TEST.ALLOW_PARTIAL_LOAD True"
        )
    return report
