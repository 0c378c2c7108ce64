"""Rules about several keys, or about the values of one: every broken rule in one error, no value changed."""

from collections.abc import Collection, Iterator

from fvcore.common.config import CfgNode

from fragrant.config.defaults import leaves
from fragrant.config.errors import ConfigError
from fragrant.plugins import missing_hint
from fragrant.registry import did_you_mean, registered_names

_PRECISIONS = ("auto", "bf16", "fp16", "fp32")

_CHOICES = {
    "AUG.INTERPOLATION": ("bicubic", "bilinear", "random"),
    "AUG.ORDER": ("crop_first", "published"),
    "BN.NORM_TYPE": ("batchnorm", "sync_batchnorm"),
    "AUG.RE_MODE": ("pixel", "rand", "const"),
    "CSN.BOTTLENECK": ("ir", "ip"),
    "CSN.DEPTH": (26, 50, 101, 152),
    "DATA.CLIP_DTYPE": ("uint8", "float32"),
    "DATA.DECODING_BACKEND": ("pyav", "torchcodec", "decord", "torchvision"),
    "DATA.IMAGE_BASE": (None, 0, 1),
    "DATA.ENSEMBLE_METHOD": ("sum", "mean", "max"),
    "DATA.ENHANCE": ("none", "equalize", "clahe"),
    "DATA.GAMMA_IN": ("both", "train", "test"),
    "DATA.SAMPLING": ("dense", "sparse", "segment", "uniform", "segment_dense"),
    "DIST.GRADIENT_COMPRESSION": ("none", "bf16"),
    "DGAM.HEADS": ("matched", "shared"),
    "DGAM.SELECT": ("st_gumbel", "hard", "expected", "soft"),
    "DIST_BACKEND": ("nccl", "gloo"),
    "DISTILL.INPUT": ("dark", "enhanced"),
    "FRAGRANT.FAM_EXPONENT": (1, 2),
    "FRAGRANT.RAM.FEATURE_TYPE": ("V", "R", "VplusR"),
    "FRAGRANT.RAM.KERNEL_TYPE": ("V", "R", "VplusR"),
    "FRAGRANT.RAM_IMPL": ("auto", "torch", "triton"),
    "FEATURES.LR_RULE": ("step", "epoch", "constant"),
    "FEATURES.OUTPUT": ("pooled", "logits"),
    "FEATURES.SAMPLING": ("interval", "random", "uniform"),
    "MIE.CONSENSUS": ("avg", "max"),
    "MIE.DEPTH": (50, 101, 152),
    "MIE.FUSION": ("afm", "concat", "none"),
    "MIE.PA_INIT": ("default", "pan"),
    "MIXUP.TYPE": ("mixup", "svmix"),
    "MODEL.LOSS_FUNC": ("cross_entropy", "soft_cross_entropy", "focal", "bce_logit"),
    "SOLVER.LR_POLICY": ("cosine", "steps_with_relative_lrs", "warmup_times_steps"),
    "SOLVER.OPTIMIZING_METHOD": ("sgd", "adam", "adamw"),
    "SVMIX.EVAL": ("teacher", "student"),
    "SVMIX.MODULE_OPT": ("sgd", "adam", "adamw"),
    "SWIN.FROZEN_STAGES": (-1, 0, 1, 2, 3, 4),
    "SWIN.SIZE": ("T", "S", "B", "L"),
    "TEST.ENSEMBLE_SPACE": ("logits", "softmax", "relu", "sigmoid"),
    "TEST.NUM_SPATIAL_CROPS": (1, 3),
    "TEST.SELECT_ON": ("val", "test"),
    "TEST.PRECISION": _PRECISIONS,
    "TRAIN.SHARDING": ("none", "fsdp"),
    "TRAIN.EMA.EVAL": ("ema", "raw"),
    "TRAIN.PRECISION": _PRECISIONS,
}

DECLARED: dict[str, Collection] = {}  # allowed values of the keys that plug-ins declare

_POSITIVE = """
    DISTILL.TEMPERATURE SVMIX.ALPHA_SPATIAL SVMIX.ALPHA_TEMPORAL SVMIX.MODULE_LR
    DGAM.GAMMAS DGAM.TAU SWIN.PATCH_SIZE SWIN.WINDOW_SIZE
    DATA.CACHE_GB DATA.GAMMA DATA.SEGMENT_LENGTH DATA.TRAIN_MULTI_SCALE FEATURES.INTERVAL FEATURES.NUM_FRAMES
    AUG.NUM_SAMPLE AUG.RE_COUNT BN.NUM_BATCHES_PRECISE DATA.INPUT_CHANNEL_NUM DATA.NUM_FRAMES DATA.SAMPLING_RATE DATA.STD DATA.TARGET_FPS
    DATA.TEST_CROP_SIZE DATA.TRAIN_CROP_SIZE DATA.TRAIN_JITTER_ASPECT_RELATIVE DATA.TRAIN_JITTER_SCALES DATA.TRAIN_JITTER_SCALES_RELATIVE
    DEMO_SET.HEIGHT DEMO_SET.NUM_FRAMES DEMO_SET.TEST_VIDEOS_PER_CLASS DEMO_SET.VIDEOS_PER_CLASS DEMO_SET.WIDTH DIST.TIMEOUT LOG_PERIOD
    FRAGRANT.RAM.HEADS MIE.FRAMES_PER_SEGMENT MIE.NUM_SEGMENTS MODEL.NUM_CLASSES NUM_SHARDS SOLVER.BASE_LR SOLVER.MAX_EPOCH
    TEST.BATCH_SIZE TEST.NUM_ENSEMBLE_VIEWS TEST.NUM_PARTS TRAIN.ACCUM_STEPS
    TRAIN.BATCH_SIZE TRAIN.CHECKPOINT_PERIOD TRAIN.EVAL_PERIOD TRAIN.MAX_BAD_STEPS UNIFORMER.DEPTH UNIFORMER.EMBED_DIM
    UNIFORMER.HEAD_DIM UNIFORMER.MLP_RATIO
""".split()

_NOT_NEGATIVE = """
    DGAM.BALANCE
    LOSS.CLASS_WEIGHTS LOSS.FOCAL_GAMMA SVMIX.MASK_LOSS SVMIX.MASK_MARGIN SVMIX.MODULE_CLIP SVMIX.MODULE_DIM SVMIX.MODULE_WD
    AUG.BRI_CON_SAT AUG.HUE
    FRAGRANT.RAM.KEY_DIM FRAGRANT.RAM.VALUE_DIM FRAGRANT.RAM.LATENT_DIM
    DATA.DECODE_SHORT_SIDE DATA.TRAIN_SHORT_SIDE FEATURES.SEEDS
    BN.WEIGHT_DECAY DATA_LOADER.NUM_WORKERS DEMO_SET.SEED MIXUP.ALPHA MIXUP.CUTMIX_ALPHA MODEL.CHECKPOINT_NUM NUM_GPUS RNG_SEED SHARD_ID
    SOLVER.CLIP_GRADIENT SOLVER.COSINE_END_LR SOLVER.DAMPENING SOLVER.LRS SOLVER.MOMENTUM SOLVER.REFERENCE_BATCH SOLVER.STEPS
    SOLVER.WARMUP_EPOCHS SOLVER.WARMUP_START_LR SOLVER.WEIGHT_DECAY TEST.PART TEST.SHORT_SIDE TRAIN.SAVE_EVERY_STEPS
""".split()

_UP_TO_1 = """
    DATA.MAX_BAD_FRACTION DATA.TRAIN_MULTI_SCALE
    AUG.RE_PROB DISTILL.ALPHA MIXUP.LABEL_SMOOTH_VALUE MIXUP.PROB MIXUP.SWITCH_PROB SVMIX.PROB SVMIX.SPATIAL_PROB
""".split()

_BELOW_1 = """
    MVITV2.DROP_PATH_RATE LOSS.LABEL_SMOOTHING SVMIX.EMA SVMIX.LAM_MARGIN TRAIN.EMA.DECAY
    DATA.HOLD_OUT MODEL.DROPOUT_RATE SOLVER.BETAS UNIFORMER.ATTENTION_DROPOUT_RATE UNIFORMER.DROPOUT_RATE UNIFORMER.DROP_DEPTH_RATE
    SWIN.DROP_PATH_RATE
""".split()


def check_cfg(cfg: CfgNode) -> None:
    """The rules that hold on every machine and for every use of a config.

    Raises:
        ConfigError: names all broken rules.
    """
    flat = leaves(cfg)
    rules = (_data, _solver, _processes, _mie_net, _objective, _others)
    _raise_if_any(
        [*_choices(flat), *_declared(flat), *_ranges(flat), *(problem for rule in rules for problem in rule(cfg))]
    )


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
    frozen = cfg.DGAM.FREEZE
    if cfg.DGAM.FIXED is not None and "gate" not in frozen:
        yield f"DGAM.FIXED {cfg.DGAM.FIXED} leaves the gate nothing to learn: add gate to DGAM.FREEZE {frozen}"
    if "gate" in frozen:
        return
    if cfg.DGAM.SELECT == "expected" and not {"backbone", "heads"} <= set(frozen):
        yield (
            f"DGAM.SELECT expected trains the gate alone or the rest alone, got DGAM.FREEZE {frozen}; allowed: "
            "[backbone, heads], "
            "or with gate (each clip then draws its expert)"
        )
    if cfg.DGAM.SELECT == "expected" and cfg.DISTILL.CHECKPOINT:
        yield f"DGAM.SELECT expected with DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}': give one of them"
    if cfg.MIXUP.ENABLE and cfg.MIXUP.TYPE == "svmix" and (cfg.DGAM.SELECT == "expected" or cfg.DGAM.BALANCE):
        yield (
            "MIXUP.TYPE svmix has an objective of its own: allowed is DGAM.SELECT st_gumbel, hard or soft with "
            "DGAM.BALANCE 0"
        )


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


def _choices(flat: dict[str, object]) -> Iterator[str]:
    for key, built_in in _CHOICES.items():
        value = flat[key]
        allowed = (*built_in, *(name for name in registered_names(key) if name not in built_in))
        if value not in allowed and (hint := missing_hint()):
            yield f"{key} {value!r} is not known: {hint}"
        elif value not in allowed:
            yield (
                f"{key} {value!r} is not known; {did_you_mean(str(value), map(str, allowed))}Known: "
                f"{', '.join(map(str, allowed))}"
            )


def _declared(flat: dict[str, object]) -> Iterator[str]:
    for key, allowed in DECLARED.items():
        values = flat[key] if isinstance(flat[key], list) else [flat[key]]
        if not all(value in allowed for value in values):
            is_range = isinstance(allowed, range) and allowed.step == 1
            wanted = f"{allowed.start} to {allowed.stop - 1}" if is_range else ", ".join(map(str, allowed))
            yield f"{key} {flat[key]!r} is not allowed; allowed: {wanted}"


def _ranges(flat: dict[str, object]) -> Iterator[str]:
    rules = [
        (_POSITIVE, lambda number: number > 0, "above 0"),
        (_NOT_NEGATIVE, lambda number: number >= 0, "0 or above"),
        (_UP_TO_1, lambda number: 0 <= number <= 1, "from 0 to 1"),
        (_BELOW_1, lambda number: 0 <= number < 1, "at least 0 and below 1"),
    ]
    for keys, holds, wanted in rules:
        for key in keys:
            numbers = flat[key] if isinstance(flat[key], list) else [flat[key]]
            if not all(number is None or holds(number) for number in numbers):
                yield f"{key} {flat[key]} must be {wanted}"


def _data(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATA
    channels = data.INPUT_CHANNEL_NUM[:1]
    if not channels:
        yield "DATA.INPUT_CHANNEL_NUM is empty; give the channels of a clip, [3]"
    for key in ("MEAN", "STD"):
        if channels and len(data[key]) != channels[0]:
            yield (
                f"DATA.{key} {data[key]} has {len(data[key])} values for the {channels[0]} channels of "
                "DATA.INPUT_CHANNEL_NUM"
            )
    for key in ("TRAIN_JITTER_SCALES", "TRAIN_JITTER_SCALES_RELATIVE", "TRAIN_JITTER_ASPECT_RELATIVE"):
        limits = data[key]
        may_be_empty = key.endswith("RELATIVE")
        if not (may_be_empty and not limits) and (len(limits) != 2 or limits[0] > limits[1]):
            yield f"DATA.{key} {limits} must be [smallest, largest]{' or []' if may_be_empty else ''}"
    if bool(data.TRAIN_JITTER_SCALES_RELATIVE) != bool(data.TRAIN_JITTER_ASPECT_RELATIVE):
        yield (
            "DATA.TRAIN_JITTER_SCALES_RELATIVE and DATA.TRAIN_JITTER_ASPECT_RELATIVE belong together: give both or "
            "neither"
        )
    if len(data.ROOT_REPLACE) not in (0, 2):
        yield f"DATA.ROOT_REPLACE {data.ROOT_REPLACE} must be [old, new] or []"
    if "{}" not in data.LABEL_PATH_TEMPLATE:
        yield f"DATA.LABEL_PATH_TEMPLATE {data.LABEL_PATH_TEMPLATE!r} has no {{}} for the name of the split"
    if data.TRAIN_MULTI_SCALE and data.TRAIN_JITTER_SCALES_RELATIVE:
        yield (
            "DATA.TRAIN_MULTI_SCALE and DATA.TRAIN_JITTER_SCALES_RELATIVE are two kinds of random crop: give one of "
            "them"
        )
    if len(data.GAMMA) > 2 or data.GAMMA != sorted(data.GAMMA):
        yield f"DATA.GAMMA {data.GAMMA} must be [] (none), [gamma] or [smallest, largest]"
    if len(cfg.AUG.BRI_CON_SAT) not in (0, 3):
        yield f"AUG.BRI_CON_SAT {cfg.AUG.BRI_CON_SAT} must be [] or [brightness, contrast, saturation]"
    if cfg.AUG.HUE > 0.5:
        yield f"AUG.HUE {cfg.AUG.HUE} must be from 0 to 0.5"
    if data.NUM_FRAMES % max(1, data.SEGMENT_LENGTH):
        yield f"DATA.NUM_FRAMES {data.NUM_FRAMES} must be a multiple of DATA.SEGMENT_LENGTH {data.SEGMENT_LENGTH}"
    if data.SEGMENT_LENGTH > 1 and data.SAMPLING not in ("segment", "segment_dense"):
        yield f"DATA.SEGMENT_LENGTH {data.SEGMENT_LENGTH} belongs to DATA.SAMPLING segment, which is {data.SAMPLING!r}"
    if not data.PATH_LABEL_SEPARATOR:
        yield "DATA.PATH_LABEL_SEPARATOR is empty; give what stands between path and label, ' ' or ','"
    if 0 < cfg.TEST.SHORT_SIDE < data.TEST_CROP_SIZE:
        yield f"TEST.SHORT_SIDE {cfg.TEST.SHORT_SIDE} is below DATA.TEST_CROP_SIZE {data.TEST_CROP_SIZE}"


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
    if len(solver.BETAS) != 2:
        yield f"SOLVER.BETAS {solver.BETAS} must be two numbers"
    if solver.OPTIMIZING_METHOD == "sgd" and solver.NESTEROV and not (solver.MOMENTUM > 0 and solver.DAMPENING == 0):
        yield (
            f"SOLVER.NESTEROV needs SOLVER.MOMENTUM above 0 and SOLVER.DAMPENING 0, got {solver.MOMENTUM} and "
            f"{solver.DAMPENING}"
        )


def _processes(cfg: CfgNode) -> Iterator[str]:
    if cfg.SHARD_ID >= cfg.NUM_SHARDS:
        yield f"SHARD_ID {cfg.SHARD_ID} must be below NUM_SHARDS {cfg.NUM_SHARDS}: machines are counted from 0"
    if cfg.TEST.PART >= cfg.TEST.NUM_PARTS:
        yield f"TEST.PART {cfg.TEST.PART} must be below TEST.NUM_PARTS {cfg.TEST.NUM_PARTS}: parts are counted from 0"
    if cfg.TEST.NUM_PARTS > 1 and cfg.TRAIN.ENABLE:
        yield f"TEST.NUM_PARTS {cfg.TEST.NUM_PARTS} is for runs that only test: set TRAIN.ENABLE False"
    if cfg.TRAIN.ENABLE and cfg.NUM_GPUS > 1 and cfg.TRAIN.BATCH_SIZE % cfg.NUM_GPUS:
        yield f"TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} must be a multiple of NUM_GPUS {cfg.NUM_GPUS}"
    if cfg.BN.NORM_TYPE == "sync_batchnorm" and cfg.NUM_GPUS == 0:
        yield (
            "BN.NORM_TYPE sync_batchnorm needs GPUs (NUM_GPUS 0 is the CPU); on the CPU take MODEL.FROZEN_BN True or "
            "batchnorm"
        )
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


def _objective(cfg: CfgNode) -> Iterator[str]:
    weights, classes = cfg.LOSS.CLASS_WEIGHTS, cfg.MODEL.NUM_CLASSES
    if weights and (len(weights) != classes or not any(weights)):
        yield (
            f"LOSS.CLASS_WEIGHTS has {len(weights)} values; allowed: one for each of the {classes} classes, not all "
            "0, or []"
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


def _others(cfg: CfgNode) -> Iterator[str]:
    if not cfg.OUTPUT_DIR:
        yield "OUTPUT_DIR is empty; give a folder for checkpoints, logs and scores"
    for key in ("SEEDS", "CLASSIFIERS"):
        if not cfg.FEATURES[key]:
            yield f"FEATURES.{key} is empty; give at least one"
    if cfg.FEATURES.FOLDS < 2:
        yield f"FEATURES.FOLDS {cfg.FEATURES.FOLDS} must be 2 or more"
    if len(cfg.UNIFORMER.DEPTH) != 4 or len(cfg.UNIFORMER.EMBED_DIM) != 4:
        yield (
            f"UNIFORMER.DEPTH {cfg.UNIFORMER.DEPTH} and UNIFORMER.EMBED_DIM {cfg.UNIFORMER.EMBED_DIM} must have 4 "
            "values, one per stage"
        )
