"""Rules about values: each broken rule is named, all of them at once."""

import re

import pytest

from fragrant.config import ConfigError, check_training, load_cfg
from fragrant.config.defaults import KEYS, default_cfg
from fragrant.config.keys import Key

PAIRS = "MODEL.MODEL_NAME DualStream DATA.COLOR_PATH_TO_DATA_DIR a DATA.THERMAL_PATH_TO_DATA_DIR b "
BROKEN = [
    ("DATA.COLOR_PATH_TO_DATA_DIR a", "DATA.THERMAL_PATH_TO_DATA_DIR is empty, and DATA.COLOR_PATH_TO_DATA_DIR is 'a'"),
    (
        "DATA.THERMAL_PATH_TO_DATA_DIR b",
        "DATA.COLOR_PATH_TO_DATA_DIR is empty, and DATA.THERMAL_PATH_TO_DATA_DIR is 'b'",
    ),
    (
        "DATA.COLOR_PATH_TO_DATA_DIR a DATA.THERMAL_PATH_TO_DATA_DIR b",
        "need MODEL.MODEL_NAME DualStream, which takes two clips",
    ),
    (
        PAIRS + "DUAL.ENHANCE clahe",
        "DUAL.ENHANCE clahe with pairs (DATA.COLOR_PATH_TO_DATA_DIR): the second stream is the",
    ),
    (PAIRS + "BN.ADAPT_LIST x.csv", "BN.ADAPT_LIST x.csv with pairs"),
    (PAIRS + "DISTILL.CHECKPOINT x.pyth", "DISTILL.CHECKPOINT x.pyth with pairs"),
    ("TEST.MODALITY color", "TEST.MODALITY color is of pairs: give DATA.COLOR_PATH_TO_DATA_DIR and DATA.THERMAL_PATH"),
    ("MODEL.MODEL_NAME DualStream TEST.MODALITY thermal", "TEST.MODALITY thermal is of pairs"),
    (
        "DATA.THERMAL_RANGE [30000,20000]",
        "DATA.THERMAL_RANGE [30000.0, 20000.0] must be [] or [low, high], low below high",
    ),
    ("DATA.THERMAL_RANGE [5,5]", "DATA.THERMAL_RANGE [5.0, 5.0] must be [] or [low, high], low below high"),
    ("DATA.THERMAL_RANGE [5]", "DATA.THERMAL_RANGE [5.0] must be [] or [low, high], low below high"),
    ("DUAL.MODALITY_DROPOUT 1.1", "DUAL.MODALITY_DROPOUT 1.1 must be from 0 to 1"),
    ("UNIFORMER.HEAD_DROPOUT_RATE 1.5", "UNIFORMER.HEAD_DROPOUT_RATE 1.5 must be at least 0 and below 1"),
    ("DATA.TRAIN_JITTER_FPS 2.0 DATA.SAMPLING sparse", "DATA.TRAIN_JITTER_FPS 2.0 is for DATA.SAMPLING dense"),
    ("DATA.TRAIN_JITTER_MOTION_SHIFT True", "True moves the box of a random resized crop: give DATA.TRAIN_JITTER_SC"),
    ("TEST.NUM_TEMPORAL_CLIPS [1,4] TEST.ADAPT bn", "so each number of clips needs a test of its own"),
    (
        "SOLVER.LR_POLICY cosin",
        "SOLVER.LR_POLICY 'cosin' is not known; did you mean 'cosine'? Known: cosine, steps_with_relative_lrs, "
        "warmup_times_steps",
    ),
    ("SOLVER.OPTIMIZING_METHOD AdamW", "did you mean 'adamw'? Known: sgd, adam, adamw"),
    ("TRAIN.PRECISION BF16", "TRAIN.PRECISION 'BF16' is not known; did you mean 'bf16'? Known: auto, bf16, fp16, fp32"),
    ("TEST.PRECISION half", "TEST.PRECISION 'half' is not known"),
    ("TEST.ENSEMBLE_SPACE logit", "did you mean 'logits'?"),
    ("DATA.ENSEMBLE_METHOD avg", "DATA.ENSEMBLE_METHOD 'avg' is not known; Known: sum, mean, max"),
    (
        "DATA.SAMPLING uniformly",
        "DATA.SAMPLING 'uniformly' is not known; did you mean 'uniform'? Known: dense, sparse, segment, uniform",
    ),
    ("DATA.SAMPLING segment DATA.SEGMENT_LENGTH 3", "DATA.NUM_FRAMES 8 must be a multiple of DATA.SEGMENT_LENGTH 3"),
    ("DATA.SEGMENT_LENGTH 4", "DATA.SEGMENT_LENGTH 4 belongs to DATA.SAMPLING segment, which is 'dense'"),
    (
        "DATA.SAMPLING mmaction2",
        "DATA.SAMPLING 'mmaction2' is not known; did you mean 'mmaction'? Known: dense, sparse, segment, uniform, "
        "segment_dense, mmaction",
    ),
    ("DATA.SAMPLING mmaction DATA.FPS_CONVERT True", "DATA.FPS_CONVERT True belongs to DATA.SAMPLING dense; mmaction"),
    ("DATA.SAMPLING mmaction DATA.SEGMENT_LENGTH 4", "DATA.SEGMENT_LENGTH 4 belongs to DATA.SAMPLING segment"),
    ("DATA.CROP_ROUNDING down", "DATA.CROP_ROUNDING 'down' is not known; Known: up, mmaction, tsn"),
    ("DATA.TRAIN_MULTI_SCALE [1.5]", "DATA.TRAIN_MULTI_SCALE [1.5] must be above 0 and at most 1"),
    (
        "DATA.TRAIN_MULTI_SCALE [1] DATA.TRAIN_JITTER_SCALES_RELATIVE [0.08,1] DATA.TRAIN_JITTER_ASPECT_RELATIVE [1,1]",
        "DATA.TRAIN_MULTI_SCALE and DATA.TRAIN_JITTER_SCALES_RELATIVE are two kinds of random crop: give one of them",
    ),
    ("DATA.GAMMA [5,1]", "DATA.GAMMA [5.0, 1.0] must be [] (none), [gamma] or [smallest, largest]"),
    (
        "DATA.MEAN [123.675,116.28,103.53]",
        "DATA.MEAN [123.675, 116.28, 103.53] has values above 1, but pixels are in 0..1 here: divide by 255",
    ),
    ("DATA.STD [58.395,57.12,57.375]", "DATA.STD [58.395, 57.12, 57.375] has values above 1"),
    ("DATA.MEAN [0.4,0.4,1.5]", "DATA.MEAN [0.4, 0.4, 1.5] has values above 1"),
    ("DATA.GAMMA [0]", "DATA.GAMMA [0.0] must be above 0"),
    ("DATA.GAMMA_IN val", "DATA.GAMMA_IN 'val' is not known; Known: both, train, test"),
    ("DATA.ENHANCE claeh", "DATA.ENHANCE 'claeh' is not known; did you mean 'clahe'?"),
    (
        "AUG.ORDER crop_fist",
        "AUG.ORDER 'crop_fist' is not known; did you mean 'crop_first'? Known: crop_first, published",
    ),
    ("AUG.BRI_CON_SAT [0.4]", "AUG.BRI_CON_SAT [0.4] must be [] or [brightness, contrast, saturation]"),
    ("AUG.HUE 0.6", "AUG.HUE 0.6 must be from 0 to 0.5"),
    ("AUG.INTERPOLATION cubic", "AUG.INTERPOLATION 'cubic' is not known; did you mean 'bicubic'?"),
    ("DATA.CLIP_DTYPE float16", "did you mean 'float32'?"),
    (
        "DATA.DECODING_BACKEND opencv",
        "DATA.DECODING_BACKEND 'opencv' is not known; Known: pyav, torchcodec, decord, torchvision",
    ),
    ("MODEL.LOSS_FUNC bce", "MODEL.LOSS_FUNC 'bce' is not known"),
    (
        "DATA.MULTI_LABEL True TEST.ENSEMBLE_SPACE softmax",
        "DATA.MULTI_LABEL True with TEST.ENSEMBLE_SPACE softmax: its classes stand alone, allowed: logits, sigmoid",
    ),
    ("DIST_BACKEND mpi", "DIST_BACKEND 'mpi' is not known"),
    ("TEST.NUM_SPATIAL_CROPS 2", "TEST.NUM_SPATIAL_CROPS 2 is not known; Known: 1, 3"),
    ("SOLVER.BASE_LR 1e-5 SOLVER.COSINE_END_LR 1e-5", "SOLVER.COSINE_END_LR 1e-05 must be below SOLVER.BASE_LR 1e-05"),
    ("SOLVER.LR_POLICY steps_with_relative_lrs", "SOLVER.STEPS [] must begin with 0 and rise"),
    (
        "SOLVER.LR_POLICY steps_with_relative_lrs SOLVER.STEPS [1,2] SOLVER.LRS [1,0.1]",
        "SOLVER.STEPS [1, 2] must begin with 0",
    ),
    ("SOLVER.LR_POLICY steps_with_relative_lrs SOLVER.STEPS [0,9,5] SOLVER.LRS [1,2,3]", "SOLVER.STEPS [0, 9, 5] must"),
    (
        "SOLVER.LR_POLICY steps_with_relative_lrs SOLVER.STEPS [0,5] SOLVER.LRS [1]",
        "SOLVER.LRS [1.0] must have one value for each of",
    ),
    (
        "SOLVER.LR_POLICY warmup_times_steps SOLVER.STEPS [0,5] SOLVER.LRS [1]",
        "SOLVER.LRS [1.0] must have one value for each of",
    ),
    ("FEATURES.SAMPLING all", "FEATURES.SAMPLING 'all' is not known; Known: interval, random, uniform"),
    ("FEATURES.SEEDS []", "FEATURES.SEEDS is empty; give at least one"),
    ("FEATURES.FOLDS 1", "FEATURES.FOLDS 1 must be 2 or more"),
    ("TEST.SELECT_ON tests", "TEST.SELECT_ON 'tests' is not known; did you mean 'test'? Known: val, test"),
    ("DATA.HOLD_OUT 1", "DATA.HOLD_OUT 1.0 must be at least 0 and below 1"),
    ("CSN.DEPTH 34", "CSN.DEPTH 34 is not known; Known: 26, 50, 101, 152"),
    ("CSN.BOTTLENECK irr", "CSN.BOTTLENECK 'irr' is not known; did you mean 'ir'? Known: ir, ip"),
    ("SOLVER.BETAS [0.9]", "SOLVER.BETAS [0.9] must be two numbers"),
    ("SOLVER.BETAS [0.9,1.0]", "SOLVER.BETAS [0.9, 1.0] must be at least 0 and below 1"),
    ("SOLVER.MOMENTUM 0", "SOLVER.NESTEROV needs SOLVER.MOMENTUM above 0 and SOLVER.DAMPENING 0, got 0.0 and 0.0"),
    ("TRAIN.BATCH_SIZE 6 NUM_GPUS 4", "TRAIN.BATCH_SIZE 6 must be a multiple of NUM_GPUS 4"),
    (
        "TEST.NUM_PARTS 2 TEST.PART 2 TRAIN.ENABLE False",
        "TEST.PART 2 must be below TEST.NUM_PARTS 2: parts are counted from 0",
    ),
    ("TEST.NUM_PARTS 2", "TEST.NUM_PARTS 2 is for runs that only test: set TRAIN.ENABLE False"),
    ("SHARD_ID 2 NUM_SHARDS 2", "SHARD_ID 2 must be below NUM_SHARDS 2: machines are counted from 0"),
    ("DATA.TRAIN_JITTER_SCALES [320,256]", "DATA.TRAIN_JITTER_SCALES [320, 256] must be [smallest, largest]"),
    ("DATA.TRAIN_JITTER_SCALES []", "DATA.TRAIN_JITTER_SCALES [] must be [smallest, largest]"),
    ("DATA.TRAIN_JITTER_SCALES_RELATIVE [0.08,1]", "belong together: give both or neither"),
    (
        "DATA.TRAIN_JITTER_SCALES_RELATIVE [1,0.08] DATA.TRAIN_JITTER_ASPECT_RELATIVE [1,2]",
        "[1.0, 0.08] must be [smallest, largest] or []",
    ),
    ("DATA.MEAN [0.5]", "DATA.MEAN [0.5] has 1 values for the 3 channels of DATA.INPUT_CHANNEL_NUM"),
    ("DATA.INPUT_CHANNEL_NUM [1] DATA.MEAN [0.5]", "DATA.STD [0.225, 0.225, 0.225] has 3 values for the 1 channels"),
    ("DATA.INPUT_CHANNEL_NUM []", "DATA.INPUT_CHANNEL_NUM is empty"),
    ("DATA.STD [0.2,0,0.2]", "DATA.STD [0.2, 0.0, 0.2] must be above 0"),
    ("TEST.SHORT_SIDE 128", "TEST.SHORT_SIDE 128 is below DATA.TEST_CROP_SIZE 256"),
    ("UNIFORMER.DEPTH [3,4,8]", "must have 4 values, one per stage"),
    ("UNIFORMER.DROP_DEPTH_RATE 1", "UNIFORMER.DROP_DEPTH_RATE 1.0 must be at least 0 and below 1"),
    ("MIXUP.PROB 1.5", "MIXUP.PROB 1.5 must be from 0 to 1"),
    ("TRAIN.BATCH_SIZE 0", "TRAIN.BATCH_SIZE 0 must be above 0"),
    ("NUM_GPUS -1", "NUM_GPUS -1 must be 0 or above"),
]


@pytest.mark.parametrize("pairs, message", BROKEN)
def test_broken_rule(pairs, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_cfg(None, pairs.split(" "))


@pytest.mark.parametrize("pairs", [["OUTPUT_DIR", ""], ["DATA.PATH_LABEL_SEPARATOR", ""]])
def test_must_not_be_empty(pairs):
    with pytest.raises(ConfigError, match=f"{pairs[0]} is empty; give"):
        load_cfg(None, pairs)


def test_all_problems_in_one_error():
    with pytest.raises(ConfigError) as caught:
        load_cfg(None, ["SOLVER.LR_POLICY", "cosin", "NUM_GPUS", "-1", "DATA.MEAN", "[0.5]", "SHARD_ID", "1"])
    assert len(caught.value.problems) == 4
    assert str(caught.value).startswith("4 problems in the config:\n  NUM_GPUS -1 must be 0 or above\n  ")
    assert caught.value.problems[1].startswith("SOLVER.LR_POLICY 'cosin' is not known")


FINE = [
    "SOLVER.MAX_EPOCH 1 SOLVER.WARMUP_EPOCHS 10",
    "SOLVER.CLIP_GRADIENT None",
    "SOLVER.CLIP_GRADIENT 0",
    "SOLVER.LR_POLICY steps_with_relative_lrs SOLVER.STEPS [0,30,40.5] SOLVER.LRS [1,0.1,0.01]",
    "SOLVER.OPTIMIZING_METHOD adamw SOLVER.MOMENTUM 0",
    "NUM_GPUS 0 TRAIN.BATCH_SIZE 3",
    "TRAIN.ENABLE False TRAIN.BATCH_SIZE 3 NUM_GPUS 2",
    "DATA.INPUT_CHANNEL_NUM [1] DATA.MEAN [0.5] DATA.STD [0.2]",
    "DATA.TRAIN_JITTER_SCALES [224,224]",
    "TEST.SHORT_SIDE 256 DATA.TEST_CROP_SIZE 224",
    "DATA_LOADER.NUM_WORKERS 0",
    "AUG.ENABLE True MIXUP.ENABLE True AUG.NUM_SAMPLE 2",
    "DATA.GAMMA [1,5] DATA.GAMMA_IN train DATA.ENHANCE clahe",
    "DATA.SAMPLING segment DATA.SEGMENT_LENGTH 4",
]


@pytest.mark.parametrize("pairs", FINE)
def test_fine(pairs):
    assert load_cfg(None, pairs.split(" ")) != default_cfg()


def test_check_changes_nothing():
    cfg, before = load_cfg(None), default_cfg()
    check_training(cfg)
    assert cfg == before


def refused(key: Key) -> list:
    """A value just outside of every limit of a key."""
    rules, whole = key.allowed, key.kind.element is int
    step = 1 if whole else 1e-6
    values = [rules.above, rules.below]
    values += [limit - step for limit in [rules.at_least] if limit is not None]
    values += [limit + (step if whole else 1e-6) for limit in [rules.at_most] if limit is not None]
    values += ["nothing like it" if key.kind.element is str else 12345] if rules.one_of is not None else []
    values = [value for value in values if value is not None]
    if key.kind.is_list:
        rest = list(key.default[1:])
        values = [[value, *rest] for value in values]
        if rules.sizes:
            some = key.default[0] if key.default else "x" if key.kind.element is str else 0.5
            values.append([some] * (max(rules.sizes) + 1))
        if rules.rising:
            values.append([0.9, 0.8] if not whole else [9, 8])
    values += [[] if key.kind.is_list else ""] if rules.needed else []
    return values + (["nothing"] if rules.contains else [])


REFUSED = [(key.name, value) for key in KEYS.values() for value in refused(key)]


@pytest.mark.parametrize("name, value", REFUSED, ids=str)
def test_values_just_outside_are_refused_in_one_line_that_names_the_key(name, value):
    with pytest.raises(ConfigError) as caught:
        load_cfg(None, [name, value])
    of_the_key = [problem for problem in caught.value.problems if problem.startswith(f"{name} ")]
    assert of_the_key and not [problem for problem in caught.value.problems if "\n" in problem], caught.value.problems


def test_every_key_with_rules_is_in_that_table():
    assert {name for name, _ in REFUSED} == {key.name for key in KEYS.values() if key.allowed.words()}


@pytest.mark.parametrize(
    "name, value", [("TRAIN.BATCH_SIZE", 1), ("MODEL.DROPOUT_RATE", 0.0), ("DATA.TRAIN_MULTI_SCALE", [1.0])]
)
def test_values_at_the_limit_are_taken(name, value):
    block, _, last = name.partition(".")
    assert load_cfg(None, [name, value])[block][last] == value


def test_training_names_what_it_cannot_do():
    cfg = load_cfg(
        None, ["AUG.ENABLE", "True", "AUG.NUM_SAMPLE", "2", "MIXUP.ENABLE", "True", "DATA.TRAIN_CROP_SIZE", "300"]
    )
    with pytest.raises(ConfigError) as caught:
        check_training(cfg)
    assert caught.value.problems == [
        "DATA.TRAIN_JITTER_SCALES begins at 256, below DATA.TRAIN_CROP_SIZE 300",
    ]


GATES = [
    ("DGAM.SELECT expected", "DGAM.SELECT expected trains the gate alone or the rest alone, got DGAM.FREEZE []"),
    ("DGAM.SELECT expected DGAM.FREEZE [heads]", "got DGAM.FREEZE ['heads']; allowed: [backbone, heads], or with gate"),
    ("DGAM.FIXED 2", "DGAM.FIXED 2 leaves the gate nothing to learn: add gate to DGAM.FREEZE []"),
    (
        "DGAM.SELECT expected DGAM.FREEZE [backbone,heads] DISTILL.CHECKPOINT a.pyth",
        "DGAM.SELECT expected with DISTILL.CHECKPOINT 'a.pyth': give one of them",
    ),
    ("MIXUP.ENABLE True MIXUP.TYPE svmix DGAM.BALANCE 0.1", "MIXUP.TYPE svmix has an objective of its own"),
]


@pytest.mark.parametrize("pairs, message", GATES)
def test_rules_for_the_gate_of_dgam(pairs, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_training(load_cfg(None, ["MODEL.MODEL_NAME", "DGAM", *pairs.split()]))


@pytest.mark.parametrize(
    "pairs", ["DGAM.SELECT expected DGAM.FREEZE [gate]", "DGAM.SELECT expected DGAM.FREEZE [backbone,heads]", ""]
)
def test_gates_that_are_trained_or_left_alone(pairs):
    check_training(load_cfg(None, ["MODEL.MODEL_NAME", "DGAM", *pairs.split()]))


SEVERAL = [
    ("", "DATA.MULTI_LABEL True needs MODEL.LOSS_FUNC bce_logit, a yes or no for each class; got cross_entropy"),
    (
        "MODEL.LOSS_FUNC bce_logit MIXUP.ENABLE True MIXUP.TYPE svmix",
        "MIXUP.TYPE svmix, which mixes clips of one class each: allowed is mixup",
    ),
    (
        "MODEL.LOSS_FUNC bce_logit DISTILL.CHECKPOINT a.pyth",
        "DISTILL.CHECKPOINT 'a.pyth', which teaches one class: give one of them",
    ),
]


@pytest.mark.parametrize("pairs, message", SEVERAL)
def test_several_labels_are_learned_with_a_yes_or_no_for_each_class(pairs, message):
    cfg = load_cfg(None, ["DATA.MULTI_LABEL", "True", *pairs.split()])  # a test with other keys works
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        check_training(cfg)
    assert len(caught.value.problems) == 1
    check_training(load_cfg(None, "DATA.MULTI_LABEL True MODEL.LOSS_FUNC bce_logit MIXUP.ENABLE True".split()))
