"""Config files: the published ones load with their effective values, and every file of configs/ loads."""

import pytest
import yaml
from conftest import ROOT, golden

from fragrant.config import check_training, dump_cfg, load_cfg
from fragrant.optim import build_schedule

ROWS = golden("framework/shipped_configs")["rows"]
OURS = sorted((ROOT / "configs").rglob("*.yaml"))

# column of the golden table -> key
KEY_OF = {
    "dataset": "TRAIN.DATASET",
    "num_classes": "MODEL.NUM_CLASSES",
    "model": "MODEL.MODEL_NAME",
    "frames": "DATA.NUM_FRAMES",
    "rate": "DATA.SAMPLING_RATE",
    "use_offset": "DATA.USE_OFFSET_SAMPLING",
    "crop": "DATA.TRAIN_CROP_SIZE",
    "test_crop": "DATA.TEST_CROP_SIZE",
    "flip": "DATA.RANDOM_FLIP",
    "depth": "UNIFORMER.DEPTH",
    "embed": "UNIFORMER.EMBED_DIM",
    "drop_path": "UNIFORMER.DROP_DEPTH_RATE",
    "pretrain": "UNIFORMER.PRETRAIN_NAME",
    "aug": "AUG.AA_TYPE",
    "num_sample": "AUG.NUM_SAMPLE",
    "optimizer": "SOLVER.OPTIMIZING_METHOD",
    "base_lr": "SOLVER.BASE_LR",
    "warmup_start_lr": "SOLVER.WARMUP_START_LR",
    "warmup_epochs": "SOLVER.WARMUP_EPOCHS",
    "end_lr": "SOLVER.COSINE_END_LR",
    "cosine_after_warmup": "SOLVER.COSINE_AFTER_WARMUP",
    "max_epoch": "SOLVER.MAX_EPOCH",
    "wd": "SOLVER.WEIGHT_DECAY",
    "clip_gradient": "SOLVER.CLIP_GRADIENT",
    "zero_wd_1d": "SOLVER.ZERO_WD_1D_PARAM",
    "lr_scale_num_shards": "SOLVER.BASE_LR_SCALE_NUM_SHARDS",
    "batch": "TRAIN.BATCH_SIZE",
    "gpus": "NUM_GPUS",
    "views": "TEST.NUM_ENSEMBLE_VIEWS",
    "crops": "TEST.NUM_SPATIAL_CROPS",
    "seed": "RNG_SEED",
}
# What the run scripts pass behind the yaml file.
ON_THE_COMMAND_LINE = (
    "batch gpus num_classes frames rate drop_path pretrain base_lr warmup_epochs max_epoch views crops seed".split()
)
MIXUP_KEYS = ("MIXUP.ALPHA", "MIXUP.CUTMIX_ALPHA", "MIXUP.LABEL_SMOOTH_VALUE")

# Further keys that published yaml files carry, with values of their kind.
ALSO_THERE = """
TRAIN: {ENABLE: True, EVAL_PERIOD: 5, CHECKPOINT_PERIOD: 5, AUTO_RESUME: True, CHECKPOINT_TYPE: pytorch, CHECKPOINT_INFLATE: False}
DATA:
  DECODING_BACKEND: decord
  TRAIN_JITTER_SCALES: [256, 320]
  TRAIN_JITTER_SCALES_RELATIVE: [0.08, 1.0]
  TRAIN_JITTER_ASPECT_RELATIVE: [0.75, 1.3333]
  INPUT_CHANNEL_NUM: [3]
  MULTI_LABEL: False
  ENSEMBLE_METHOD: sum
  TRAIN_PCA_EIGVAL: [0.225, 0.224, 0.229]
  TRAIN_PCA_EIGVEC: [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
AUG: {ENABLE: True, COLOR_JITTER: 0.4, INTERPOLATION: bicubic, RE_PROB: 0.25, RE_MODE: pixel, RE_COUNT: 1, RE_SPLIT: False}
MIXUP: {ENABLE: True, PROB: 1.0, SWITCH_PROB: 0.5}
BN: {USE_PRECISE_STATS: False, NUM_BATCHES_PRECISE: 200, NORM_TYPE: batchnorm, NUM_SPLITS: 1, NUM_SYNC_DEVICES: 1, WEIGHT_DECAY: 0.0}
MODEL: {ARCH: uniformer, LOSS_FUNC: soft_cross_entropy, DROPOUT_RATE: 0.5, USE_CHECKPOINT: False, CHECKPOINT_NUM: [0], FC_INIT_STD: 0.01}
UNIFORMER:
  HEAD_DIM: 64
  MLP_RATIO: 4
  QKV_BIAS: True
  QKV_SCALE: None
  REPRESENTATION_SIZE: None
  DROPOUT_RATE: 0
  ATTENTION_DROPOUT_RATE: 0
  SPLIT: False
  STD: False
  STAGE_TYPE: [0, 0, 1, 1]
SOLVER: {LR_POLICY: cosine, MOMENTUM: 0.9, STEP_SIZE: 1, GAMMA: 0.1, WARMUP_FACTOR: 0.1}
TEST: {ENABLE: True, BATCH_SIZE: 64, CHECKPOINT_TYPE: pytorch}
DATA_LOADER: {NUM_WORKERS: 8, PIN_MEMORY: True}
TENSORBOARD: {ENABLE: False}
NUM_SHARDS: 1
OUTPUT_DIR: .
"""
SOMETHING = {"LABEL_PATH_TEMPLATE": "somesomev2_rgb_{}_split.txt", "IMAGE_TEMPLATE": "img_{:05d}.jpg"}
LIGHT = {"HEAD_DIM": 28, "MLP_RATIO": [3, 3, 3, 3], "PRUNE_RATIO": [[], [0.5, 0.5]], "TRADE_OFF": [[], [0.5, 0.5]]}


def published(row: dict) -> tuple[str, list[str]]:
    """The yaml text and the override pairs that the row's run script hands over."""
    tree = yaml.safe_load(ALSO_THERE)
    tree["TEST"]["DATASET"] = row["dataset"]
    if row["dataset"] == "sth":
        tree["DATA"] |= SOMETHING
    if "light" in row["model"]:
        tree["UNIFORMER"] |= LIGHT
    pairs = [
        "DATA.PATH_TO_DATA_DIR",
        "./data_list",
        "DATA.PATH_PREFIX",
        "/videos",
        "DATA.PATH_LABEL_SEPARATOR",
        ",",
        "OUTPUT_DIR",
        "./log",
    ]
    for column, key in [*KEY_OF.items(), *zip((0, 1, 2), MIXUP_KEYS, strict=True)]:
        value = row["mixup"][column] if key in MIXUP_KEYS else row[column]
        if column in ON_THE_COMMAND_LINE:
            pairs += [key, str(value)]
        else:
            *blocks, name = key.split(".")
            (tree[blocks[0]] if blocks else tree)[name] = value
    for key, value, _ in row["rejected_by_yacs"]:
        pairs += [key, value]
    return yaml.safe_dump(tree), pairs


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_published_file_loads_with_its_effective_values(row, tmp_path):
    text, pairs = published(row)
    (tmp_path / "config.yaml").write_text(text)
    cfg = load_cfg(tmp_path / "config.yaml", pairs)
    for column, key in KEY_OF.items():
        assert value_at(cfg, key) == row[column], key
    assert [value_at(cfg, key) for key in MIXUP_KEYS] == row["mixup"]
    if "light" not in row["model"]:
        assert (cfg.UNIFORMER.MLP_RATIO, cfg.UNIFORMER.QKV_SCALE) == (4, None)
    assert cfg.MIXUP.ENABLE
    check_training(cfg)


def value_at(cfg, key: str) -> object:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


def test_there_are_shipped_files():
    assert len(OURS) >= 7


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_our_file_loads_and_says_where_it_comes_from(path, caplog, tmp_path):
    cfg = load_cfg(path)
    check_training(cfg)
    assert not caplog.records  # nothing in it is ignored
    (tmp_path / "again.yaml").write_text(dump_cfg(cfg), encoding="utf-8")
    assert load_cfg(tmp_path / "again.yaml") == cfg
    text = path.read_text(encoding="utf-8")
    head = text[: text.index("\n\n")] if "\n\n" in text else text
    assert f"--cfg {path.relative_to(ROOT)}" in head


OUR_RECIPES = {
    "kinetics/uniformer_s_8x8": "UniFormer/uniformer_s8x8_k400/run.sh",
    "kinetics/uniformer_s_16x4": "UniFormer/uniformer_s16x4_k400/run.sh",
    "kinetics/uniformer_b_16x4": "UniFormer/uniformer_b16x4_k400/run.sh",
    "kinetics/uniformer_b_32x4": "UniFormer/uniformer_b32x4_k400/run.sh",
    "infar/uniformer_s_16x8": "FRAGRANT/uniformer_small_k400_8x8/run.sh",
    "infar/uniformer_s_8x8": "FRAGRANT/uniformer_small_k400_8x8/run.sh",
    "ssv2/uniformer_s_32": "UniFormer/uniformer_s32_sthv2_prek400/run.sh",
    "ucf101/uniformer_s_16x4": "UniFormer/uniformer_s16x4_ucf101_prek400/run.sh",
}
# Changed on purpose, each said in the files: no checkpoint path that nobody has, test views of the protocol.
OTHERWISE = {"pretrain": None, "views": 4}
OTHERWISE_IN = {
    "infar/uniformer_s_8x8": {"frames": 8},
    "ssv2/uniformer_s_32": {"views": 1, "crops": 3},
    "ucf101/uniformer_s_16x4": {"views": 5},
}


@pytest.mark.parametrize("name, source", OUR_RECIPES.items())
def test_our_recipe_is_the_published_one(name, source):
    cfg = load_cfg(ROOT / "configs" / f"{name}.yaml")
    row = next(row for row in ROWS if row["name"] == source) | OTHERWISE
    row |= {"dataset": name.split("/")[0]} | OTHERWISE_IN.get(name, {})
    for column, key in KEY_OF.items():
        assert value_at(cfg, key) == row[column], key
    assert [value_at(cfg, key) for key in MIXUP_KEYS] == row["mixup"]


def test_readme_command_of_the_infrared_set():
    pairs = """DATA.PATH_TO_DATA_DIR lists DATA.PATH_PREFIX videos DATA.PATH_LABEL_SEPARATOR , TRAIN.ENABLE False TEST.NUM_ENSEMBLE_VIEWS 4
        TEST.NUM_SPATIAL_CROPS 1 TEST.CHECKPOINT_FILE_PATH x.pyth OUTPUT_DIR out NUM_GPUS 0""".split()
    cfg = load_cfg(ROOT / "configs/infar/uniformer_s_8x8.yaml", pairs)
    assert (cfg.DATA.PATH_LABEL_SEPARATOR, cfg.TRAIN.ENABLE, cfg.NUM_GPUS) == (",", False, 0)
    assert (cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS, cfg.MODEL.NUM_CLASSES) == (4, 1, 12)


def rates(cfg) -> list[float]:
    """The learning rate of every epoch."""
    return [build_schedule(cfg)(epoch) for epoch in range(cfg.SOLVER.MAX_EPOCH)]


@pytest.mark.parametrize("name", ["csn_ir_152", "csn_ir_50", "csn_ip_152", "csn_ir_152_scratch", "csn_ip_152_scratch"])
def test_csn_recipes_of_kinetics(name):
    cfg = load_cfg(ROOT / f"configs/kinetics/{name}.yaml")
    assert cfg.CSN.BOTTLENECK == name.split("_")[1] and cfg.CSN.DEPTH == int(name.split("_")[2])
    assert cfg.CSN.FROZEN_BN == (not name.endswith("scratch"))
    wanted = [5e-4 * (0.1 + 0.9 * min(e, 15) / 15) * 0.1 ** ((e >= 32) + (e >= 48)) for e in range(58)]
    assert rates(cfg) == pytest.approx(wanted, rel=1e-12)
    scratch = ([110.2008, 100.63983, 95.99475], [58.14765, 56.46975, 55.332195])
    mean, std = scratch if name.endswith("scratch") else ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    assert [255 * x for x in cfg.DATA.MEAN] == pytest.approx(mean, rel=1e-5)
    assert [255 * x for x in cfg.DATA.STD] == pytest.approx(std, rel=1e-5)


def test_csn_in_the_dark_literally():
    cfg = load_cfg(ROOT / "configs/arid/csn_har_dark_literal.yaml")
    wanted = [5e-4 * (0.1 + 0.9 * e / 99) * 0.1 ** ((e >= 60) + (e >= 80)) for e in range(100)]
    assert rates(cfg) == pytest.approx(wanted, rel=1e-12)
    # The published input of pixels in 0..255: (pixel - 0.07) / 0.1, with means of 1408 to 1748 at gamma 5.
    seen = [(200 / 255 - mean) / std for mean, std in zip(cfg.DATA.MEAN, cfg.DATA.STD, strict=True)]
    assert seen == pytest.approx([(200 - 0.07) / std for std in (0.1, 0.09, 0.08)], rel=1e-6)
    assert (cfg.TEST.SELECT_ON, cfg.DATA.RANDOM_FLIP, cfg.MODEL.NUM_CLASSES, cfg.DATA.TRAIN_SHORT_SIDE) == (
        "test",
        False,
        400,
        64,
    )


@pytest.mark.parametrize(
    "name, gamma, depth",
    [
        ("csn_har_dark", 5, 152),
        ("csn_har_dark_gamma1", 1, 152),
        ("csn_har_dark_gamma3", 3, 152),
        ("csn_har_dark_r50", 5, 50),
    ],
)
def test_csn_in_the_dark_repaired(name, gamma, depth):
    cfg = load_cfg(ROOT / f"configs/arid/{name}.yaml")
    assert (cfg.DATA.GAMMA, cfg.CSN.DEPTH, cfg.CSN.FROZEN_BN) == ([gamma], depth, True)
    assert (cfg.DATA.SAMPLING, cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TEST_CROP_SIZE) == (
        "uniform",
        40,
        56,
        64,
    )
    assert (cfg.TEST.SELECT_ON, cfg.TEST.TEST_BEST, cfg.DATA.HOLD_OUT) == ("val", True, 0.2)
    assert max(rates(cfg)) == pytest.approx(5e-4 * 12 / 96)


def test_arid_recipe_with_a_tiny_budget():
    pairs = """NUM_GPUS 0 DATA.TRAIN_LIST arid6_train.txt DATA.VAL_LIST arid6_test.txt DATA.TEST_LIST arid6_test.txt
        DATA.CLASSES_FILE arid6_classes.txt MODEL.NUM_CLASSES 6 DATA.NUM_FRAMES 4 DATA.TRAIN_CROP_SIZE 64 DATA.TEST_CROP_SIZE 64
        TRAIN.BATCH_SIZE 4 SOLVER.MAX_EPOCH 1 SOLVER.WARMUP_EPOCHS 0 DATA_LOADER.NUM_WORKERS 0""".split()
    cfg = load_cfg(ROOT / "configs/arid/uniformer_s.yaml", pairs)
    check_training(cfg)
    assert (cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS, cfg.DATA.MEAN[0]) == (4, 3, 0.0796)


FRAGRANT_FILES = {
    "infar/fragrant_small_16x8": (["stage2"], ["stage3"], 12, [0.45, 0.45, 0.45]),
    "infar/fragrant_small_16x8_no_fam": ([], ["stage3"], 12, [0.45, 0.45, 0.45]),
    "infar/fragrant_small_16x8_no_ram": (["stage2"], [], 12, [0.45, 0.45, 0.45]),
    "infar/fragrant_small_16x8_neither": ([], [], 12, [0.45, 0.45, 0.45]),
    "arid/fragrant_small": (["stage2"], ["stage3"], 11, [0.0796, 0.0739, 0.0725]),
    "ellar/fragrant_small": (["stage2"], ["stage3"], 12, [0.485, 0.456, 0.406]),
    "demo/fragrant_xs": (["stage2"], ["stage3"], 6, [0.069, 0.069, 0.069]),
}


@pytest.mark.parametrize("name, expected", FRAGRANT_FILES.items())
def test_fragrant_files_differ_from_their_uniformer_in_what_they_say(name, expected):
    cfg = load_cfg(ROOT / "configs" / f"{name}.yaml")
    assert (cfg.FRAGRANT.FAM_AT, cfg.FRAGRANT.RAM_AT, cfg.MODEL.NUM_CLASSES, cfg.DATA.MEAN) == expected
    assert (cfg.MODEL.MODEL_NAME, cfg.FRAGRANT.RAM.HEADS, cfg.FRAGRANT.RAM.KERNEL_TYPE) == ("Fragrant", 8, "VplusR")
    if name.startswith("infar"):
        plain = load_cfg(ROOT / "configs/infar/uniformer_s_16x8.yaml")
        assert (cfg.SOLVER, cfg.DATA, cfg.MIXUP, cfg.AUG, cfg.UNIFORMER) == (
            plain.SOLVER,
            plain.DATA,
            plain.MIXUP,
            plain.AUG,
            plain.UNIFORMER,
        )


@pytest.mark.parametrize("name", ["no_fam", "no_ram", "neither"])
def test_ablations_are_three_lines(name):
    lines = (ROOT / f"configs/infar/fragrant_small_16x8_{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 3
