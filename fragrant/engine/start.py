"""Where the weights of a run come from: resumed, continued, fine-tuned, pretrained or fresh."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from fragrant.checkpoint import CheckpointError, best_path, find_latest, load_checkpoint, load_latest, set_rng_state
from fragrant.models.weights import LoadReport, load_weights


class Start(NamedTuple):
    """What training begins with: the next epoch (0-based), steps done so far, the best validation so far, a line that says it."""

    epoch: int
    step: int
    best: dict
    message: str


class Sources(NamedTuple):
    """The files that a training run may start from, as the config names them."""

    output_dir: str
    auto_resume: bool  # TRAIN.AUTO_RESUME
    checkpoint: str  # TRAIN.CHECKPOINT_FILE_PATH
    epoch_reset: bool  # TRAIN.CHECKPOINT_EPOCH_RESET
    clear_patterns: tuple[str, ...]  # TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN
    inflation: str | None  # TRAIN.CHECKPOINT_INFLATE: image filters of ``checkpoint`` are spread over time, or not taken
    pretrained: str  # image or video weights of the published model


def start_training(
    model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, sources: Sources, *, max_epoch: int
) -> Start:
    """Fills the model, and where a run is taken up again also optimiser, scaler and random state.

    The first of these that applies: a checkpoint in the output folder (resume), ``checkpoint`` with its epoch and optimiser
    (continue) or without (fine-tune), ``pretrained``, nothing.

    Raises:
        CheckpointError, WeightsError: the file is missing, damaged, fits too little, or has nothing left to train.
    """
    latest = load_latest(sources.output_dir) if sources.auto_resume else None
    if latest:
        path, state = latest
        ignored = f"; TRAIN.CHECKPOINT_FILE_PATH {sources.checkpoint} is not used" if sources.checkpoint else ""
        start = _take_up(model, optimizer, scaler, state, path)
        return start._replace(message=f"Resuming {path}: {start.epoch} of {max_epoch} epochs are done{ignored}")
    if sources.checkpoint:
        return _from_file(model, optimizer, scaler, sources, max_epoch)
    if sources.pretrained:
        report = load_weights(model, _existing(sources.pretrained, "UNIFORMER.PRETRAIN_NAME"))
        return Start(0, 0, {}, f"Starting from the pretrained weights {sources.pretrained}: {report.summary()}")
    return Start(0, 0, {}, "Starting from random weights")


def _from_file(model, optimizer, scaler, sources: Sources, max_epoch: int) -> Start:
    path = _existing(sources.checkpoint, "TRAIN.CHECKPOINT_FILE_PATH")
    state = load_checkpoint(path)
    report = load_weights(model, state, where=path, clear_name_patterns=sources.clear_patterns, inflation=sources.inflation)
    complete = not (report.missing or report.dropped)
    if sources.epoch_reset or "optimizer_state" not in state or not complete:
        why = "" if sources.epoch_reset or complete else " (it does not fit completely, so its epoch and optimiser are not taken over)"
        return Start(0, 0, {}, f"Fine-tuning from {path}{why}, epoch 1 of {max_epoch}: {report.summary()}")
    if state["epoch"] + 1 >= max_epoch:
        raise CheckpointError(
            f"TRAIN.CHECKPOINT_FILE_PATH {path} has finished {state['epoch'] + 1} of SOLVER.MAX_EPOCH {max_epoch} epochs, nothing is left "
            "to train; to fine-tune from it set TRAIN.CHECKPOINT_EPOCH_RESET True"
        )
    start = _take_up(model, optimizer, scaler, state, path)
    return start._replace(message=f"Continuing {path} with its optimiser: {start.epoch} of {max_epoch} epochs are done")


def _take_up(model, optimizer, scaler, state: dict, path: Path) -> Start:
    """Everything back as it was after the checkpoint's epoch."""
    try:
        model.load_state_dict(state["model_state"])
        optimizer.load_state_dict(state["optimizer_state"])
        if state["scaler_state"]:  # empty for every format but fp16
            scaler.load_state_dict(state["scaler_state"])
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path} is of another model or optimiser, it cannot be taken up again: {reason}") from error
    set_rng_state(state["rng"])
    return Start(state["epoch"] + 1, state["step"], dict(state["best"]), "")


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


def load_for_test(model: nn.Module, path: str, *, clear_patterns: tuple[str, ...], allow_partial: bool) -> tuple[LoadReport, dict]:
    """The file's weights in the model; the report, and the file's content.

    Raises:
        CheckpointError: a tensor of the model is missing in the file or has another shape, and ``allow_partial`` is False.
    """
    state = load_checkpoint(path)
    return fill_for_test(model, state, path, clear_patterns=clear_patterns, allow_partial=allow_partial), state


def fill_for_test(model: nn.Module, state: dict, path: str, *, clear_patterns: tuple[str, ...], allow_partial: bool) -> LoadReport:
    """The same with the content of the file at hand."""
    report = load_weights(model, state, where=path, clear_name_patterns=clear_patterns)
    unfit = [*report.missing, *report.dropped]
    if unfit and not allow_partial:
        raise CheckpointError(
            f"{path} does not fit the model: {len(unfit)} tensors are missing or have another shape, first {unfit[0]}; "
            "check MODEL.* and MODEL.NUM_CLASSES, or set TEST.ALLOW_PARTIAL_LOAD True"
        )
    return report
