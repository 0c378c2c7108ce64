"""The weights of a test: finds their file, and loads them if they fit."""

from pathlib import Path

from fragrant.checkpoint import CheckpointError, best_path, find_latest, load_checkpoint
from fragrant.config.label_free import LABEL_FREE
from fragrant.distributed import from_main
from fragrant.models.backbone import Backbone
from fragrant.models.weights import LoadReport, load_weights
from fragrant.remote import RemoteError, local_path


def existing(path: str, key: str) -> str:
    """The file of a checkpoint on this machine.

    Raises:
        CheckpointError: it is no file, or at an address from which it cannot be fetched.
    """
    try:
        local = local_path(path)
    except RemoteError as error:
        raise CheckpointError(f"{key} '{path}' {error}") from error
    if not Path(local).is_file():
        raise CheckpointError(f"{key} '{path}' is no file; give the path of a checkpoint")
    return path


def weights_for_test(*, output_dir: str, checkpoint: str, best: bool, train_checkpoint: str) -> str:
    """Path of the weights to test: the named file, else the run's best or newest checkpoint, else the file that
    training started from.

    Raises:
        CheckpointError: there is no such file; random weights are never tested.
    """
    if checkpoint:
        return existing(checkpoint, "TEST.CHECKPOINT_FILE_PATH")
    if best:
        return existing(str(best_path(output_dir)), "TEST.TEST_BEST True, but the best checkpoint")
    latest = find_latest(output_dir)
    if latest:
        return str(latest)
    if train_checkpoint:
        return existing(train_checkpoint, "TRAIN.CHECKPOINT_FILE_PATH")
    raise CheckpointError(
        f"no weights to test: TEST.CHECKPOINT_FILE_PATH is empty and there is no checkpoint in {output_dir}/checkpoints"
    )


def weights_of_part(state: dict, part: str) -> dict:
    """Takes the weights under ``part`` of the objective's state (a teacher, an average) as the model's: a checkpoint ->
    a checkpoint.

    Files without such weights, published ones for example, stay as they are."""
    of_objective = state.get("objective_state") or {}
    found = {name.removeprefix(part): value for name, value in of_objective.items() if part and name.startswith(part)}
    return {**state, "model_state": found} if found else state


def load_for_test(
    model: Backbone, path: str, *, clear_patterns: tuple[str, ...], allow_partial: bool, part: str = ""
) -> tuple[LoadReport, dict]:
    """Loads a file's weights into the model for a test; returns the report and the file's content.

    Args:
        part: see ``weights_of_part``.

    Raises:
        CheckpointError: a tensor of the model is missing in the file or has another shape, and ``allow_partial`` is
            False.
    """
    state = from_main(lambda: load_checkpoint(path))
    return fill_for_test(
        model, state, path, clear_patterns=clear_patterns, allow_partial=allow_partial, part=part
    ), state


def fill_for_test(
    model: Backbone, state: dict, path: str, *, clear_patterns: tuple[str, ...], allow_partial: bool, part: str = ""
) -> LoadReport:
    """Fills the model for a test from the content of a checkpoint that is already read; see ``load_for_test``."""
    report = load_weights(model, weights_of_part(state, part), where=path, clear_name_patterns=clear_patterns)
    unfit = list(dict.fromkeys([*report.missing, *report.dropped]))  # of another shape: in both
    if unfit and not allow_partial:
        refuse_without_classes(state.get("objective"), path)
        raise CheckpointError(
            f"{path} does not fit the model: {len(unfit)} tensors are missing or have another shape, first {unfit[0]}; "
            "check MODEL.* and MODEL.NUM_CLASSES, or set TEST.ALLOW_PARTIAL_LOAD True"
        )
    return report


def refuse_without_classes(objective: str | None, path: str | Path) -> None:
    """Raises CheckpointError for the weights of a training without labels; ``objective``: TRAIN.OBJECTIVE of it."""
    if objective in LABEL_FREE:
        raise CheckpointError(
            f"checkpoint {path} was trained without labels (TRAIN.OBJECTIVE {objective}): it knows no classes; "
            "fine-tune from it with TRAIN.CHECKPOINT_FILE_PATH, and give what comes of that"
        )
