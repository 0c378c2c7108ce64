"""Adapts the network of a test as the config says, and says what of its numbers became transductive."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.checkpoint import ONLY_FOR_RESUMING, checkpoint_hash, save_checkpoint
from fragrant.config import dump_cfg
from fragrant.data.build import build_loader, loader_of
from fragrant.data.datasets.build import VideoSet, unlabelled_list
from fragrant.data.lists.shared import shared_videos
from fragrant.data.loader import ClipLoader
from fragrant.distributed import from_main
from fragrant.engine.build import Job, part_of
from fragrant.engine.precise_bn import prepared_clips
from fragrant.engine.skipped import SkipReport
from fragrant.files import whole_path
from fragrant.models.backbone import Backbone
from fragrant.runtime.adaptation.batch_norm import OwnStatistics, adapt_batch_norm, need_batch_norms
from fragrant.runtime.adaptation.vitta import Statistics, Step, Vitta, load_statistics, measure_outputs, save_statistics
from fragrant.runtime.precision import pick_precision

ADAPTED = "checkpoints/adapted.pyth"  # in OUTPUT_DIR
TRANSDUCTIVE = "transductive: BatchNorm statistics were measured on {} of the {} test videos, without their labels"
LABELLED = "transductive: pseudo-labels that were trained on are made of {} of the {} test videos, without their labels"
ONLINE = "transductive: TEST.ADAPT {} online, every test video changed the network for those after it"


def check_adaptation(cfg: CfgNode, model: nn.Module) -> None:
    """What the adaptation after a training would find wrong, before it: nobody trains for days to hear it then.

    Raises:
        UserError: the list of BN.ADAPT_LIST or the file of TEST.ADAPT_STATISTICS is not there or wrong, or the model
            has no BatchNorm.
    """
    if not cfg.TEST.ENABLE:
        return
    if cfg.BN.ADAPT_LIST:
        need_batch_norms(model, f"BN.ADAPT_LIST '{cfg.BN.ADAPT_LIST}'")
        unlabelled_list(cfg, cfg.BN.ADAPT_LIST)
    if cfg.TEST.ADAPT == "bn":
        need_batch_norms(model, "TEST.ADAPT bn")
    if cfg.TEST.ADAPT == "vitta" and cfg.TEST.ADAPT_STATISTICS:
        load_statistics(cfg.TEST.ADAPT_STATISTICS, torch.device("cpu"))


def adapt_to_list(job: Job, model: Backbone, state: dict, weights: str) -> tuple[dict, str]:
    """Measures BatchNorm statistics on BN.ADAPT_LIST, in place, and writes the network to ``ADAPTED``; without a list
    nothing happens.

    Args:
        state: the checkpoint that the model was loaded from, ``weights`` its path.

    Returns:
        The content and the path of the checkpoint that the model is now as.

    Raises:
        UserError: the list is not there or wrong, the model has no BatchNorm, or the file cannot be written.
    """
    settings = job.cfg
    if not settings.BN.ADAPT_LIST:
        return state, weights
    need_batch_norms(model, f"BN.ADAPT_LIST '{settings.BN.ADAPT_LIST}'")
    records, labelled = unlabelled_list(settings, settings.BN.ADAPT_LIST)
    loader = loader_of(settings, VideoSet(records, None), "val")
    how = {"prior": settings.BN.ADAPT_PRIOR, "autocast": autocast_of(job), "device": job.device}
    with torch.random.fork_rng(devices=[]):
        measured = adapt_batch_norm(model, clips_of(job, loader, "adaptation"), **how)
    SkipReport(job.log, loader).report("adaptation", device=job.device)
    path = Path(settings.OUTPUT_DIR, ADAPTED)
    state = adapted_state(settings, model, state, records)
    from_main(partial(save_checkpoint, path, state, own_name=part_of(settings)))
    labels = f"the labels of {labelled} of its rows are not read" if labelled else "it has no labels"
    mixed = f", mixed with those of the weights, which count for {how['prior']:g} clips" if how["prior"] else ""
    job.log.say(
        f"BatchNorm statistics of {measured.layers} layers measured on {measured.clips} videos of {records.source} "
        f"({labels}){mixed}; written to {path}"
    )
    return state, str(path)


def adapted_state(cfg: CfgNode, model: Backbone, state: dict, records: Sequence) -> dict:
    """The checkpoint of the adapted network: the weights as they are tested, the rest as it was."""
    left = ONLY_FOR_RESUMING | {"model_state", "objective_state", "path"}
    paths = [whole_path(record.path) for record in records]
    before = list(state.get("adapted_on") or ())
    return {key: value for key, value in state.items() if key not in left and key in _KEPT} | {
        "model_state": {name: value.cpu() for name, value in model.state_dict().items()},
        "cfg": state["cfg"] if isinstance(state.get("cfg"), str) else dump_cfg(cfg),
        "adapted_on": list(dict.fromkeys([*before, *paths])),
    }


# of a checkpoint: what a test needs to know of the weights
_KEPT = {"epoch", "step", "best", "class_names", "plugins", "accepted_changes", "selected_on", "protocol", "adapted_on"}
_KEPT |= {"pseudo_labelled"}


def clips_of(job: Job, loader: ClipLoader, title: str) -> Iterator[Tensor]:
    """The prepared clips of a loader's batches, (N, C, T, H, W) each."""
    watched = job.stop.watch(job.log.bar(iter(loader), total=len(loader), title=title))
    return prepared_clips(watched, job.prepare, job.device)


def autocast_of(job: Job):
    return pick_precision(job.cfg.TEST.PRECISION, job.device, key="TEST.PRECISION").autocast


def adaptive(job: Job, model: Backbone, weights: str) -> nn.Module:
    """The model as TEST.ADAPT has it: it takes one video at a time; with "none" the model itself.

    Raises:
        UserError: the model has no such layers, or TEST.ADAPT_STATISTICS is of another network or no such file.
    """
    test = job.cfg.TEST
    online = test.ADAPT_MODE == "online"
    if test.ADAPT == "bn":
        adapted = OwnStatistics(model, prior=test.ADAPT_PRIOR, online=online)
        job.log.say(
            f"TEST.ADAPT bn, {test.ADAPT_MODE}: {len(adapted.layers)} BatchNorm layers take the statistics of each "
            f"video's views, those of the weights count for {test.ADAPT_PRIOR:g} views"
        )
        return adapted
    if test.ADAPT == "vitta":
        step = Step(test.ADAPT_LR, test.ADAPT_MOMENTUM, test.ADAPT_CONSISTENCY, test.ADAPT_VIEWS)
        vitta = Vitta(model, training_statistics(job, model, weights), step, online=online)
        job.log.say(
            f"TEST.ADAPT vitta, {test.ADAPT_MODE}: a step of {step.lr:g} for each video, towards the training "
            f"statistics of {len(vitta.layers)} norm layers"
        )
        return vitta
    return model


def training_statistics(job: Job, model: Backbone, weights: str) -> Statistics:
    """Those of TEST.ADAPT_STATISTICS, else measured on the training list, one view of each video, and written."""
    test = job.cfg.TEST
    digest = checkpoint_hash(weights)
    if test.ADAPT_STATISTICS:
        found, header = load_statistics(test.ADAPT_STATISTICS, job.device)
        if header.get("checkpoint_hash") != digest:
            job.log.warn(
                f"TEST.ADAPT_STATISTICS {test.ADAPT_STATISTICS} was measured with other weights, "
                f"{header.get('checkpoint')}"
            )
        return found
    loader = build_loader(job.cfg, "train", views_of="val")
    with torch.random.fork_rng(devices=[]):
        found = measure_outputs(
            model,
            clips_of(job, loader, "training statistics"),
            share=test.ADAPT_LAYERS,
            autocast=autocast_of(job),
            device=job.device,
        )
    SkipReport(job.log, loader).report("training statistics", device=job.device)
    path = str(Path(job.cfg.OUTPUT_DIR, "norm_statistics.npz"))
    header = {"checkpoint": weights, "checkpoint_hash": digest, "videos": len(loader.dataset)}
    from_main(partial(save_statistics, path, found, header, own_name=part_of(job.cfg)))
    job.log.say(f"training statistics of {len(found)} norm layers, of {len(loader.dataset)} videos, are in {path}")
    return found


def adaptation_notes(cfg: CfgNode, state: dict, test: Sequence[str]) -> list[str]:
    """What a reader has to know of the numbers of an adapted network on these videos."""
    notes = []
    if shared := shared_videos(test, state.get("adapted_on") or ()):
        notes.append(TRANSDUCTIVE.format(len(shared), len(test)))
    if shared := shared_videos(test, state.get("pseudo_labelled") or ()):
        notes.append(LABELLED.format(len(shared), len(test)))
    if cfg.TEST.ADAPT != "none" and cfg.TEST.ADAPT_MODE == "online":
        notes.append(ONLINE.format(cfg.TEST.ADAPT))
    return notes
