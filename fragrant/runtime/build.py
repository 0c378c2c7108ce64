"""Builds a model's runtime from the config: device settings, clip preparation, the model and its objective on a
device."""

import logging
import os
import random
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.checkpoint import CheckpointError, load_checkpoint
from fragrant.config import cfg_from_text, changed, load_cfg
from fragrant.config.compare import note_on_clips
from fragrant.config.defaults import AUTO_WEIGHTS
from fragrant.data.build import class_weights
from fragrant.data.lists.records import RecordList
from fragrant.data.transforms.build import build_erasing, prepared_streams
from fragrant.distributed import rank, world_size
from fragrant.layers.frozen_batch_norm import freeze_batch_norm
from fragrant.layers.memory_format import to_channels_last
from fragrant.layers.preparation import ClipPreparation, StreamsPreparation
from fragrant.models.backbone import Backbone
from fragrant.models.build import build_encoder
from fragrant.models.compiling import compile_in_place
from fragrant.objectives import Objective, Teacher, build_objective, part_to_test
from fragrant.plugins import expect_plugins
from fragrant.runtime.precision import Precision
from fragrant.runtime.weights import fill_for_test, refuse_without_classes
from fragrant.workers import usable_cores

_log = logging.getLogger(__name__)


def prepare_device(cfg: CfgNode, device: torch.device) -> None:
    """Seeds the random generators and sets up the device. CUDA: fp32 without TF32, the fastest convolution searched
    once per shape. CPU: as many threads as the loader leaves cores."""
    random.seed(cfg.RNG_SEED)
    np.random.seed(cfg.RNG_SEED % 2**32)
    torch.manual_seed(cfg.RNG_SEED)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    elif "OMP_NUM_THREADS" not in os.environ:
        # A thread that has to wait for its core makes all others spin: with one process too many a step takes several
        # times as long.
        cores = usable_cores() // max(1, world_size() // cfg.NUM_SHARDS)  # of each process of this machine
        torch.set_num_threads(max(1, cores - cfg.DATA_LOADER.NUM_WORKERS))


def separate_randomness(cfg: CfgNode) -> None:
    """Reseeds every rank but 0, so that ranks draw different dropout from here on; rank 0 goes on as a process alone
    does."""
    if rank():
        random.seed(f"{cfg.RNG_SEED}-{rank()}")
        torch.manual_seed(cfg.RNG_SEED + rank())


def build_preparation(
    cfg: CfgNode, device: torch.device, *, channels_last: bool
) -> ClipPreparation | StreamsPreparation:
    """Builds the preparation of clips: uint8 (N, C, T, H, W) on the device -> normalised float32 in the model's memory
    format, with the channels of two streams for a network that takes them."""
    return prepared_streams(cfg, device, erasing=build_erasing(cfg), channels_last=channels_last)


def build_training_preparation(
    cfg: CfgNode, prepare: ClipPreparation | StreamsPreparation
) -> Callable[[Tensor, Sequence[int], int], Tensor]:
    """Builds the preparation for training: (uint8 clips (B*V, C, T, H, W), ids of the B videos, epoch) -> normalised
    clips, with random erasing if the config says so."""
    seed = cfg.RNG_SEED

    def prepare_videos(clips: Tensor, ids: Sequence[int], epoch: int) -> Tensor:
        views = range(len(clips) // len(ids))
        return prepare(clips, [f"{seed}-{epoch}-{video_id}-{view}-erase" for video_id in ids for view in views])

    return prepare_videos


def model_on_device(cfg: CfgNode, device: torch.device, *, channels_last: bool, compiled: bool) -> Backbone:
    """Builds the model of a config on a device.

    Raises:
        CompileError: ``compiled`` where no compiler is.
    """
    model = build_encoder(cfg)
    if cfg.MODEL.FROZEN_BN:
        freeze_batch_norm(model)
    elif cfg.BN.NORM_TYPE == "sync_batchnorm":
        model = cast(Backbone, nn.SyncBatchNorm.convert_sync_batchnorm(model))
    model = model.to(device)
    if channels_last:
        model = cast(Backbone, to_channels_last(model))
    if compiled:
        compile_in_place(model, device)
    return model


def _config_of(state: dict, checkpoint, cfg_path, pairs: Sequence[str]) -> CfgNode:
    if cfg_path is None and not isinstance(state.get("cfg"), str):
        raise CheckpointError(
            f"checkpoint {checkpoint} carries no config, it was not written by this project; give one (--cfg FILE)"
        )
    return (
        load_cfg(cfg_path, pairs) if cfg_path else cfg_from_text(state["cfg"], pairs, where=f"config in {checkpoint}")
    )


def config_of_checkpoint(checkpoint, cfg_path, pairs: Sequence[str]) -> CfgNode:
    """The config that a checkpoint carries, or that of a file, with KEY VALUE overrides.

    Raises:
        CheckpointError: it carries none and no file is given; ConfigError: a key or value is wrong.
    """
    return _config_of(load_checkpoint(checkpoint), checkpoint, cfg_path, pairs)


def load_trained(
    checkpoint, cfg_path, pairs: Sequence[str], device: torch.device
) -> tuple[CfgNode, Backbone, list[str]]:
    """Loads a trained model: its config, the model with the checkpoint's weights, the class names."""
    state = load_checkpoint(checkpoint)
    cfg = _config_of(state, checkpoint, cfg_path, pairs)
    refuse_without_classes(cfg.TRAIN.OBJECTIVE, checkpoint)
    expect_plugins(state.get("plugins") or ())
    if note := note_on_clips(cfg, state.get("cfg"), where=str(checkpoint)):
        _log.warning(note)
    model = model_on_device(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST, compiled=False)
    patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
    fit = dict(part=part_to_test(cfg), clear_patterns=patterns, allow_partial=cfg.TEST.ALLOW_PARTIAL_LOAD)
    fill_for_test(model, state, str(checkpoint), **fit).tell(_log.info, _log.warning, trains=False)
    return cfg, model, state.get("class_names") or [f"class {number}" for number in range(cfg.MODEL.NUM_CLASSES)]


def objective_on_device(
    cfg: CfgNode, model: Backbone, device: torch.device, *, records: RecordList | None = None
) -> Objective:
    """The objective around ``model``, with the teacher that DISTILL.CHECKPOINT names.

    Args:
        records: the training videos, from which LOSS.CLASS_WEIGHTS auto follows; None: all classes count alike.

    Raises:
        UserError: there is no such teacher, or it does not fit.
    """
    teacher = None
    if cfg.DISTILL.CHECKPOINT:
        # its first weights, which the checkpoint's replace, cost the run no random numbers
        with torch.random.fork_rng():
            teacher_cfg, network, _ = load_trained(cfg.DISTILL.CHECKPOINT, None, (), device)
        teacher = Teacher(network, teacher_cfg)
    if cfg.LOSS.CLASS_WEIGHTS == AUTO_WEIGHTS:
        cfg = changed(cfg, {"LOSS.CLASS_WEIGHTS": class_weights(cfg, records) if records is not None else []})
    return build_objective(cfg, model, teacher=teacher).to(device)


def describe_setting(precision: Precision, *, channels_last: bool, compiled: bool) -> str:
    """Describes how the model runs, in a few words: ``"bf16, channels_last_3d, compiled"``."""
    return ", ".join(
        [precision.name, "channels_last_3d" if channels_last else "contiguous", "compiled" if compiled else "eager"]
    )
