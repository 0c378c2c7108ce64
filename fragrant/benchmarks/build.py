"""Builds what is measured from the config: settings of a model, items of a loader."""

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from fragrant.benchmarks.dgam import benchmark_dgam, dark_clips
from fragrant.benchmarks.loader import Work, benchmark_loader, generated_files
from fragrant.benchmarks.model import Setting, benchmark_shares, random_batch
from fragrant.benchmarks.shards import benchmark_shards, packed
from fragrant.benchmarks.timing import machine
from fragrant.checkpoint import save_checkpoint
from fragrant.config import changed, dump_cfg
from fragrant.config.streams import has_pairs, has_two_streams
from fragrant.data import build_dataset, build_loader
from fragrant.data.build import frame_opener, hand_over
from fragrant.data.clips import ClipDataset
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import VideoRecord
from fragrant.errors import UserError
from fragrant.models import Backbone, build_model
from fragrant.models.dual_stream import FUSIONS, NOT_A_TRUNK
from fragrant.objectives import build_objective
from fragrant.objectives.build import DARKENER, build_darkener
from fragrant.optim import build_optimizer
from fragrant.runtime.build import (
    build_preparation,
    describe_setting,
    model_on_device,
    objective_on_device,
    prepare_device,
)
from fragrant.runtime.precision import pick_precision
from fragrant.workers import keep_freed_memory, usable_cores


def benchmark_batch(cfg: CfgNode, n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random batch of ``n`` clips and labels as in the config's training; also seeds the random generators."""
    prepare_device(cfg, device)
    size = cfg.DATA.TRAIN_CROP_SIZE
    clip = {"num_frames": cfg.DATA.NUM_FRAMES, "size": size, "streams": 2 if has_pairs(cfg) else 1}
    return random_batch(n, **clip, num_classes=cfg.MODEL.NUM_CLASSES, device=device)


def build_settings(cfg: CfgNode, device: torch.device) -> list[Setting]:
    """Builds the settings to compare: the plain one, then the config's."""
    settings = []
    choices = [("fp32", False, False), (cfg.TRAIN.PRECISION, cfg.TRAIN.CHANNELS_LAST, cfg.TRAIN.COMPILE)]
    for name, channels_last, compiled in choices:
        precision = pick_precision(name, device, key="TRAIN.PRECISION")
        torch.manual_seed(cfg.RNG_SEED)  # the same weights in both
        objective = objective_on_device(
            cfg, model_on_device(cfg, device, channels_last=channels_last, compiled=compiled), device
        )
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


def dgam_step(cfg: CfgNode):
    """The config of DGAM's training step: the given one if its model is DGAM, else DGAM in front of Swin-B, as
    published."""
    return cfg if cfg.MODEL.MODEL_NAME == "DGAM" else changed(cfg, DGAM_SWIN_B)


def dgam_benchmark(cfg: CfgNode, device: torch.device, *, clips: int, rounds: int) -> str:
    """Table of ``benchmark_dgam``; then, on a GPU or where the config's model is DGAM, the share of its training
    step."""
    table = benchmark_dgam(dark_clips(clips, device=device), rounds=rounds)
    if device.type == "cpu" and cfg.MODEL.MODEL_NAME != "DGAM":
        return f"{table}\nshare of a training step: on a GPU, or with MODEL.MODEL_NAME DGAM and its sizes"
    cfg = dgam_step(cfg)
    batch, setting = benchmark_batch(cfg, clips, device), build_settings(cfg, device)[-1]
    title = f"DGAM, {cfg.DGAM.BACKBONE}, clips {tuple(batch[0].shape)}, {setting.name}"
    return f"{table}\n\n{title}\n{benchmark_shares(setting, *batch, clip_norm=cfg.SOLVER.CLIP_GRADIENT, rounds=rounds)}"


LOADER_WORKS: dict[str, tuple[str, dict[str, object]]] = {
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


def build_works(cfg: CfgNode) -> list[Work]:
    """Builds the items of ``benchmark_loader`` with the config's frames, rates and sizes."""

    def work(name: str, split: str, changes: dict) -> Work:
        its_cfg = changed(cfg, changes)
        frames = hand_over(its_cfg, split)

        def dataset_of(paths: Sequence[str]) -> ClipDataset:
            records = [VideoRecord(path, 0) for path in paths]
            return build_dataset(its_cfg, split, records, hand_over=frames)[0]

        return Work(name, dataset_of)

    split, changes = LOADER_WORKS["test, 4 x 3 views"]
    reduced = {
        **changes,
        "DATA.TRANSFORM_ON": "cpu",
        "DATA.DECODE_SHORT_SIDE": cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE,
    }
    works = []
    for name, (split_of, own) in LOADER_WORKS.items():
        works.append(work(name, split_of, own | {"DATA.TRANSFORM_ON": "cpu"}))
        if name != "the same, published order":
            works.append(work("the same, on the device", split_of, own | {"DATA.TRANSFORM_ON": "device"}))
    return [*works, work("the same, resized while decoding", split, reduced)]


def loader_benchmark(cfg: CfgNode, *, rounds: int, list_files: int) -> str:
    """Table of ``benchmark_loader`` over generated files and, where there is one, the first files of the training
    list."""
    torch.set_num_threads(1)  # both as in a reading process
    keep_freed_memory()
    workers = min(cfg.DATA_LOADER.NUM_WORKERS, usable_cores())
    notes = [
        f"CPU time on one core, {rounds} rounds, everything in turn; clips/s of the whole loader by the clock on "
        "the wall, "
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


def shards_benchmark(cfg: CfgNode, *, rounds: int, list_files: int) -> str:
    """The table of ``benchmark_shards`` over the first videos of the training list.

    Raises:
        UserError: there is no such list, or one of them cannot be read.
    """
    torch.set_num_threads(1)
    records = build_loader(cfg, "train").dataset.records
    records = records.pick(range(min(list_files, len(records))))
    with tempfile.TemporaryDirectory(dir=cfg.OUTPUT_DIR if os.path.isdir(cfg.OUTPUT_DIR) else None) as folder:
        shards = packed(records, folder, shard_bytes=1e6)
        tars = [path.stat().st_size for path in Path(folder).rglob("*.tar")]
        size = f"{len(records)} videos of {sum(tars) / len(records) / 1e3:.0f} KB in {len(tars)} shards"
        note = f"{size}, one core, median of {rounds} rounds, in turn; {machine(torch.device('cpu'))}"
        return f"{note}\n{benchmark_shards(records, shards, rounds=rounds, open_frames=frame_opener(cfg))}"


MASK_RATIOS = (0.5, 0.75, 0.9)
PLAIN: dict[str, object] = {
    "TRAIN.OBJECTIVE": "",
    "MIXUP.ENABLE": False,
    "TRAIN.EMA.ENABLE": False,
    "DISTILL.CHECKPOINT": "",
    "DARKENER.CHECKPOINT": "",
    "LOSS.SUPCON": 0.0,
    "LOSS.EACH_STREAM": 0.0,
}


def objective_ways(cfg: CfgNode, model: Backbone) -> dict[str, dict[str, object]]:
    """Settings of the objectives to compare, by name: plain first; masked reconstruction where this model can be
    masked and its tubes fit, with the config's own decoder."""
    plain, free = PLAIN, PLAIN | {"TEST.ENABLE": False}
    contrast = free | {"TRAIN.OBJECTIVE": "contrastive", "AUG.NUM_SAMPLE": max(cfg.AUG.NUM_SAMPLE, 2)}
    ways = {
        "plain": plain,
        "mixup": plain | {"MIXUP.ENABLE": True, "MIXUP.TYPE": "mixup"},
        "contrastive": contrast,
    }
    if has_two_streams(cfg) and cfg.DUAL.FUSION == "cross":  # of two vectors, which nobody contrasts
        del ways["contrastive"]
    try:
        build_objective(changed(cfg, free | {"TRAIN.OBJECTIVE": "masked"}), model)
    except UserError:
        ratios: Sequence[float] = ()
    else:
        ratios = MASK_RATIOS
    for ratio in ratios:
        ways[f"masked {ratio:g}"] = free | {"TRAIN.OBJECTIVE": "masked", "PRETRAIN.MASK_RATIO": ratio}
    ways |= dual_ways(cfg, model)
    return ways | {"svmix": plain | {"MIXUP.ENABLE": True, "MIXUP.TYPE": "svmix"}}


def through_two_streams(cfg: CfgNode, model: Backbone) -> dict[str, object]:
    """What makes two streams through the config's network of its own plain training."""
    heads = max(heads for heads in (8, 4, 2, 1) if model.num_features % heads == 0)
    return PLAIN | {"MODEL.MODEL_NAME": "DualStream", "DUAL.BACKBONE": cfg.MODEL.MODEL_NAME, "DUAL.NUM_HEADS": heads}


def dual_ways(cfg: CfgNode, model: Backbone) -> dict[str, dict[str, object]]:
    """Settings of the supervised contrast, and of two streams through the config's network, where it can be one of
    two."""
    contrast: dict[str, object] = {"LOSS.SUPCON": 0.5}
    ways = {"supcon": PLAIN | contrast | {"AUG.NUM_SAMPLE": max(cfg.AUG.NUM_SAMPLE, 2)}}
    if cfg.MODEL.MODEL_NAME in NOT_A_TRUNK:
        return ways if cfg.MODEL.MODEL_NAME != "DGAM" else {}  # a gate that learns takes no contrast
    two = through_two_streams(cfg, model)
    for fusion in FUSIONS:
        ways[f"two streams, {fusion}"] = two | {"DUAL.FUSION": fusion}
    ways["two streams, concat_bert, supcon"] = two | contrast
    ways["two streams, retinex"] = two | {"DUAL.ENHANCE": "retinex", "DUAL.GAMMA": 1.0}
    lists = {"DATA.COLOR_PATH_TO_DATA_DIR": "color", "DATA.THERMAL_PATH_TO_DATA_DIR": "thermal"}  # nobody reads them
    ways["pairs, cross"] = two | lists | {"DUAL.FUSION": "cross", "DUAL.MODALITY_DROPOUT": 0.2}
    ways["pairs, cross, two trunks"] = ways["pairs, cross"] | {"DUAL.SHARED": False}
    ways["pairs, cross, each stream"] = two | lists | {"DUAL.FUSION": "cross", "LOSS.EACH_STREAM": 1.0}
    return ways


def taught_ways(cfg: CfgNode, model: Backbone, folder: str) -> dict[str, dict[str, object]]:
    """Settings of a student of the config's network, and of two streams through it, where it can be one of two; the
    teachers have learned nothing, and are written to a folder."""
    if cfg.MODEL.MODEL_NAME in NOT_A_TRUNK:
        return {}
    ways: dict[str, dict[str, object]] = {}
    for name, changes in {
        "distill": PLAIN,
        "distill, two streams": through_two_streams(cfg, model) | {"DUAL.FUSION": "mean"},
    }.items():
        its_cfg, path = changed(cfg, changes), os.path.join(folder, f"{name}.pyth")
        save_checkpoint(path, {"model_state": build_model(its_cfg).state_dict(), "cfg": dump_cfg(its_cfg)})
        ways[name] = PLAIN | {"DISTILL.CHECKPOINT": path, "DISTILL.INPUT": "dark"}
    return ways


def darkener_ways(cfg: CfgNode, folder: str) -> dict[str, dict[str, object]]:
    """Settings of both halves of learning to darken; the second takes a darkener that has learned nothing, written to a
    folder."""
    if has_pairs(cfg):  # nobody darkens the clips of two cameras
        return {}
    as_it_is = PLAIN | {"DATA.GAMMA": [], "DATA.ENHANCE": "none", "TRAIN.COMPILE": False}
    alone: dict[str, object] = {"BN.USE_PRECISE_STATS": False, "TEST.ENABLE": False}
    start = {"TRAIN.CHECKPOINT_FILE_PATH": "untrained", "TRAIN.CHECKPOINT_EPOCH_RESET": True}
    ways = {"darkener": as_it_is | alone | start | {"TRAIN.OBJECTIVE": "darkener"}}
    if cfg.MODEL.MODEL_NAME == "DGAM":  # a gate that learns takes no copies
        return ways
    path = os.path.join(folder, "darkener.pyth")
    its_cfg = changed(cfg, ways["darkener"])
    weights = {f"{DARKENER}{name}": value for name, value in build_darkener(its_cfg).state_dict().items()}
    save_checkpoint(path, {"objective_state": weights, "cfg": dump_cfg(its_cfg)})
    return ways | {"dark copies": as_it_is | alone | {"DARKENER.CHECKPOINT": path}}


def _of_pairs(prepare: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """Prepares pairs of clips, of which the second ones are those of the next clips."""
    return prepare(torch.cat([pixels, pixels.roll(1, 0)], 1))


def build_objective_settings(cfg: CfgNode, device: torch.device) -> list[Setting]:
    """Builds the settings to compare: the config's model trained plainly, with Mixup, with SV-Mix, without labels, with
    supervised contrast, with two streams, taught, and with a darkener, everything else alike; all steps are given the
    same number of clips."""
    with tempfile.TemporaryDirectory() as folder:
        with torch.random.fork_rng():
            model = build_model(cfg)
            ways = objective_ways(cfg, model)
            mixer = {"svmix": ways.pop("svmix")}  # the last: its parts follow
            ways |= taught_ways(cfg, model, folder) | darkener_ways(cfg, folder) | mixer
        return settings_of(cfg, device, ways)


def settings_of(cfg: CfgNode, device: torch.device, ways: dict[str, dict[str, object]]) -> list[Setting]:
    """Builds the settings to compare, by name what is changed in the config."""
    precision = pick_precision(cfg.TRAIN.PRECISION, device, key="TRAIN.PRECISION")
    settings = []
    for name, changes in ways.items():
        its_cfg = changed(cfg, changes)
        torch.manual_seed(cfg.RNG_SEED)
        model = model_on_device(its_cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST, compiled=its_cfg.TRAIN.COMPILE)
        objective = objective_on_device(its_cfg, model, device)
        prepare: Callable[[Tensor], Tensor] = build_preparation(its_cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST)
        prepare = partial(_of_pairs, prepare) if has_pairs(its_cfg) and not has_pairs(cfg) else prepare
        settings.append(Setting(name, objective, build_optimizer(its_cfg, objective), precision, prepare))
    return settings
