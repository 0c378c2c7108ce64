"""Builds the tokens of the lists and the probes of them from the config, and writes what comes of them."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import nn

from fragrant.checkpoint import checkpoint_hash, save_checkpoint
from fragrant.config import changed, dump_cfg
from fragrant.data.build import enhancement_name, fold_of
from fragrant.data.datasets.splits import groups_by_rule
from fragrant.features.build import SPLITS, Source, build_source
from fragrant.features.cache import FeatureError
from fragrant.features.clip_network import ClipNetwork
from fragrant.features.extract import rows_of
from fragrant.features.probes.study import Probed, ProbeStudy
from fragrant.features.probes.tokens import Shelf, TokenTable
from fragrant.features.probes.train import Schedule, Trial
from fragrant.layers.probe import Probe
from fragrant.models import build_model
from fragrant.models.build import build_probe
from fragrant.models.probed import Probed as ProbedNetwork
from fragrant.plugins import loaded_plugins
from fragrant.scores import ScoreTable, save_table
from fragrant.scores.table import grid_views

BYTES_PER_GB = 1e9
PLACES = 3  # where tokens are kept: of the training list, of the test list, and as a probe prepares them


def extract_tokens(
    cfg: CfgNode, mode: str, device: torch.device, say: Callable[[str], None]
) -> tuple[Source, dict[str, TokenTable]]:
    """Computes the tokens of the training and the test list, or finds them in the cache.

    Args:
        mode: see ``build_source``.

    Raises:
        FeatureError, WeightsError, ListError, VideoError: the settings, the weights, a list or a video is wrong.
    """
    source = build_source(cfg, mode, device, say, tokens=True)
    return source, {split: token_table(source, split, mode, cfg.PROBE.MEMORY_GB, say) for split in SPLITS}


def token_table(source: Source, split: str, mode: str, room: float, say: Callable[[str], None]) -> TokenTable:
    """The tokens of a split, of which a third of ``room`` GB stays in memory. The frames of a video are one view."""

    def in_views(rows: np.ndarray | None) -> np.ndarray | None:
        """(V, L, D), or of frames (T, L, D) or (T, D) -> (V, L, D)"""
        return rows if rows is None or mode == "clips" else rows.reshape(1, -1, rows.shape[-1])

    records, class_names = source.videos[split]
    files: dict[int, Path] = {}
    shelf = Shelf(lambda video: in_views(source.cache.read(files[video])), room=room * BYTES_PER_GB / PLACES)
    shape: tuple[int, ...] = ()
    title = f"{split} tokens"
    for video, rows, path in rows_of(
        source.datasets[split], source.extractor, source.cache, title=title, say=say, half=True
    ):
        files[video] = path
        tokens = cast(np.ndarray, in_views(rows))
        shape = tokens.shape
        shelf.keep(video, tokens)
    paths = [record.path for record in records]
    return TokenTable(shelf, records.labels, shape[0], paths, class_names, source.settings, shape[2])


def build_probe_study(cfg: CfgNode, kind: str, device: torch.device) -> ProbeStudy:
    """Builds the study of a kind of probe.

    Raises:
        FeatureError: the choice is to be made on the test list.
    """
    if cfg.TEST.SELECT_ON == "test":
        raise FeatureError(
            "TEST.SELECT_ON test: a probe is chosen by cross-validation inside the training list; allowed: val"
        )
    return ProbeStudy(
        kind=kind,
        num_classes=cfg.MODEL.NUM_CLASSES,
        make=partial(build_probe, cfg, kind),
        trials=tuple(itertools.starmap(Trial, itertools.product(cfg.PROBE.LRS, cfg.PROBE.WEIGHT_DECAYS))),
        schedule=Schedule(cfg.PROBE.EPOCHS, cfg.PROBE.VIEWS_PER_STEP),
        folds=cfg.FEATURES.FOLDS,
        seeds=tuple(cfg.FEATURES.SEEDS),
        rule=f"{cfg.DATA.ENSEMBLE_METHOD}-{cfg.TEST.ENSEMBLE_SPACE}",
        device=device,
    )


def probe_videos(
    cfg: CfgNode, kinds: Sequence[str], mode: str, device: torch.device, say: Callable[[str], None]
) -> tuple[list[dict], list[str] | None]:
    """Trains, chooses and tests probes of these kinds, one per seed; returns their results and the class names.

    Writes of each to OUTPUT_DIR: scores_<kind>_seed<seed>.npz, a score table of the test; probe_<kind>_seed<seed>.pyth,
    with ``mode`` "clips" a checkpoint of the whole network with the probe as its head, with "frames" the probe alone.

    Raises:
        FeatureError, ModelError, WeightsError, ListError, VideoError: something of the input is wrong.
    """
    studies = [build_probe_study(cfg, kind, device) for kind in dict.fromkeys(kinds)]
    source, tables = extract_tokens(cfg, mode, device, say)
    groups = groups_by_rule(source.videos["train"].records, cfg.DATA.GROUP_BY)
    results = []
    for study in studies:
        for probed in study.run(tables["train"], tables["test"], groups):
            results.append(probed.result)
            save_probe(cfg, source.extractor.network, probed, tables["test"])
    return results, tables["test"].class_names


def save_probe(cfg: CfgNode, network: nn.Module, probed: Probed, test: TokenTable) -> None:
    """Writes a probe and its scores; see ``probe_videos``."""
    kind, folder = probed.result["classifier"], Path(cfg.OUTPUT_DIR)
    name = f"{kind}_seed{probed.result['seed']}"
    probe = probed.probe.to("cpu")
    path = folder / f"probe_{name}.pyth"
    facts = {"class_names": test.class_names, "protocol": probed.result["protocol"]}
    if isinstance(network, ClipNetwork):
        save_checkpoint(path, facts | network_with_probe(cfg, network, probe, kind))
    else:
        save_checkpoint(path, facts | {"probe_state": dict(probe.state_dict()), "cfg": dump_cfg(cfg)})
    header = {
        "checkpoint": str(path),
        "checkpoint_hash": checkpoint_hash(path),
        "config": dump_cfg(cfg),
        "model": cfg.MODEL.MODEL_NAME if isinstance(network, ClipNetwork) else cfg.FEATURES.NETWORK,
        "num_videos": len(test.labels),
        "rule": f"{cfg.DATA.ENSEMBLE_METHOD}-{cfg.TEST.ENSEMBLE_SPACE}",
        "probe": {key: probed.result[key] for key in ("classifier", "seed", "hyper_parameters")},
        **({"fold": fold} if (fold := fold_of(cfg)) else {}),
    }
    clips, crops = (cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS) if test.views > 1 else (1, 1)
    views, labels = grid_views(clips, crops, enhancement_name(cfg)), torch.as_tensor(test.labels)
    names = tuple(test.class_names or ()) or None
    table = ScoreTable.whole(test.paths, labels, probed.logits, views, class_names=names, header=header)
    save_table(folder / f"scores_{name}.npz", table)


def network_with_probe(cfg: CfgNode, network: ClipNetwork, probe: Probe, kind: str) -> dict:
    """Content of a checkpoint of the network that gave the tokens, with the probe as its head."""
    with_probe = changed(cfg, {"MODEL.HEAD": kind})
    with torch.random.fork_rng(devices=[]):
        model = build_model(with_probe)
    net = network.backbone
    if isinstance(net, ProbedNetwork):  # without its old probe
        net = net.backbone
    own = {f"backbone.{name}": weight.cpu() for name, weight in net.state_dict().items()}
    own |= {f"probe.{name}": weight for name, weight in probe.state_dict().items()}
    state = {name: own[name] for name in model.state_dict()}
    return {"model_state": state, "cfg": dump_cfg(with_probe), "plugins": loaded_plugins()}
