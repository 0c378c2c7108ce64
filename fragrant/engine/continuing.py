"""What a run goes on from, and whether today's config may go on with it."""

import contextlib
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from fragrant.checkpoint import best_path, load_checkpoint, load_latest
from fragrant.config import ConfigError, dump_cfg
from fragrant.config.compare import Difference, changes_on_resume, named
from fragrant.engine.build import (
    Job,
)
from fragrant.engine.start import (
    OF_TRAINING,
    Sources,
    Start,
    check_unfinished,
    of_other_values,
    why_not_continued,
)
from fragrant.errors import UserError
from fragrant.files import written_whole
from fragrant.models.build import build_encoder
from fragrant.models.weights import load_weights
from fragrant.runtime.weights import existing
from fragrant.zoo.timm_weights import TimmError, source_of


def sources(cfg: CfgNode) -> Sources:
    pretrained, key = cfg.UNIFORMER.PRETRAIN_NAME or "", "UNIFORMER.PRETRAIN_NAME"
    if cfg.MODEL.MODEL_NAME == "TimmVideo":
        pretrained, key = image_weights(cfg.TIMM.NETWORK, cfg.TIMM.WEIGHTS), "TIMM.WEIGHTS"
    elif cfg.UNIFORMERV2.PRETRAIN:
        pretrained, key = cfg.UNIFORMERV2.PRETRAIN, "UNIFORMERV2.PRETRAIN"
    return Sources(
        output_dir=cfg.OUTPUT_DIR,
        auto_resume=cfg.TRAIN.AUTO_RESUME,
        checkpoint=cfg.TRAIN.CHECKPOINT_FILE_PATH,
        epoch_reset=cfg.TRAIN.CHECKPOINT_EPOCH_RESET,
        clear_patterns=tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN),
        inflation="repeat" if cfg.TRAIN.CHECKPOINT_INFLATE else None,
        pretrained=pretrained,
        pretrained_key=key,
    )


def image_weights(network: str, weights: str) -> str:
    """What TIMM.WEIGHTS names, as the path of a checkpoint; "" for random weights.

    Raises:
        UserError: it names nothing.
    """
    try:
        return "" if weights == "random" else source_of(network, weights)
    except TimmError as error:
        raise UserError(f"TIMM.WEIGHTS '{weights}' {error}") from error


def refuse_other_config(cfg: CfgNode, *, accept_changes: bool) -> None:
    """Raises UserError where the weights that a run would go on from, in OUTPUT_DIR or in the file that it names, were
    trained with other values.

    Reads the checkpoint once more than ``load_start``, before anything is written: about 1 s per GB.
    """
    latest = load_latest(cfg.OUTPUT_DIR, warn=lambda *words: None) if cfg.TRAIN.AUTO_RESUME else None  # start says it
    if not latest:
        if cfg.TRAIN.CHECKPOINT_FILE_PATH and not cfg.TRAIN.CHECKPOINT_EPOCH_RESET:
            _refuse_other_continuation(cfg, accept_changes=accept_changes)
        return
    if not accept_changes and isinstance(text := latest.state.get("cfg"), str):
        refused, _ = changes_on_resume(cfg, text, where=f"config in {latest.path}")
        if refused:
            changes = named(refused)
            stands = latest.state.get("batches") if latest.state.get("batch") else None  # see check_same_batches
            if stands and any(one.key == "TRAIN.BATCH_SIZE" for one in refused):
                changes += " (it stands in the middle of an epoch of {} batches of {} videos)".format(*stands)
            raise of_other_values(str(latest.path), changes, resumed=True)


def _refuse_other_continuation(cfg: CfgNode, *, accept_changes: bool) -> None:
    path = existing(cfg.TRAIN.CHECKPOINT_FILE_PATH, "TRAIN.CHECKPOINT_FILE_PATH")
    state, refused = load_checkpoint(path), list[Difference]()
    if not OF_TRAINING <= state.keys():  # fine-tuned
        return
    if not accept_changes and isinstance(text := state.get("cfg"), str):
        with contextlib.suppress(ConfigError):  # written by another project: with_todays_config says it
            refused, _ = changes_on_resume(cfg, text, where=f"config in {path}")
    if not refused and state["epoch"] + 1 < cfg.SOLVER.MAX_EPOCH:
        return
    with torch.random.fork_rng():
        model, given = build_encoder(cfg), sources(cfg)
    report = load_weights(model, state, clear_name_patterns=given.clear_patterns, inflation=given.inflation, where=path)
    if why_not_continued(model, state, report):  # fine-tuned, too
        return
    check_unfinished(state, path, cfg.SOLVER.MAX_EPOCH)
    raise of_other_values(str(path), named(refused), resumed=False)


def with_todays_config(job: Job, start: Start) -> Start:
    """Says what has changed since the checkpoint, and what comes of it.

    Raises:
        UserError: it may not change, and nobody has accepted it.
    """
    path, text = start.state.get("path"), start.state.get("cfg")
    if not isinstance(text, str):
        return start
    try:
        refused, told = changes_on_resume(job.cfg, text, where=f"config in {path}")
    except ConfigError as error:  # written by another project
        job.log.warn(f"whether {path} was trained with the values of this run is not known: {error}")
        return start
    if told:
        longer = any(one.key == "SOLVER.MAX_EPOCH" for one in told)
        rates = ": the learning rates from here on are those of the longer run" if longer else ""
        job.log.warn(f"{path} goes on with {named(told)}{rates}")
    if not refused:
        return start
    if not job.accept_changes:
        resumed = Path(str(path)).parent == best_path(job.cfg.OUTPUT_DIR).parent
        raise of_other_values(str(path), named(refused), resumed=resumed)
    finished = start.epoch >= job.cfg.SOLVER.MAX_EPOCH
    goes_on = "nothing is left to train, so they count for the test alone:" if finished else "it goes on with"
    job.log.warn(f"--accept-changes: {path} was trained with other values, {goes_on} {named(refused)}")
    if {difference.key for difference in refused} & {"SOLVER.OPTIMIZING_METHOD", "SVMIX.MODULE_OPT"}:
        job.log.warn("--accept-changes: the optimiser is another one, it starts without its averages")
        start.state.pop("optimizer_state")
    return start._replace(config=text) if finished else start.with_accepted(named(refused))


def write_config(cfg: CfgNode, text: str = "") -> None:
    """The effective config, or ``text``, in OUTPUT_DIR/config.yaml: that of the weights there, so it is written when
    they fit it."""
    path = Path(cfg.OUTPUT_DIR, "config.yaml")
    try:
        with written_whole(path) as file:
            file.write((text or dump_cfg(cfg)).encode())
    except OSError as error:
        raise UserError(f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' cannot be written: {error.strerror or error}") from error
