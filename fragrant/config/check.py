"""Rules about several keys, besides those that each key declares: every broken rule in one error, no value changed."""

from collections.abc import Iterator, Sequence

from fvcore.common.config import CfgNode

from fragrant.config.defaults import AUTO_WEIGHTS, leaves
from fragrant.config.errors import ConfigError
from fragrant.config.frozen import frozen_in_dgam
from fragrant.config.keys import KEYS
from fragrant.config.label_free import learns_without_labels
from fragrant.config.streams import COLOR, THERMAL, has_pairs, has_two_streams
from fragrant.plugins import missing_hint
from fragrant.registry import registered_names


def check_cfg(cfg: CfgNode) -> None:
    """The rules that hold on every machine and for every use of a config.

    Raises:
        ConfigError: names all broken rules.
    """
    values = leaves(cfg).items()
    hint = missing_hint()
    single = [
        problem
        for name, value in values
        for problem in KEYS[name].allowed.problems(name, value, more=registered_names(name), hint=hint)
    ]
    rules = (
        _model,
        _data,
        _solver,
        _processes,
        _mie_net,
        _dual,
        _pairs,
        _objective,
        _balance,
        _supcon,
        _each_stream,
        _darkened,
        _figure,
        _pretraining,
    )
    _raise_if_any(single + [problem for rule in rules for problem in rule(cfg)])


def check_training(cfg: CfgNode) -> None:
    """The rules for training alone. A published yaml file that breaks them still loads and tests.

    Raises:
        ConfigError: names all broken rules.
    """
    problems = [*_several_labels(cfg)]
    if (
        cfg.MIXUP.ENABLE
        and cfg.MIXUP.TYPE == "svmix"
        and cfg.TRAIN.BATCH_SIZE * (cfg.AUG.NUM_SAMPLE if cfg.AUG.ENABLE else 1) < 2
    ):
        problems.append(
            f"MIXUP.TYPE svmix mixes the clips of a batch: TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} must be 2 or more"
        )
    problems += _gate(cfg) if cfg.MODEL.MODEL_NAME == "DGAM" else ()
    short_side = min(cfg.DATA.TRAIN_JITTER_SCALES)
    if (
        not (cfg.DATA.TRAIN_JITTER_SCALES_RELATIVE or cfg.DATA.TRAIN_MULTI_SCALE)
        and cfg.DATA.TRAIN_CROP_SIZE > short_side
    ):
        problems.append(
            f"DATA.TRAIN_JITTER_SCALES begins at {short_side}, below DATA.TRAIN_CROP_SIZE {cfg.DATA.TRAIN_CROP_SIZE}"
        )
    _raise_if_any(problems)


def _gate(cfg: CfgNode) -> Iterator[str]:
    frozen, given = frozen_in_dgam(cfg), cfg.DGAM.FREEZE
    if cfg.DGAM.FIXED is not None and "gate" not in frozen:
        yield f"DGAM.FIXED {cfg.DGAM.FIXED} leaves the gate nothing to learn: add gate to DGAM.FREEZE {given}"
    if "gate" in frozen:
        return
    if cfg.DGAM.SELECT == "expected" and not {"backbone", "heads"} <= frozen:
        yield (
            f"DGAM.SELECT expected trains the gate alone or the rest alone, got DGAM.FREEZE {given}; allowed: "
            "[backbone, heads], "
            "or with gate (each clip then draws its expert)"
        )
    if cfg.DGAM.SELECT == "expected" and cfg.DISTILL.CHECKPOINT:
        yield f"DGAM.SELECT expected with DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}': give one of them"
    if cfg.DGAM.SELECT != "expected" and not cfg.DGAM.BALANCE:
        return
    plain = "allowed is DGAM.SELECT st_gumbel, hard or soft with DGAM.BALANCE 0"
    if cfg.MIXUP.ENABLE and cfg.MIXUP.TYPE == "svmix":
        yield f"MIXUP.TYPE svmix has an objective of its own: {plain}"
    if cfg.MODEL.HEAD != "own":
        yield f"MODEL.HEAD {cfg.MODEL.HEAD} hides the gate's choices from the objective: {plain}"


def _several_labels(cfg: CfgNode) -> Iterator[str]:
    if not cfg.DATA.MULTI_LABEL:
        return
    if cfg.MODEL.LOSS_FUNC != "bce_logit":
        yield (
            "DATA.MULTI_LABEL True needs MODEL.LOSS_FUNC bce_logit, a yes or no for each class; got "
            f"{cfg.MODEL.LOSS_FUNC}"
        )
    if cfg.MIXUP.ENABLE and cfg.MIXUP.TYPE == "svmix":
        yield "DATA.MULTI_LABEL True with MIXUP.TYPE svmix, which mixes clips of one class each: allowed is mixup"
    if cfg.DISTILL.CHECKPOINT:
        yield (
            f"DATA.MULTI_LABEL True with DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}', which teaches one class: give "
            "one of them"
        )


def _raise_if_any(problems: list[str]) -> None:
    if problems:
        raise ConfigError(problems)


def _model(cfg: CfgNode) -> Iterator[str]:
    recomputed = cfg.MODEL.CHECKPOINT_NUM
    from_the_first = cfg.MODEL.MODEL_NAME in ("UniFormerV2", "FragrantV2") and len(recomputed) == 1  # as published
    if cfg.MODEL.USE_CHECKPOINT and len(recomputed) != 4 and not from_the_first:
        yield f"MODEL.CHECKPOINT_NUM {recomputed} needs one value for each of the 4 stages of MODEL.USE_CHECKPOINT"


def _data(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATA
    channels = data.INPUT_CHANNEL_NUM[:1]
    for key in ("MEAN", "STD"):
        if channels and len(data[key]) != channels[0]:
            yield (
                f"DATA.{key} {data[key]} has {len(data[key])} values for the {channels[0]} channels of "
                "DATA.INPUT_CHANNEL_NUM"
            )
        if any(value > 1 for value in data[key]):
            yield (
                f"DATA.{key} {data[key]} has values above 1, but pixels are in 0..1 here: divide by 255 what counts "
                "0..255"
            )
    if bool(data.TRAIN_JITTER_SCALES_RELATIVE) != bool(data.TRAIN_JITTER_ASPECT_RELATIVE):
        yield (
            "DATA.TRAIN_JITTER_SCALES_RELATIVE and DATA.TRAIN_JITTER_ASPECT_RELATIVE belong together: give both or "
            "neither"
        )
    if data.TRAIN_JITTER_MOTION_SHIFT and not data.TRAIN_JITTER_SCALES_RELATIVE:
        yield (
            "DATA.TRAIN_JITTER_MOTION_SHIFT True moves the box of a random resized crop: give "
            "DATA.TRAIN_JITTER_SCALES_RELATIVE and DATA.TRAIN_JITTER_ASPECT_RELATIVE too"
        )
    if data.TRAIN_JITTER_FPS and data.SAMPLING != "dense":
        yield f"DATA.TRAIN_JITTER_FPS {data.TRAIN_JITTER_FPS} is for DATA.SAMPLING dense, which is {data.SAMPLING!r}"
    if data.TRAIN_MULTI_SCALE and data.TRAIN_JITTER_SCALES_RELATIVE:
        yield (
            "DATA.TRAIN_MULTI_SCALE and DATA.TRAIN_JITTER_SCALES_RELATIVE are two kinds of random crop: give one of "
            "them"
        )
    if data.NUM_FRAMES % max(1, data.SEGMENT_LENGTH):
        yield f"DATA.NUM_FRAMES {data.NUM_FRAMES} must be a multiple of DATA.SEGMENT_LENGTH {data.SEGMENT_LENGTH}"
    if data.SEGMENT_LENGTH > 1 and data.SAMPLING not in ("segment", "segment_dense"):
        yield f"DATA.SEGMENT_LENGTH {data.SEGMENT_LENGTH} belongs to DATA.SAMPLING segment, which is {data.SAMPLING!r}"
    yield from _folds(cfg)
    if data.FPS_CONVERT and data.SAMPLING == "mmaction":
        yield "DATA.FPS_CONVERT True belongs to DATA.SAMPLING dense; mmaction counts frames of the video: set it False"
    if 0 < cfg.TEST.SHORT_SIDE < data.TEST_CROP_SIZE:
        yield f"TEST.SHORT_SIDE {cfg.TEST.SHORT_SIDE} is below DATA.TEST_CROP_SIZE {data.TEST_CROP_SIZE}"


def _folds(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATA
    if data.SHOTS and data.MULTI_LABEL:
        yield f"DATA.SHOTS {data.SHOTS} draws videos of one class each, with DATA.MULTI_LABEL True: set it 0"
    if data.FOLDS == 1:
        yield "DATA.FOLDS 1 leaves nothing to train on: allowed are 2 or more, or 0 for the lists as they are"
    elif data.FOLD >= max(1, data.FOLDS):
        yield f"DATA.FOLD {data.FOLD} must be below DATA.FOLDS {data.FOLDS}: folds are counted from 0"
    same = {"kinetics": "video_list", "kinetics_sparse": "video_list"}  # names of any list
    train, test = (same.get(name.lower(), name.lower()) for name in (cfg.TRAIN.DATASET, cfg.TEST.DATASET))
    if data.FOLDS and train != test:
        yield (
            f"DATA.FOLDS {data.FOLDS} tests on a part of the training list: TEST.DATASET '{cfg.TEST.DATASET}' must be "
            f"TRAIN.DATASET '{cfg.TRAIN.DATASET}'"
        )


def _solver(cfg: CfgNode) -> Iterator[str]:
    solver = cfg.SOLVER
    if solver.LR_POLICY == "cosine" and solver.COSINE_END_LR >= solver.BASE_LR:
        yield f"SOLVER.COSINE_END_LR {solver.COSINE_END_LR} must be below SOLVER.BASE_LR {solver.BASE_LR}"
    if solver.LR_POLICY in ("steps_with_relative_lrs", "warmup_times_steps"):
        if not solver.STEPS or solver.STEPS[0] != 0 or sorted(set(solver.STEPS)) != solver.STEPS:
            yield f"SOLVER.STEPS {solver.STEPS} must begin with 0 and rise"
        if len(solver.LRS) != len(solver.STEPS):
            yield f"SOLVER.LRS {solver.LRS} must have one value for each of SOLVER.STEPS {solver.STEPS}"
    if solver.AUTO_SCALE_LR and solver.REFERENCE_BATCH == 0:
        yield (
            "SOLVER.AUTO_SCALE_LR True needs SOLVER.REFERENCE_BATCH, the clips per step that SOLVER.BASE_LR is meant "
            "for"
        )
    if solver.AUTO_SCALE_LR and solver.BASE_LR_SCALE_NUM_SHARDS:
        yield (
            "SOLVER.AUTO_SCALE_LR and SOLVER.BASE_LR_SCALE_NUM_SHARDS both scale the learning rate; set one of them "
            "False"
        )
    if solver.OPTIMIZING_METHOD == "sgd" and solver.NESTEROV and not (solver.MOMENTUM > 0 and solver.DAMPENING == 0):
        yield (
            f"SOLVER.NESTEROV needs SOLVER.MOMENTUM above 0 and SOLVER.DAMPENING 0, got {solver.MOMENTUM} and "
            f"{solver.DAMPENING}"
        )


def check_devices(cfg: CfgNode, num_gpus: int) -> None:
    """The rules about the devices of this machine, once it is known what NUM_GPUS auto is here.

    Raises:
        ConfigError: names all broken rules.
    """
    _raise_if_any([*_devices(cfg, num_gpus)])


def _devices(cfg: CfgNode, num_gpus: int) -> Iterator[str]:
    batch = cfg.TRAIN.BATCH_SIZE
    if cfg.TRAIN.ENABLE and num_gpus > 1 and batch % num_gpus:
        fits = next(number for number in range(num_gpus - 1, 0, -1) if batch % number == 0)
        way_out = f", all GPUs of this machine; add to the command: NUM_GPUS {fits}" if cfg.NUM_GPUS == "auto" else ""
        yield f"TRAIN.BATCH_SIZE {batch} must be a multiple of NUM_GPUS {num_gpus}{way_out}"
    if cfg.BN.NORM_TYPE == "sync_batchnorm" and num_gpus == 0:
        yield (
            "BN.NORM_TYPE sync_batchnorm needs GPUs (NUM_GPUS 0 is the CPU); on the CPU take MODEL.FROZEN_BN True or "
            "batchnorm"
        )


def _processes(cfg: CfgNode) -> Iterator[str]:
    if cfg.SHARD_ID >= cfg.NUM_SHARDS:
        yield f"SHARD_ID {cfg.SHARD_ID} must be below NUM_SHARDS {cfg.NUM_SHARDS}: machines are counted from 0"
    if cfg.TEST.PART >= cfg.TEST.NUM_PARTS:
        yield f"TEST.PART {cfg.TEST.PART} must be below TEST.NUM_PARTS {cfg.TEST.NUM_PARTS}: parts are counted from 0"
    if len(set(cfg.TEST.NUM_TEMPORAL_CLIPS)) > 1 and cfg.TEST.ADAPT != "none":
        yield (
            f"TEST.NUM_TEMPORAL_CLIPS {cfg.TEST.NUM_TEMPORAL_CLIPS} with TEST.ADAPT {cfg.TEST.ADAPT}: a network is "
            "adapted to all views of a video, so each number of clips needs a test of its own"
        )
    if cfg.TEST.NUM_PARTS > 1 and cfg.TRAIN.ENABLE:
        yield f"TEST.NUM_PARTS {cfg.TEST.NUM_PARTS} is for runs that only test: set TRAIN.ENABLE False"
    if cfg.NUM_GPUS != "auto":
        yield from _devices(cfg, cfg.NUM_GPUS)
    if cfg.BN.NORM_TYPE == "sync_batchnorm" and cfg.MODEL.FROZEN_BN:
        yield (
            "BN.NORM_TYPE sync_batchnorm and MODEL.FROZEN_BN True contradict each other: frozen statistics are not "
            "measured"
        )
    if cfg.TRAIN.SHARDING == "fsdp" and cfg.TRAIN.CHANNELS_LAST:
        yield "TRAIN.SHARDING fsdp needs TRAIN.CHANNELS_LAST False: FSDP2 takes contiguous weights only"
    if cfg.TRAIN.SHARDING == "fsdp" and cfg.SOLVER.OPTIMIZING_METHOD == "sgd":
        yield (
            "TRAIN.SHARDING fsdp needs SOLVER.OPTIMIZING_METHOD adam or adamw: torch's fused sgd takes no sharded "
            "weights"
        )
    if cfg.TRAIN.SHARDING == "fsdp" and cfg.DIST.GRADIENT_COMPRESSION != "none":
        yield f"DIST.GRADIENT_COMPRESSION {cfg.DIST.GRADIENT_COMPRESSION} is for TRAIN.SHARDING none"


def _mie_net(cfg: CfgNode) -> Iterator[str]:
    if cfg.MODEL.MODEL_NAME != "MieNet":
        return
    segments, frames = cfg.MIE.NUM_SEGMENTS, cfg.MIE.FRAMES_PER_SEGMENT
    if cfg.DATA.NUM_FRAMES != segments * frames:
        yield (
            f"DATA.NUM_FRAMES {cfg.DATA.NUM_FRAMES} must be MIE.NUM_SEGMENTS {segments} * MIE.FRAMES_PER_SEGMENT "
            f"{frames}"
        )
    if cfg.DATA.SEGMENT_LENGTH != frames:
        yield (
            f"DATA.SEGMENT_LENGTH {cfg.DATA.SEGMENT_LENGTH} must be MIE.FRAMES_PER_SEGMENT {frames}: the model reads "
            "what is sampled"
        )
    if cfg.MIE.FUSION == "afm" and frames != 4:
        yield f"MIE.FRAMES_PER_SEGMENT {frames} must be 4 with MIE.FUSION afm: one motion map for each colour"
    if cfg.MIE.FUSION == "concat" and frames < 2:
        yield f"MIE.FRAMES_PER_SEGMENT {frames} must be at least 2 with MIE.FUSION concat: motion is between frames"


def _dual(cfg: CfgNode) -> Iterator[str]:
    if not has_two_streams(cfg):
        return
    dual, channels = cfg.DUAL, cfg.DATA.INPUT_CHANNEL_NUM[:1]
    if dual.ENHANCE == "none" and dual.GAMMA == 1 and not has_pairs(cfg):
        yield "DUAL.ENHANCE none with DUAL.GAMMA 1 makes both streams the same: give one of them another value"
    for key in ("MEAN", "STD"):
        if dual[key] and channels and len(dual[key]) != channels[0]:
            yield (
                f"DUAL.{key} {dual[key]} must have one value for each of the {channels[0]} channels of "
                f"DATA.INPUT_CHANNEL_NUM, or be [] for those of DATA.{key}"
            )
    if cfg.TRAIN.OBJECTIVE == "figure":
        yield "TRAIN.OBJECTIVE figure with MODEL.MODEL_NAME DualStream: allowed is a network of one stream"


def _pairs(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATA
    if len(data.THERMAL_RANGE) == 2 and len(set(data.THERMAL_RANGE)) == 1:  # the rest says the key itself
        yield f"DATA.THERMAL_RANGE {data.THERMAL_RANGE} must be [] or [low, high], low below high"
    given = {key: data[key] for key in (COLOR, THERMAL)}
    if not any(given.values()):
        if cfg.TEST.MODALITY != "both":
            yield (
                f"TEST.MODALITY {cfg.TEST.MODALITY} is of pairs: give DATA.{COLOR} and DATA.{THERMAL}, or leave it both"
            )
        return
    for key, other in ((COLOR, THERMAL), (THERMAL, COLOR)):
        if not given[key]:
            yield f"DATA.{key} is empty, and DATA.{other} is {given[other]!r}: pairs need both"
    if has_pairs(cfg):
        yield from _of_pairs(cfg)


def _of_pairs(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATA
    if not has_two_streams(cfg):
        yield (
            f"DATA.{COLOR} and DATA.{THERMAL} need MODEL.MODEL_NAME DualStream, which takes two clips, got "
            f"{cfg.MODEL.MODEL_NAME}; for a network of one stream give DATA.PATH_TO_DATA_DIR"
        )
    what = f"pairs (DATA.{COLOR})"
    refused = (
        ("DUAL.ENHANCE", cfg.DUAL.ENHANCE, cfg.DUAL.ENHANCE != "none"),
        ("BN.ADAPT_LIST", cfg.BN.ADAPT_LIST, bool(cfg.BN.ADAPT_LIST)),
        ("DISTILL.CHECKPOINT", cfg.DISTILL.CHECKPOINT, bool(cfg.DISTILL.CHECKPOINT)),
        ("DARKENER.CHECKPOINT", cfg.DARKENER.CHECKPOINT, bool(cfg.DARKENER.CHECKPOINT)),
        ("TRAIN.OBJECTIVE", cfg.TRAIN.OBJECTIVE, cfg.TRAIN.OBJECTIVE == "darkener"),
        ("DATA.INPUT_CHANNEL_NUM", data.INPUT_CHANNEL_NUM, data.INPUT_CHANNEL_NUM[:1] != [3]),
    )
    for key, value, wrong in refused:
        if wrong:
            yield f"{key} {value} with {what}: the second stream is the other list's video; leave it at its default"


def _balance(cfg: CfgNode) -> Iterator[str]:
    sampler, auto = cfg.TRAIN.SAMPLER, cfg.LOSS.CLASS_WEIGHTS == AUTO_WEIGHTS
    what = f"TRAIN.SAMPLER {sampler}"
    if sampler != "none" and learns_without_labels(cfg):
        yield f"{what} draws by class, and TRAIN.OBJECTIVE {cfg.TRAIN.OBJECTIVE} has none: set it none"
    if sampler != "none" and cfg.DATA.MULTI_LABEL:
        yield f"{what} draws by class, and with DATA.MULTI_LABEL True a video has several: set it none"
    if sampler == "balanced" and auto:
        yield f"{what} and LOSS.CLASS_WEIGHTS auto both make up for rare classes: give one of them"


def _added_to(cfg: CfgNode, what: str, allowed: str, refused: Sequence[str]) -> Iterator[str]:
    """What adds to the loss or the clips belongs to an ``allowed`` training: names those of the keys ``refused`` that
    make it another one."""
    made_other = {
        "TRAIN.OBJECTIVE": cfg.TRAIN.OBJECTIVE not in ("", "classify"),
        "MIXUP.TYPE": cfg.MIXUP.ENABLE and cfg.MIXUP.TYPE == "svmix",
        "TRAIN.SHARDING": cfg.TRAIN.SHARDING != "none",
    }
    for key in refused:
        section, name = key.split(".")
        value = cfg[section][name]
        if made_other.get(key, bool(value)):
            yield f"{what} with {key} {value}: it belongs to {allowed}"


def _supcon(cfg: CfgNode) -> Iterator[str]:
    if not cfg.LOSS.SUPCON:
        return
    what = f"LOSS.SUPCON {cfg.LOSS.SUPCON:g}"
    refused = ("TRAIN.OBJECTIVE", "MIXUP.ENABLE", "DISTILL.CHECKPOINT", "DATA.MULTI_LABEL", "TRAIN.COMPILE")
    yield from _added_to(cfg, what, "plain classification of clips of one class, not compiled", refused)
    if cfg.MODEL.MODEL_NAME == "DGAM" and "gate" not in frozen_in_dgam(cfg):
        yield f"{what} with a gate that learns: add gate to DGAM.FREEZE {cfg.DGAM.FREEZE}"
    if cfg.AUG.NUM_SAMPLE < 2 and not has_two_streams(cfg):
        yield (
            f"{what} compares views of a clip: allowed are AUG.NUM_SAMPLE 2 or more (got {cfg.AUG.NUM_SAMPLE}), or "
            "MODEL.MODEL_NAME DualStream"
        )


def _each_stream(cfg: CfgNode) -> Iterator[str]:
    if not cfg.LOSS.EACH_STREAM:
        return
    what = f"LOSS.EACH_STREAM {cfg.LOSS.EACH_STREAM:g}"
    if not has_two_streams(cfg):
        yield f"{what} with MODEL.MODEL_NAME {cfg.MODEL.MODEL_NAME}: allowed is DualStream, which has two streams"
    refused = (
        "TRAIN.OBJECTIVE",
        "MIXUP.TYPE",
        "DISTILL.CHECKPOINT",
        "LOSS.SUPCON",
        "DARKENER.CHECKPOINT",
        "TRAIN.COMPILE",
    )
    yield from _added_to(cfg, what, "plain classification, not compiled", refused)


def _figure(cfg: CfgNode) -> Iterator[str]:
    if cfg.TRAIN.OBJECTIVE != "figure":
        return
    for key, is_set in (
        ("AUG.ENABLE", cfg.AUG.ENABLE),
        ("MIXUP.ENABLE", cfg.MIXUP.ENABLE),
        ("DATA.TRANSFORMS", bool(cfg.DATA.TRANSFORMS)),
        ("DATA.TRAIN_JITTER_MOTION_SHIFT", cfg.DATA.TRAIN_JITTER_MOTION_SHIFT),
    ):
        if is_set:
            yield f"TRAIN.OBJECTIVE figure cannot follow a figure through {key}: leave it at its default"
    if cfg.DISTILL.CHECKPOINT:
        yield f"DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}' with TRAIN.OBJECTIVE figure: give one of them"
    if cfg.TRAIN.COMPILE:
        yield "TRAIN.COMPILE True with TRAIN.OBJECTIVE figure, whose pass is not compiled: set it False"
    if cfg.TRAIN.SHARDING != "none":
        yield f"TRAIN.SHARDING {cfg.TRAIN.SHARDING} with TRAIN.OBJECTIVE figure: allowed is none"


def _pretraining(cfg: CfgNode) -> Iterator[str]:
    if not learns_without_labels(cfg):
        return
    what = f"TRAIN.OBJECTIVE {cfg.TRAIN.OBJECTIVE}"
    if cfg.TEST.ENABLE:
        yield f"TEST.ENABLE True with {what}, which knows no classes: set it False, and test what is fine-tuned from it"
    if cfg.MIXUP.ENABLE:
        yield f"MIXUP.ENABLE True with {what}: there are no labels to mix, set it False"
    if cfg.DISTILL.CHECKPOINT:
        yield f"DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}' with {what}: give one of them"
    if cfg.TRAIN.EMA.ENABLE:
        yield f"TRAIN.EMA.ENABLE True with {what}: fine-tuning starts from the weights themselves, set it False"
    if cfg.TRAIN.SHARDING != "none":
        yield f"TRAIN.SHARDING {cfg.TRAIN.SHARDING} with {what}: allowed is none"
    yield from {"masked": _masked, "contrastive": _contrastive, "darkener": _darkener}[cfg.TRAIN.OBJECTIVE](cfg)


def _darkener(cfg: CfgNode) -> Iterator[str]:
    what = "TRAIN.OBJECTIVE darkener"
    start = cfg.TRAIN.CHECKPOINT_FILE_PATH
    if not start or not cfg.TRAIN.CHECKPOINT_EPOCH_RESET:
        yield (
            f"{what} darkens against a trained network: give its file in TRAIN.CHECKPOINT_FILE_PATH (got {start!r}), "
            "with TRAIN.CHECKPOINT_EPOCH_RESET True"
        )
    if cfg.TRAIN.COMPILE:
        yield f"TRAIN.COMPILE True with {what}, whose pass is not compiled: set it False"
    if cfg.BN.USE_PRECISE_STATS:
        yield f"BN.USE_PRECISE_STATS True with {what}, which leaves the network as it is: set it False"
    yield from _before_enhancement(cfg, what)


def _before_enhancement(cfg: CfgNode, what: str) -> Iterator[str]:
    if cfg.DATA.GAMMA or cfg.DATA.ENHANCE != "none":
        yield (
            f"{what} darkens clips behind DATA.ENHANCE and DATA.GAMMA, dark clips of a test are darkened before them: "
            "set DATA.ENHANCE none and DATA.GAMMA []"
        )


def _darkened(cfg: CfgNode) -> Iterator[str]:
    if not cfg.DARKENER.CHECKPOINT:
        return
    what = f"DARKENER.CHECKPOINT '{cfg.DARKENER.CHECKPOINT}'"
    refused = ("TRAIN.OBJECTIVE", "MIXUP.TYPE", "DISTILL.CHECKPOINT", "LOSS.SUPCON", "TRAIN.COMPILE", "TRAIN.SHARDING")
    yield from _added_to(cfg, what, "plain classification, not compiled and not sharded", refused)
    if cfg.MODEL.MODEL_NAME == "DGAM" and "gate" not in frozen_in_dgam(cfg):
        yield f"{what} with a gate that learns: add gate to DGAM.FREEZE {cfg.DGAM.FREEZE}"
    yield from _before_enhancement(cfg, what)


def _masked(cfg: CfgNode) -> Iterator[str]:
    tube = cfg.PRETRAIN.TUBE_SIZE
    if cfg.TRAIN.COMPILE:
        yield "TRAIN.COMPILE True with TRAIN.OBJECTIVE masked, whose pass is not compiled: set it False"
    for key in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"):  # validation takes the second
        size = cfg.DATA[key]
        if tube > 0 and (size % tube or size == tube):
            yield f"PRETRAIN.TUBE_SIZE {tube} must divide DATA.{key} {size}, into at least 2 x 2 tubes"


def _contrastive(cfg: CfgNode) -> Iterator[str]:
    if cfg.AUG.NUM_SAMPLE < 2:
        yield (
            f"TRAIN.OBJECTIVE contrastive compares clips of one video: AUG.NUM_SAMPLE {cfg.AUG.NUM_SAMPLE} must be "
            "2 or more"
        )
    if has_two_streams(cfg) and cfg.DUAL.FUSION == "cross":
        yield "TRAIN.OBJECTIVE contrastive with DUAL.FUSION cross, of two vectors: allowed: concat_bert, dff, mean"
    videos = cfg.TRAIN.BATCH_SIZE * cfg.NUM_SHARDS
    if videos < 2:
        yield (
            f"TRAIN.OBJECTIVE contrastive tells the videos of a batch apart: TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} "
            "must be 2 or more"
        )


def _objective(cfg: CfgNode) -> Iterator[str]:
    weights, classes = cfg.LOSS.CLASS_WEIGHTS, cfg.MODEL.NUM_CLASSES
    if weights and weights != AUTO_WEIGHTS and (len(weights) != classes or not any(weights)):
        yield (
            f"LOSS.CLASS_WEIGHTS has {len(weights)} values; allowed: one for each of the {classes} classes, not all "
            "0, or [], or auto"
        )
    if cfg.MIXUP.ENABLE and cfg.LOSS.LABEL_SMOOTHING:
        yield (
            f"LOSS.LABEL_SMOOTHING {cfg.LOSS.LABEL_SMOOTHING} with MIXUP.ENABLE True: set MIXUP.LABEL_SMOOTH_VALUE "
            "alone"
        )
    if cfg.MIXUP.ENABLE and cfg.MIXUP.TYPE == "svmix":
        if cfg.TRAIN.EMA.ENABLE:
            yield (
                "TRAIN.EMA.ENABLE True with MIXUP.TYPE svmix, which has a moving average of its own: SVMIX.EMA and "
                "SVMIX.EVAL"
            )
        if cfg.DISTILL.CHECKPOINT:
            yield f"DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}' with MIXUP.TYPE svmix: give one of them"
        if cfg.TRAIN.SHARDING == "fsdp" and cfg.SVMIX.MODULE_OPT == "sgd":
            yield "TRAIN.SHARDING fsdp needs SVMIX.MODULE_OPT adam or adamw: torch's fused sgd takes no sharded weights"
    if cfg.DATA.MULTI_LABEL and cfg.TEST.ENSEMBLE_SPACE not in ("logits", "sigmoid"):
        yield (
            f"DATA.MULTI_LABEL True with TEST.ENSEMBLE_SPACE {cfg.TEST.ENSEMBLE_SPACE}: its classes stand alone, "
            "allowed: logits, sigmoid"
        )
    if cfg.DISTILL.CHECKPOINT and cfg.DISTILL.INPUT == "enhanced" and (cfg.DATA.GAMMA or cfg.DATA.ENHANCE != "none"):
        yield (
            "DISTILL.INPUT enhanced brightens the student's clips for the teacher: set DATA.ENHANCE none and "
            "DATA.GAMMA []"
        )
