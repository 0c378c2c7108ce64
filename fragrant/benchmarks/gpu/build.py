"""Builds what is measured from the configs: the networks that a user trains, in this package's form and in the
published one."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from fragrant.benchmarks.build import benchmark_batch
from fragrant.benchmarks.gpu.gpu_tests import ROOT
from fragrant.benchmarks.gpu.published_forms import as_published, unfused_attention
from fragrant.benchmarks.gpu.sizes import Sizes
from fragrant.benchmarks.gpu.steps import Network, Trained, forward_macs, published_step
from fragrant.config import load_cfg
from fragrant.config.streams import clip_channels
from fragrant.data import build_dataset
from fragrant.data.lists.records import VideoRecord
from fragrant.data.loader import ClipLoader, TrainBatches
from fragrant.layers.normalize import ClipNormalize
from fragrant.optim import build_optimizer
from fragrant.optim.step import Stepper
from fragrant.runtime.build import build_preparation, model_on_device, objective_on_device, prepare_device
from fragrant.runtime.precision import pick_precision

UNIFORMER = "kinetics/uniformer_s_16x4.yaml"
NETWORKS = {
    "UniFormer-S": Network("UniFormer-S 16x224", UNIFORMER, {}, 16),
    "FRAGRANT-S": Network("FRAGRANT-S 16x224", UNIFORMER, {"MODEL.MODEL_NAME": "Fragrant"}, 16),
    "MIE-Net": Network("MIE-Net R50 8x4x224", "ssv2/mie_net_r50.yaml", {}, 16),
    "CSN-152": Network("ir-CSN-152 32x224", "kinetics/csn_ir_152.yaml", {}, 12),
    "DGAM": Network("Swin-B + DGAM 32x224", "ellar/dgam_swin_b_one_stage.yaml", {}, 8),
}


def network_cfg(network: Network, sizes: Sizes, **changes):
    """Effective config of a network at these sizes."""
    pairs = [str(word) for pair in {**network.changes, **changes}.items() for word in pair] + list(sizes.changes)
    if sizes.small and network.config != NETWORKS["MIE-Net"].config:
        pairs += ["DATA.NUM_FRAMES", "8"]
    return load_cfg(str(ROOT / "configs" / network.config), pairs)


def _clip_shape(cfg: CfgNode) -> tuple[int, ...]:
    return (clip_channels(cfg), cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TRAIN_CROP_SIZE)


def count_forward(network: Network, sizes: Sizes) -> float:
    """Counts the multiply-adds of a network's forward pass of one clip."""
    cfg = network_cfg(network, sizes)
    return forward_macs(
        model_on_device(cfg, torch.device("cpu"), channels_last=False, compiled=False), _clip_shape(cfg)
    )


def ours(network: Network, device: torch.device, sizes: Sizes, *, compiled: bool = False) -> Trained:
    """Builds a network's training step in this package's form: bf16 autocast, channels_last_3d, fused optimiser, which
    is a run's default on a GPU but for the layout."""
    cfg = network_cfg(network, sizes)
    clips, labels = benchmark_batch(cfg, sizes.clips(network.clips), device)
    model = model_on_device(cfg, device, channels_last=True, compiled=compiled)
    objective = objective_on_device(cfg, model, device).train()
    precision = pick_precision("bf16", device, key="TRAIN.PRECISION")
    stepper = Stepper(
        objective,
        build_optimizer(cfg, objective),
        scaler=precision.grad_scaler(),
        clip_norm=cfg.SOLVER.CLIP_GRADIENT,
        max_bad_steps=10**9,
    )
    prepare, ids = build_preparation(cfg, device, channels_last=True), torch.arange(len(clips))

    def step() -> None:
        stepper.begin(1e-6, remaining=1)
        with precision.autocast():
            loss = objective(prepare(clips), labels).loss
        stepper.backward(loss, ids)

    return Trained(model, step, f"bf16, channels_last_3d, {'compiled' if compiled else 'eager'}")


def published(network: Network, device: torch.device, sizes: Sizes) -> Trained:
    """Builds a network's training step with the published modules: fp16 autocast (CPU: bf16), contiguous, eager, the
    optimiser's default form."""
    cfg = network_cfg(network, sizes)
    clips, labels = benchmark_batch(cfg, sizes.clips(network.clips), device)
    model = model_on_device(cfg, device, channels_last=False, compiled=False)
    swapped = as_published(model)
    objective = objective_on_device(cfg, model, device).train()
    parameters = [p for p in objective.parameters() if p.requires_grad]
    optimizer: torch.optim.Optimizer
    if cfg.SOLVER.OPTIMIZING_METHOD == "sgd":
        optimizer = torch.optim.SGD(
            parameters, lr=1e-6, momentum=cfg.SOLVER.MOMENTUM, weight_decay=cfg.SOLVER.WEIGHT_DECAY
        )
    else:
        optimizer = torch.optim.AdamW(parameters, lr=1e-6, weight_decay=cfg.SOLVER.WEIGHT_DECAY)
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    step = published_step(
        lambda inputs, labels: objective(inputs, labels).loss,
        parameters,
        optimizer,
        clips.contiguous(),
        labels,
        normalize=ClipNormalize(cfg.DATA.MEAN, cfg.DATA.STD).to(device),
        clip_norm=cfg.SOLVER.CLIP_GRADIENT,
        dtype=dtype,
    )
    name = "fp16" if dtype == torch.float16 else "bf16"
    return Trained(
        model,
        step,
        f"{name} autocast, contiguous, eager; published: {', '.join(swapped) or 'no module'}",
        unfused_attention,
    )


def preparation(device: torch.device, sizes: Sizes) -> tuple[Callable[[Tensor], Tensor], Tensor, ClipNormalize]:
    """Builds the preparation of clips to compare: this package's, uint8 clips (N, 3, T, S, S) as the loader gives them,
    the plain module."""
    cfg = network_cfg(NETWORKS["UniFormer-S"], sizes)
    clips, _ = benchmark_batch(cfg, sizes.clips(32), device)
    plain = ClipNormalize(cfg.DATA.MEAN, cfg.DATA.STD).to(device)
    return build_preparation(cfg, device, channels_last=True), clips, plain


def waiting(
    paths: list[str], device: torch.device, sizes: Sizes, *, workers: int, cache: Path | None, batches: int
) -> dict:
    """Measures the share of an epoch's time in which the loop waits for the next batch: the real loader, the real step
    of UniFormer-S.

    Args:
        paths: videos; they are repeated until they fill the epoch.
        cache: folder for decoded frames, filled by a first epoch, which is not counted; None = no cache.
    """
    network = NETWORKS["UniFormer-S"]
    changes = {"DATA.CACHE_DIR": str(cache)} if cache else {}
    cfg = network_cfg(network, sizes, **changes)
    prepare_device(cfg, device)
    videos, ahead = sizes.clips(16), 3
    needed = videos * (batches + ahead)
    records = [
        VideoRecord(path, number % 2) for number, path in zip(range(needed), itertools.cycle(paths), strict=False)
    ]
    dataset, views = build_dataset(cfg, "train", records)
    order = TrainBatches(len(records), batch_size=videos, seed=0)
    loader = ClipLoader(dataset, order, num_workers=workers, pin_memory=device.type == "cuda", num_views=views)
    model = model_on_device(cfg, device, channels_last=True, compiled=False)
    objective = objective_on_device(cfg, model, device).train()
    precision = pick_precision("bf16", device, key="TRAIN.PRECISION")
    stepper = Stepper(
        objective, build_optimizer(cfg, objective), scaler=precision.grad_scaler(), clip_norm=20.0, max_bad_steps=10**9
    )
    prepare = build_preparation(cfg, device, channels_last=True)

    def step(loaded) -> None:
        clips = loaded.clips.to(device, non_blocking=True).flatten(0, 1)  # (B*V, C, T, H, W)
        labels = loaded.labels.to(device, non_blocking=True).repeat_interleave(views)
        stepper.begin(1e-6, remaining=1)
        with precision.autocast():
            loss = objective(prepare(clips), labels).loss
        stepper.backward(loss, loaded.ids)
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # so that the wait for a batch is the device's idle time

    if cache:
        for _ in loader:
            pass
    loader.set_epoch(1)
    waited, total, counted = waits_between(loader, step, ahead=ahead)
    done = counted * videos
    return {
        "share_waited": waited / total,
        "videos_per_second": done / total,
        "clips_per_second": done * views / total,
        "views": views,
        "workers": workers,
        "batches": counted,
        "files": len(paths),
    }


def waits_between(loader: ClipLoader, step: Callable[[Any], None], *, ahead: int) -> tuple[float, float, int]:
    """Measures the waiting for batches: seconds waited, seconds in all, number of batches, after the first ``ahead``,
    which fill the pipeline."""
    waited, counted, began = 0.0, 0, time.perf_counter()
    batches = iter(loader)
    while True:
        asked = time.perf_counter()
        loaded = next(batches, None)
        if loaded is None:
            return waited, time.perf_counter() - began, counted - ahead
        got = time.perf_counter()
        step(loaded)
        counted += 1
        if counted == ahead:
            waited, began = 0.0, time.perf_counter()
        elif counted > ahead:
            waited += got - asked
