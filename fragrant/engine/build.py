"""From the config to what a run works with: device settings, clip preparation, the model on its device, benchmark settings."""

import os
import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from fragrant.distributed import rank, world_size
from fragrant.engine.benchmark import Setting
from fragrant.engine.precision import Precision, pick_precision
from fragrant.layers.frozen_batch_norm import freeze_batch_norm
from fragrant.layers.normalize import ClipNormalize
from fragrant.models import build_model
from fragrant.objectives import build_objective
from fragrant.optim import build_optimizer


def prepare_device(cfg, device: torch.device) -> None:
    """Seeds. CUDA: fp32 that means fp32 (no TF32), the fastest convolution searched once per shape. CPU: cores left to the loader."""
    random.seed(cfg.RNG_SEED)
    np.random.seed(cfg.RNG_SEED % 2**32)
    torch.manual_seed(cfg.RNG_SEED)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    elif "OMP_NUM_THREADS" not in os.environ:
        # A thread that has to wait for its core makes all others spin: with one process too many a step takes several times as long.
        cores = usable_cores() // max(1, world_size() // cfg.NUM_SHARDS)  # of each process of this machine
        torch.set_num_threads(max(1, cores - cfg.DATA_LOADER.NUM_WORKERS))


def separate_randomness(cfg) -> None:
    """Ranks draw different dropout from here on; rank 0 goes on as a process alone does."""
    if rank():
        random.seed(f"{cfg.RNG_SEED}-{rank()}")
        torch.manual_seed(cfg.RNG_SEED + rank())


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build_preparation(cfg, device: torch.device, *, channels_last: bool) -> Callable[[Tensor], Tensor]:
    """uint8 clips (N, C, T, H, W) on the device -> normalised float32 clips in the model's memory format."""
    normalize = ClipNormalize(cfg.DATA.MEAN, cfg.DATA.STD, reverse_channels=cfg.DATA.REVERSE_INPUT_CHANNEL).to(device)
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    return lambda clips: normalize(clips).contiguous(memory_format=layout)


def model_on_device(cfg, device: torch.device, *, channels_last: bool, compiled: bool) -> nn.Module:
    model = build_model(cfg)
    if cfg.MODEL.FROZEN_BN:
        freeze_batch_norm(model)
    elif cfg.BN.NORM_TYPE == "sync_batchnorm":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model = model.to(device)
    if channels_last:
        model = model.to(memory_format=torch.channels_last_3d)
    if compiled:
        model.compile()  # in place: the names of the state dict stay
    return model


def describe_setting(precision: Precision, *, channels_last: bool, compiled: bool) -> str:
    """``"bf16, channels_last_3d, compiled"``"""
    return ", ".join([precision.name, "channels_last_3d" if channels_last else "contiguous", "compiled" if compiled else "eager"])


def build_settings(cfg, device: torch.device) -> list[Setting]:
    """The plain setting, then the config's."""
    settings = []
    choices = [("fp32", False, False), (cfg.TRAIN.PRECISION, cfg.TRAIN.CHANNELS_LAST, cfg.TRAIN.COMPILE)]
    for name, channels_last, compiled in choices:
        precision = pick_precision(name, device, key="TRAIN.PRECISION")
        torch.manual_seed(cfg.RNG_SEED)  # the same weights in both
        objective = build_objective(cfg, model_on_device(cfg, device, channels_last=channels_last, compiled=compiled))
        settings.append(
            Setting(
                describe_setting(precision, channels_last=channels_last, compiled=compiled),
                objective,
                build_optimizer(cfg, objective),
                precision,
                build_preparation(cfg, device, channels_last=channels_last),
            )
        )
    return settings
