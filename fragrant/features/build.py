"""Builds features, classifiers and the tables of the published study from the config."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from fvcore.common.config import CfgNode

from fragrant.checkpoint import CheckpointError, checkpoint_hash, load_checkpoint
from fragrant.config import changed
from fragrant.config.compare import note_on_clips
from fragrant.config.defaults import leaves
from fragrant.config.run_folder import refuse_fields
from fragrant.data import build_loader, build_records
from fragrant.data.build import frame_opener, gamma_range, remote_of
from fragrant.data.clips import ClipDataset
from fragrant.data.datasets.build import VideoSet
from fragrant.data.transforms.build import build_normalization, build_streams
from fragrant.data.transforms.enhance import enhancement_of
from fragrant.data.transforms.gamma import middle_gamma
from fragrant.data.views import frame_plan
from fragrant.distributed.run_lock import RunLock
from fragrant.features.cache import FeatureCache, FeatureError
from fragrant.features.clip_network import ClipNetwork
from fragrant.features.extract import Extractor, extract
from fragrant.features.frame_network import FrameTransform, frame_network
from fragrant.features.study import Study
from fragrant.features.table import FeatureTable
from fragrant.models import build_model
from fragrant.models.weights import load_weights
from fragrant.version import __version__

SPLITS = ("train", "test")

_log = logging.getLogger(__name__)

# What features do not depend on. A key that is not named here changes the name of every cached file: new keys are safe
# by default.
NO_MATTER = (
    *(
        "AUG.",
        "BN.",
        "DATA_LOADER.",
        "DEMO_SET.",
        "MIXUP.",
        "SVMIX.",
        "DISTILL.",
        "LOSS.",
        "SOLVER.",
        "TENSORBOARD.",
        "TRAIN.",
    ),
    *("OUTPUT_DIR", "NUM_GPUS", "NUM_SHARDS", "SHARD_ID", "DIST_BACKEND", "LOG_PERIOD", "LOG_MODEL_INFO"),
    *(
        "DATA.PATH_",
        "DATA.TRAIN_",
        "DATA.VAL_LIST",
        "DATA.TEST_LIST",
        "DATA.CLASSES_FILE",
        "DATA.HOLD_OUT",
        "DATA.GROUP_BY",
        "DATA.FOLD",
        "DATA.SHOTS",
        "DATA.RANDOM_FLIP",
    ),
    "DATA.TRANSFORMS",
    *("DATA.ENSEMBLE_METHOD", "TEST.ENABLE", "TEST.DATASET", "TEST.BATCH_SIZE", "TEST.TEST_BEST", "TEST.SELECT_ON"),
    # the file's hash counts
    *(
        "TEST.ENSEMBLE_SPACE",
        "TEST.SAVE_RESULTS_PATH",
        "TEST.ALLOW_PARTIAL_LOAD",
        "TEST.CHECKPOINT_FILE_PATH",
    ),
    *(
        "FEATURES.CACHE_DIR",
        "FEATURES.CLASSIFIERS",
        "FEATURES.SEEDS",
        "FEATURES.STANDARDIZE",
        "FEATURES.TUNE",
        "FEATURES.FOLDS",
    ),
    *("PROBE.NUM_HEADS", "PROBE.WIDTH", "PROBE.LRS", "PROBE.WEIGHT_DECAYS", "PROBE.EPOCHS"),
    *("PROBE.VIEWS_PER_STEP", "PROBE.MEMORY_GB"),
    *("FEATURES.LR_RULE", "FEATURES.WEIGHTS"),  # the weights themselves count
)


@contextlib.contextmanager
def own_output_dir(cfg: CfgNode, say: Callable[[str], None]) -> Iterator[None]:
    """Makes OUTPUT_DIR, and has it for this command alone: no run and no other extraction writes there meanwhile.

    Raises:
        FeatureError: it cannot be made.
        UserError: another command has it, or it cannot be written.
    """
    refuse_fields(cfg.OUTPUT_DIR)
    try:
        Path(cfg.OUTPUT_DIR).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeatureError(f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' cannot be written: {error.strerror or error}") from error
    lock = RunLock(cfg.OUTPUT_DIR)
    for note in lock.take():
        say(note)
    try:
        yield
    finally:
        lock.release()


def settings_of(cfg: CfgNode, *, mode: str, weights: str) -> dict:
    """All settings that features depend on."""
    keys = {key: value for key, value in leaves(cfg).items() if not key.startswith(NO_MATTER)}
    return {**keys, "mode": mode, "weights": weights, "versions": f"fragrant {__version__}, torch {torch.__version__}"}


class Source(NamedTuple):
    """Where the features of the training and the test list come from.

    Attributes:
        videos: of both splits, records and class names.
        datasets: of both splits, the clips that the network sees.
        settings: all settings that the features depend on.
    """

    videos: dict[str, VideoSet]
    datasets: dict[str, ClipDataset]
    extractor: Extractor
    cache: FeatureCache
    settings: dict


def build_source(
    cfg: CfgNode, mode: str, device: torch.device, say: Callable[[str], None], *, tokens: bool = False
) -> Source:
    """Builds what computes features.

    Args:
        mode: "frames" = an image network on single frames, "clips" = MODEL.MODEL_NAME on the views of a test.
        tokens: every place of the feature maps by itself, instead of FEATURES.OUTPUT.

    Raises:
        FeatureError, WeightsError, ListError: the settings, the weights or a list is wrong.
    """
    if cfg.DATA.MULTI_LABEL:
        raise FeatureError(
            "DATA.MULTI_LABEL True: classifiers of frozen features take one label per video; allowed: False"
        )
    # all training videos: cross-validation takes the place of a validation list
    cfg = changed(cfg, {"DATA.HOLD_OUT": 0.0})
    videos = {split: build_records(cfg, split) for split in SPLITS}
    refuse_shared_videos(*({record.path for record in videos[split].records} for split in SPLITS))
    datasets, network, weights = (frames_of if mode == "frames" else clips_of)(cfg, videos, tokens=tokens)
    settings = settings_of(cfg, mode=f"tokens of {mode}" if tokens else mode, weights=weights)
    extractor = Extractor(
        network.to(device),
        device,
        clips_per_forward=cfg.TEST.BATCH_SIZE,
        num_workers=cfg.DATA_LOADER.NUM_WORKERS,
        drawn=mode == "frames" and cfg.FEATURES.SAMPLING == "random",
    )
    folder = cfg.FEATURES.CACHE_DIR or Path(cfg.OUTPUT_DIR, "features")
    cache = FeatureCache(folder, settings, remote=remote_of(cfg))
    what = "tokens" if tokens else "features"
    say(f"{what}: {describe(cfg, mode, tokens=tokens)}; weights: {weights}; cached in {cache.folder}")
    return Source(videos, datasets, extractor, cache, settings)


def build_features(
    cfg: CfgNode, mode: str, device: torch.device, say: Callable[[str], None]
) -> dict[str, FeatureTable]:
    """Computes the features of the training and the test list, or finds them in the cache; also written to
    OUTPUT_DIR/features_{train,test}.npz.

    Args:
        mode: see ``build_source``.

    Raises:
        FeatureError, WeightsError, ListError, VideoError: the settings, the weights, a list or a video is wrong.
    """
    source = build_source(cfg, mode, device, say)
    tables = {}
    for split in SPLITS:
        records, class_names = source.videos[split]
        features = extract(source.datasets[split], source.extractor, source.cache, title=f"{split} features", say=say)
        tables[split] = FeatureTable(
            features, records.labels, [record.path for record in records], class_names, source.settings
        )
        tables[split].save(Path(cfg.OUTPUT_DIR, f"features_{split}.npz"))
    return tables


def describe(cfg: CfgNode, mode: str, *, tokens: bool = False) -> str:
    """Describes the features in a few words: ``"resnet50 logits of frames, interval 2, gamma [3.0]"``"""
    output = "tokens" if tokens else cfg.FEATURES.OUTPUT
    gamma = f"gamma {cfg.DATA.GAMMA}" if cfg.DATA.GAMMA else "no gamma"
    if mode == "clips":
        return f"{cfg.MODEL.MODEL_NAME} {output} of clips, {cfg.DATA.NUM_FRAMES} frames {cfg.DATA.SAMPLING}, {gamma}"
    amount = cfg.FEATURES.INTERVAL if cfg.FEATURES.SAMPLING == "interval" else cfg.FEATURES.NUM_FRAMES
    return f"{cfg.FEATURES.NETWORK} {output} of frames, {cfg.FEATURES.SAMPLING} {amount}, {gamma}"


def refuse_shared_videos(train: set[str], test: set[str]) -> None:
    """Checks that no video is in both lists: a classifier would be tested on what it has learned.

    Raises:
        FeatureError: a video is in both lists.
    """
    if train & test:
        raise FeatureError(
            f"{len(train & test)} videos are in the training list and in the test list, '{min(train & test)}' is "
            "one of them"
        )


def frames_of(cfg: CfgNode, videos: dict, *, tokens: bool = False) -> tuple[dict, torch.nn.Module, str]:
    """Builds the data sets of frames and the image network; also returns a description of its weights."""
    options = cfg.FEATURES
    grid = {"grid": cfg.PROBE.GRID} if tokens else {}
    network, preset, weights = frame_network(
        options.NETWORK, weights=options.WEIGHTS, output=options.OUTPUT, seed=cfg.RNG_SEED, **grid
    )
    gamma = middle_gamma(gamma_range(cfg, "test"))  # of a range the middle, as in every test
    transform = FrameTransform(preset, enhance=enhancement_of(cfg.DATA.ENHANCE), gamma=gamma)
    plan = frame_plan(options.SAMPLING, interval=options.INTERVAL, count=options.NUM_FRAMES)
    options = {"seed": cfg.RNG_SEED, "open_frames": frame_opener(cfg)}
    datasets = {split: ClipDataset(found.records, plan, transform, **options) for split, found in videos.items()}
    return datasets, network, weights


def clips_of(cfg: CfgNode, videos: dict, *, tokens: bool = False) -> tuple[dict, torch.nn.Module, str]:
    """Builds the data sets of the views of a test and the backbone; also returns a description of its weights."""
    weights = f"random, seed {cfg.RNG_SEED}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.RNG_SEED)
        model = build_model(cfg)
    if cfg.TEST.CHECKPOINT_FILE_PATH:
        patterns = cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN
        report = load_weights(model, cfg.TEST.CHECKPOINT_FILE_PATH, clear_name_patterns=patterns)
        weights = f"file {checkpoint_hash(cfg.TEST.CHECKPOINT_FILE_PATH)}, {report.summary()}"
        report.tell(_log.info, _log.warning)
        say_how_clips_differ(cfg)
    output = "tokens" if tokens else cfg.FEATURES.OUTPUT
    network = ClipNetwork(
        model, build_normalization(cfg), output=output, grid=cfg.PROBE.GRID, streams=build_streams(cfg)
    ).eval()
    datasets = {split: build_loader(cfg, split, views_of="test").dataset for split in videos}
    return datasets, network, weights


def say_how_clips_differ(cfg: CfgNode) -> None:
    """A warning where the clips are not made as for the weights."""
    path = cfg.TEST.CHECKPOINT_FILE_PATH
    try:
        text = load_checkpoint(path).get("cfg")
    except CheckpointError:  # weights of another form, which carry no config
        return
    if note := note_on_clips(cfg, text, where=path):
        _log.warning(note)


def build_study(cfg: CfgNode) -> Study:
    """Builds the study: which classifiers learn from features, and how they are chosen and tested.

    Raises:
        UserError: a classifier is not known or not installed, or the settings contradict each other.
    """
    options = cfg.FEATURES
    return Study(
        classifiers=tuple(options.CLASSIFIERS),
        seeds=tuple(options.SEEDS),
        standardize=options.STANDARDIZE,
        tune=options.TUNE,
        folds=options.FOLDS,
        select_on=cfg.TEST.SELECT_ON,
        num_classes=cfg.MODEL.NUM_CLASSES,
        options={"two_layer": {"lr_rule": options.LR_RULE}},
    ).checked()


# ------------------------------------------------------------------------------------ the tables of the published study
# table, row, settings other than the config's, classifier, published top-1 of 96 test and 150 training videos in
# percent
TABLES: list[tuple[str, str, dict[str, object], str, tuple[float, float]]] = [
    ("1 sampling", "every n-th frame", {}, "two_layer", (25.00, 94.67)),
    ("1 sampling", "random frames", {"FEATURES.SAMPLING": "random"}, "two_layer", (23.95, 94.00)),
    ("2 gamma", "gamma 3", {}, "two_layer", (25.00, 94.67)),
    ("2 gamma", "gamma 1", {"DATA.GAMMA": [1.0]}, "two_layer", (19.79, 94.67)),
    ("3 classifier", "linear SVC", {}, "svc_linear", (16.67, 100.00)),
    ("3 classifier", "random forest", {}, "random_forest", (17.71, 100.00)),
    ("3 classifier", "two-layer network", {}, "two_layer", (25.00, 94.67)),
]
STANDARD: dict[str, object] = {"FEATURES.SAMPLING": "interval", "DATA.GAMMA": [3.0]}


def compare_rows(cfg: CfgNode, device: torch.device, say: Callable[[str], None]) -> list[dict]:
    """Repeats tables 1 to 3 of the report on the config's lists: their rows, with the results here and the published
    ones.

    Sampling, gamma and classifier are the row's; network, output, interval, number of random frames and seeds are the
    config's."""
    rows, made = [], {}
    for table, row, settings, classifier, published in TABLES:
        own = changed(cfg, STANDARD | settings | {"FEATURES.CLASSIFIERS": [classifier]})
        study, key = build_study(own), repr(settings)
        if key not in made:
            made[key] = build_features(own, "frames", device, say)
        rows += [{"table": table, "row": row, "published": published, **result} for result in study.run(**made[key])]
    return rows
