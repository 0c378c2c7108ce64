"""Start of a training run: its weights are resumed, continued, fine-tuned, pretrained or fresh."""

from pathlib import Path
from typing import NamedTuple

from torch import nn

from fragrant.checkpoint import CheckpointError, load_checkpoint, load_latest
from fragrant.distributed import from_main
from fragrant.engine.accuracy import merit
from fragrant.engine.validations import Validations
from fragrant.models.backbone import Backbone
from fragrant.models.weights import LoadReport, load_weights
from fragrant.runtime.weights import existing

OF_TRAINING = {"epoch", "optimizer_state"}  # what a file needs, beside the weights, to be continued


class Start(NamedTuple):
    """The state that training begins with."""

    message: str  # says where the weights come from
    epoch: int = 0  # 0-based
    batch: int = 0  # of that epoch: more than 0 where it was interrupted
    state: dict = {}  # the checkpoint that is taken up again; empty for a new run
    config: str = ""  # that of the weights, where nothing is left to train with today's other one
    report: LoadReport | None = None  # of weights that do not come from this run
    met: dict = {}  # of weights to fine-tune: the clips without labels that they have met, as ``clips_met`` has them

    @property
    def best(self) -> dict:
        """The best validation so far."""
        return dict(self.state.get("best", {}))

    @property
    def validations(self) -> Validations:
        """All validations so far; of a checkpoint of earlier code the best alone."""
        best = [[self.best["epoch"], merit(self.best)]] if "epoch" in self.best else []
        return [list(one) for one in self.state.get("validations", best)]

    @property
    def accepted(self) -> list[str]:
        """The changes of the config that the run has gone on with, each after so many epochs."""
        return list(self.state.get("accepted_changes", []))

    def with_accepted(self, changes: str) -> "Start":
        """A start that records the changes accepted here."""
        text = f"after {self.epoch} epochs{f' and {self.batch} batches' if self.batch else ''}: {changes}"
        return self._replace(state={**self.state, "accepted_changes": [*self.accepted, text]})


MET = ("adapted_on", "pseudo_labelled")  # of a checkpoint: paths of clips without labels that its weights have met


def clips_met(state: dict) -> dict[str, list[str]]:
    """The clips without labels that the weights of a checkpoint have met, by how: only what there is."""
    return {name: list(state[name]) for name in MET if state.get(name)}


class Sources(NamedTuple):
    """The files that a training run may start from, as the config names them."""

    output_dir: str
    auto_resume: bool  # TRAIN.AUTO_RESUME
    checkpoint: str  # TRAIN.CHECKPOINT_FILE_PATH
    epoch_reset: bool  # TRAIN.CHECKPOINT_EPOCH_RESET
    clear_patterns: tuple[str, ...]  # TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN
    # TRAIN.CHECKPOINT_INFLATE: image filters of ``checkpoint`` are spread over time, or not taken
    inflation: str | None
    pretrained: str  # image or video weights of the published model
    pretrained_key: str = "UNIFORMER.PRETRAIN_NAME"  # that names them


def load_start(model: Backbone, sources: Sources, *, max_epoch: int) -> Start:
    """Fills the model, before anything else is built on it; ``take_up`` brings the rest back.

    The first of these that applies: a checkpoint in the output folder (resume), ``checkpoint`` with its epoch and
    optimiser
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
        file = existing(sources.pretrained, sources.pretrained_key)
        report = load_weights(model, file, clear_name_patterns=sources.clear_patterns)
        return Start(f"Starting from the pretrained weights {sources.pretrained}: {report.summary()}", report=report)
    return Start("Starting from random weights")


def _from_file(model: Backbone, sources: Sources, max_epoch: int) -> Start:
    path = existing(sources.checkpoint, "TRAIN.CHECKPOINT_FILE_PATH")
    state = load_checkpoint(path)
    report = load_weights(
        model, state, where=path, clear_name_patterns=sources.clear_patterns, inflation=sources.inflation
    )
    why = why_not_continued(model, state, report)
    if sources.epoch_reset or not OF_TRAINING <= state.keys() or why:
        note = of_pretraining(state) or ("" if sources.epoch_reset else why)
        message = f"Fine-tuning from {path}{note}, epoch 1 of {max_epoch}: {report.summary()}"
        return Start(message, report=report, met=clips_met(state))
    check_unfinished(state, path, max_epoch)
    start = _taken_up(model, state, path)
    return start._replace(message=f"Continuing {path} with its optimiser: {start.epoch} of {max_epoch} epochs are done")


def why_not_continued(model: nn.Module, state: dict, report: LoadReport) -> str:
    """Why the optimiser of a checkpoint does not go on with its weights, in brackets; "" where it does."""
    if report.missing or report.dropped:
        return " (it does not fit completely, so its epoch and optimiser are not taken over)"
    if OF_TRAINING <= state.keys() and not model.state_dict().keys() <= dict(state.get("model_state") or {}).keys():
        return " (its tensors have other names, so its epoch and optimiser are not taken over)"
    return ""


def check_unfinished(state: dict, path: str | Path, max_epoch: int) -> None:
    """Checks that a checkpoint that is to be continued has something left to train; raises CheckpointError."""
    if state["epoch"] + 1 >= max_epoch:
        raise CheckpointError(
            f"TRAIN.CHECKPOINT_FILE_PATH {path} has finished {state['epoch'] + 1} of SOLVER.MAX_EPOCH {max_epoch} "
            "epochs, nothing is left "
            "to train; to fine-tune from it set TRAIN.CHECKPOINT_EPOCH_RESET True"
        )


def of_pretraining(state: dict) -> str:
    """What to say of a checkpoint of a pre-training without labels; "" of any other."""
    left = {"masked": "decoder", "contrastive": "projector", "darkener": "darkener"}.get(str(state.get("objective")))
    return f" (pre-trained without labels: its encoder is taken, its {left} is not)" if left else ""


def _taken_up(model: nn.Module, state: dict, path: str | Path) -> Start:
    own = model.state_dict()
    try:
        for name, value in state["model_state"].items():
            if name in own and value.dtype != own[name].dtype:
                raise RuntimeError(f"{name} is {value.dtype}, not {own[name].dtype}")
        model.load_state_dict(state["model_state"])
    except RuntimeError as error:
        raise of_another(path, error) from error
    return Start(str(path), state["epoch"] + 1, state.get("batch", 0), {**state, "path": path})


def of_other_values(path: str, changes: str, *, resumed: bool) -> CheckpointError:
    """The error of a run that would go on from weights of another config.

    Args:
        resumed: because they lie in its output folder; False: because it names the file.
    """
    way_out = (
        "take another OUTPUT_DIR, or TRAIN.AUTO_RESUME False to start anew"
        if resumed
        else ("set TRAIN.CHECKPOINT_EPOCH_RESET True to fine-tune from it")
    )
    return CheckpointError(
        f"{path} was trained with other values than this run has: {changes}; {way_out}, or "
        "--accept-changes to go on with the new values and a warning"
    )


def of_another(path: str | Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:300]
    return CheckpointError(f"{path} is of another model or optimiser, it cannot be taken up again: {reason}")
