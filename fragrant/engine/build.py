"""From the config to what a run works with: device settings, clip preparation, the model on its device, benchmark settings."""

import os
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.checkpoint import CheckpointError, load_checkpoint
from fragrant.config import cfg_from_text, changed, load_cfg
from fragrant.data import build_dataset, build_loader, build_source
from fragrant.data.errors import ListError
from fragrant.data.records import VideoRecord
from fragrant.data.workers import keep_freed_memory
from fragrant.distributed import rank, world_size
from fragrant.engine.benchmark import Setting, benchmark_shares, random_batch
from fragrant.engine.benchmark_dgam import benchmark_dgam, dark_clips
from fragrant.engine.benchmark_loader import Work, benchmark_loader, generated_files
from fragrant.engine.export import Deployed
from fragrant.engine.measure import machine
from fragrant.engine.model_table import ModelCost
from fragrant.engine.precision import Precision, pick_precision
from fragrant.engine.predict import Predictor
from fragrant.engine.start import fill_for_test, weights_of_part
from fragrant.layers.frozen_batch_norm import freeze_batch_norm
from fragrant.layers.memory_format import to_channels_last
from fragrant.layers.normalize import ClipNormalize
from fragrant.layers.preparation import ClipPreparation
from fragrant.layers.random_erasing import RandomErasing
from fragrant.models import build_model
from fragrant.models.stages import stages
from fragrant.objectives import Objective, Teacher, build_objective, part_to_test
from fragrant.objectives.selective_module import SelectiveModule
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


def build_preparation(cfg, device: torch.device, *, channels_last: bool) -> ClipPreparation:
    """uint8 clips (N, C, T, H, W) on the device -> normalised float32 clips in the model's memory format."""
    normalize = ClipNormalize(cfg.DATA.MEAN, cfg.DATA.STD, reverse_channels=cfg.DATA.REVERSE_INPUT_CHANNEL).to(device)
    aug = cfg.AUG
    erasing = RandomErasing(aug.RE_PROB, mode=aug.RE_MODE, max_count=aug.RE_COUNT) if aug.ENABLE and aug.RE_PROB else None
    return ClipPreparation(normalize, erasing=erasing, channels_last=channels_last)


def build_training_preparation(cfg, prepare: ClipPreparation) -> Callable[[Tensor, Sequence[int], int], Tensor]:
    """(uint8 clips (B*V, C, T, H, W), ids of the B videos, epoch) -> normalised clips, erased at random if the config says so."""
    seed = cfg.RNG_SEED

    def prepare_videos(clips: Tensor, ids: Sequence[int], epoch: int) -> Tensor:
        views = range(len(clips) // len(ids))
        return prepare(clips, [f"{seed}-{epoch}-{video_id}-{view}-erase" for video_id in ids for view in views])

    return prepare_videos


def model_on_device(cfg, device: torch.device, *, channels_last: bool, compiled: bool) -> nn.Module:
    model = build_model(cfg)
    if cfg.MODEL.FROZEN_BN:
        freeze_batch_norm(model)
    elif cfg.BN.NORM_TYPE == "sync_batchnorm":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model = model.to(device)
    if channels_last:
        model = to_channels_last(model)
    if compiled:
        model.compile()  # in place: the names of the state dict stay
    return model


def load_predictor(
    checkpoint: str | os.PathLike,
    *,
    cfg_path: str | os.PathLike | None = None,
    pairs: Sequence[str] = (),
    device: torch.device | str | None = None,
) -> Predictor:
    """A trained model, ready for videos; the checkpoint knows its config and class names.

    Args:
        cfg_path: a yaml file in place of the checkpoint's own config; files from elsewhere carry none.
        pairs: KEY VALUE overrides, ``["TEST.NUM_ENSEMBLE_VIEWS", "4"]``.
        device: None = the first GPU if there is one.

    Raises:
        UserError: the file is no checkpoint, fits the model only in part, or has no config and none is given.
    """
    device = torch.device(device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
    cfg, model, names = _trained(checkpoint, cfg_path, pairs, device)
    return Predictor(
        model,
        build_source(cfg),
        class_names=names,
        rule=f"{cfg.DATA.ENSEMBLE_METHOD}-{cfg.TEST.ENSEMBLE_SPACE}",
        prepare=build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST),
        autocast=pick_precision(cfg.TEST.PRECISION, device, key="TEST.PRECISION").autocast,
        clips_per_forward=cfg.TEST.BATCH_SIZE,
        device=device,
        several=cfg.DATA.MULTI_LABEL,
    )


def _trained(checkpoint, cfg_path, pairs: Sequence[str], device: torch.device) -> tuple[CfgNode, nn.Module, list[str]]:
    """Config, model with the checkpoint's weights, class names."""
    state = load_checkpoint(checkpoint)
    if cfg_path is None and not isinstance(state.get("cfg"), str):
        raise CheckpointError(f"checkpoint {checkpoint} carries no config, it was not written by this project; give one (--cfg FILE)")
    cfg = load_cfg(cfg_path, pairs) if cfg_path else cfg_from_text(state["cfg"], pairs, where=f"config in {checkpoint}")
    model = model_on_device(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST, compiled=False)
    patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
    fit = dict(part=part_to_test(cfg), clear_patterns=patterns, allow_partial=cfg.TEST.ALLOW_PARTIAL_LOAD)
    fill_for_test(model, state, str(checkpoint), **fit)
    return cfg, model, state.get("class_names") or [f"class {number}" for number in range(cfg.MODEL.NUM_CLASSES)]


def load_mixer(checkpoint: str | os.PathLike, device: torch.device) -> SelectiveModule:
    """The mixer that a run with MIXUP.TYPE svmix has trained.

    Raises:
        UserError: there is none in the file.
    """
    state = weights_of_part(load_checkpoint(checkpoint), "mixer.").get("model_state", {})
    if "query.weight" not in state:
        raise CheckpointError(f"checkpoint {checkpoint} holds no mixer; allowed: one of a run with MIXUP.TYPE svmix")
    dim, width = state["query.weight"].shape
    mixer = SelectiveModule(width - 1, dim)
    mixer.load_state_dict(state)
    return mixer.to(device)


def objective_on_device(cfg, model: nn.Module, device: torch.device) -> Objective:
    """The objective around ``model``, with the teacher that DISTILL.CHECKPOINT names.

    Raises:
        UserError: there is no such teacher, or it does not fit.
    """
    teacher = None
    if cfg.DISTILL.CHECKPOINT:
        with torch.random.fork_rng():  # its first weights, which the checkpoint's replace, cost the run no random numbers
            teacher_cfg, network, _ = _trained(cfg.DISTILL.CHECKPOINT, None, (), device)
        teacher = Teacher(network, teacher_cfg)
    return build_objective(cfg, model, teacher=teacher).to(device)


def load_deployed(
    checkpoint: str | os.PathLike, *, cfg_path: str | os.PathLike | None = None, pairs: Sequence[str] = ()
) -> tuple[Deployed, dict]:
    """A trained model that takes pixels, for ``export_model``, and what a user of the exported file has to know; see ``load_predictor``."""
    cfg, model, names = _trained(checkpoint, cfg_path, pairs, torch.device("cpu"))
    normalize = ClipNormalize(cfg.DATA.MEAN, cfg.DATA.STD, reverse_channels=cfg.DATA.REVERSE_INPUT_CHANNEL)
    facts = {
        "input": "clips: float32 (N, C, T, H, W), pixel values 0..255, RGB",
        "output": "logits: float32 (N, K)",
        "clip_shape": [cfg.DATA.INPUT_CHANNEL_NUM[0], cfg.DATA.NUM_FRAMES, cfg.DATA.TEST_CROP_SIZE, cfg.DATA.TEST_CROP_SIZE],
        "sampling": f"{cfg.DATA.SAMPLING}, {cfg.DATA.NUM_FRAMES} frames x rate {cfg.DATA.SAMPLING_RATE}",
        "short_side": cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE,
        "model": cfg.MODEL.MODEL_NAME,
        "class_names": names,
    }
    return Deployed(normalize, model), facts


def build_cost(cfg, path: str) -> ModelCost:
    """What the model of a config costs; ``path`` of the config, for tables."""
    size = cfg.DATA.TRAIN_CROP_SIZE
    clip_shape = (cfg.DATA.INPUT_CHANNEL_NUM[0], cfg.DATA.NUM_FRAMES, size, size)
    return ModelCost(path, cfg.MODEL.MODEL_NAME, clip_shape, stages(build_model(cfg), clip_shape))


def describe_setting(precision: Precision, *, channels_last: bool, compiled: bool) -> str:
    """``"bf16, channels_last_3d, compiled"``"""
    return ", ".join([precision.name, "channels_last_3d" if channels_last else "contiguous", "compiled" if compiled else "eager"])


def benchmark_batch(cfg, n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """``n`` random clips and labels as the config's training has them; seeds what follows."""
    prepare_device(cfg, device)
    size = cfg.DATA.TRAIN_CROP_SIZE
    return random_batch(n, num_frames=cfg.DATA.NUM_FRAMES, size=size, num_classes=cfg.MODEL.NUM_CLASSES, device=device)


def build_settings(cfg, device: torch.device) -> list[Setting]:
    """The plain setting, then the config's."""
    settings = []
    choices = [("fp32", False, False), (cfg.TRAIN.PRECISION, cfg.TRAIN.CHANNELS_LAST, cfg.TRAIN.COMPILE)]
    for name, channels_last, compiled in choices:
        precision = pick_precision(name, device, key="TRAIN.PRECISION")
        torch.manual_seed(cfg.RNG_SEED)  # the same weights in both
        objective = objective_on_device(cfg, model_on_device(cfg, device, channels_last=channels_last, compiled=compiled), device)
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


DGAM_SWIN_B = {
    "MODEL.MODEL_NAME": "DGAM",
    "MODEL.NUM_CLASSES": 12,
    "DGAM.BACKBONE": "VideoSwin",
    "SWIN.SIZE": "B",
    "DATA.NUM_FRAMES": 32,
    "DATA.TRAIN_CROP_SIZE": 224,
    "DATA.INPUT_CHANNEL_NUM": [3],
    "SOLVER.OPTIMIZING_METHOD": "adamw",
}


def dgam_step(cfg):
    """The config if its model is DGAM, else with DGAM in front of Swin-B, as published."""
    return cfg if cfg.MODEL.MODEL_NAME == "DGAM" else changed(cfg, DGAM_SWIN_B)


def dgam_benchmark(cfg, device: torch.device, *, clips: int, rounds: int) -> str:
    """The table of ``benchmark_dgam``; then, on a GPU or where the config's model is DGAM, the share of its training step."""
    table = benchmark_dgam(dark_clips(clips, device=device), rounds=rounds)
    if device.type == "cpu" and cfg.MODEL.MODEL_NAME != "DGAM":
        return f"{table}\nshare of a training step: on a GPU, or with MODEL.MODEL_NAME DGAM and its sizes"
    cfg = dgam_step(cfg)
    batch, setting = benchmark_batch(cfg, clips, device), build_settings(cfg, device)[-1]
    title = f"DGAM, {cfg.DGAM.BACKBONE}, clips {tuple(batch[0].shape)}, {setting.name}"
    return f"{table}\n\n{title}\n{benchmark_shares(setting, *batch, clip_norm=cfg.SOLVER.CLIP_GRADIENT, rounds=rounds)}"


LOADER_WORKS = {
    "train, 1 view": ("train", {"AUG.ENABLE": False, "AUG.NUM_SAMPLE": 1}),
    "train, RandAugment m7-n4, 2 views": (
        "train",
        {"AUG.ENABLE": True, "AUG.AA_TYPE": "rand-m7-n4-mstd0.5-inc1", "AUG.NUM_SAMPLE": 2, "AUG.ORDER": "crop_first"},
    ),
    "the same, published order": (
        "train",
        {"AUG.ENABLE": True, "AUG.AA_TYPE": "rand-m7-n4-mstd0.5-inc1", "AUG.NUM_SAMPLE": 2, "AUG.ORDER": "published"},
    ),
    "test, 4 x 3 views": ("test", {"TEST.NUM_ENSEMBLE_VIEWS": 4, "TEST.NUM_SPATIAL_CROPS": 3}),
}


def build_works(cfg) -> list[Work]:
    """The items of ``benchmark_loader`` with the config's frames, rates and sizes."""

    def work(name: str, split: str, changes: dict) -> Work:
        its_cfg = changed(cfg, changes)
        return Work(name, lambda paths: build_dataset(its_cfg, split, [VideoRecord(path, 0) for path in paths])[0])

    split, changes = LOADER_WORKS["test, 4 x 3 views"]
    reduced = {**changes, "DATA.DECODE_SHORT_SIDE": cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE}
    works = [work(name, *setting) for name, setting in LOADER_WORKS.items()]
    return [*works, work("the same, resized while decoding", split, reduced)]


def loader_benchmark(cfg, *, rounds: int, list_files: int) -> str:
    """The table of ``benchmark_loader`` over generated files and, where there is one, the first files of the training list."""
    torch.set_num_threads(1)  # both as in a reading process
    keep_freed_memory()
    workers = min(cfg.DATA_LOADER.NUM_WORKERS, usable_cores())
    notes = [
        f"CPU time on one core, {rounds} rounds, everything in turn; clips/s of the whole loader by the clock on the wall, "
        f"DATA_LOADER.NUM_WORKERS {workers}; {machine(torch.device('cpu'))}"
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = generated_files(Path(folder))
        try:
            records = build_loader(cfg, "train").dataset.records
            files["training list"] = [record.path for record in records[:list_files]]
        except ListError as error:
            notes.append(f"no training list: {error}")
        return "\n".join([*notes, benchmark_loader(files, build_works(cfg), rounds=rounds, workers=workers)])


def build_objective_settings(cfg, device: torch.device) -> list[Setting]:
    """The config's model trained plainly, with Mixup and with SV-Mix, everything else alike."""
    ways = {
        "plain": {"MIXUP.ENABLE": False},
        "mixup": {"MIXUP.ENABLE": True, "MIXUP.TYPE": "mixup"},
        "svmix": {"MIXUP.ENABLE": True, "MIXUP.TYPE": "svmix"},
    }
    precision = pick_precision(cfg.TRAIN.PRECISION, device, key="TRAIN.PRECISION")
    settings = []
    for name, changes in ways.items():
        its_cfg = changed(cfg, changes)
        torch.manual_seed(cfg.RNG_SEED)
        model = model_on_device(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST, compiled=cfg.TRAIN.COMPILE)
        objective = build_objective(its_cfg, model).to(device)
        prepare = build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST)
        settings.append(Setting(name, objective, build_optimizer(its_cfg, objective), precision, prepare))
    return settings
