"""UniFormerV2's published yaml files load: their keys are known, said otherwise here, or refused with the reason."""

import pytest
import torch

from fragrant.config import ConfigError, load_cfg
from fragrant.models import ModelError, build_model

PUBLISHED = """
TRAIN: {ENABLE: True, DATASET: kinetics_sparse, BATCH_SIZE: 256, EVAL_PERIOD: 1, CHECKPOINT_PERIOD: 1, AUTO_RESUME: True, SAVE_LATEST: True}
DATA:
  USE_OFFSET_SAMPLING: True
  DECODING_BACKEND: decord
  NUM_FRAMES: 8
  SAMPLING_RATE: 16
  MC: False
  TRAIN_JITTER_SCALES: [256, 320]
  TRAIN_CROP_SIZE: 224
  TEST_CROP_SIZE: 224
  INPUT_CHANNEL_NUM: [3]
  TRAIN_JITTER_SCALES_RELATIVE: [0.08, 1.0]
  TRAIN_JITTER_ASPECT_RELATIVE: [0.75, 1.3333]
UNIFORMERV2:
  BACKBONE: 'uniformerv2_b16'
  N_LAYERS: 4
  N_DIM: 768
  N_HEAD: 12
  MLP_FACTOR: 4.0
  BACKBONE_DROP_PATH_RATE: 0.
  DROP_PATH_RATE: 0.
  MLP_DROPOUT: [0.5, 0.5, 0.5, 0.5]
  CLS_DROPOUT: 0.5
  RETURN_LIST: [8, 9, 10, 11]
  NO_LMHRA: True
  TEMPORAL_DOWNSAMPLE: False
  PRETRAIN: ''
  DELETE_SPECIAL_HEAD: True
AUG: {NUM_SAMPLE: 1, ENABLE: True, COLOR_JITTER: 0.4, AA_TYPE: rand-m7-n4-mstd0.5-inc1, INTERPOLATION: bicubic, RE_PROB: 0., RE_MODE: pixel, RE_COUNT: 1, RE_SPLIT: False}
BN: {USE_PRECISE_STATS: False, NUM_BATCHES_PRECISE: 200}
SOLVER:
  ZERO_WD_1D_PARAM: True
  BASE_LR_SCALE_NUM_SHARDS: False
  BASE_LR: 4e-4
  BACKBONE_LR_RATIO: 0.1
  SPECIAL_LIST: []
  SPECIAL_RATIO: 0.1
  COSINE_AFTER_WARMUP: True
  COSINE_END_LR: 1e-6
  WARMUP_START_LR: 1e-6
  WARMUP_EPOCHS: 5.
  LR_POLICY: cosine
  MAX_EPOCH: 50
  MOMENTUM: 0.9
  WEIGHT_DECAY: 0.05
  OPTIMIZING_METHOD: adamw
  CLIP_GRADIENT: 20
MODEL: {NUM_CLASSES: 400, ARCH: uniformerv2, MODEL_NAME: Uniformerv2, LOSS_FUNC: cross_entropy, DROPOUT_RATE: 0.5, USE_CHECKPOINT: False, CHECKPOINT_NUM: [0], EMA_ENABLE: False}
TEST: {ENABLE: True, DATASET: kinetics_sparse, BATCH_SIZE: 256, NUM_SPATIAL_CROPS: 1, NUM_ENSEMBLE_VIEWS: 1, TEST_BEST: True, ADD_SOFTMAX: True}
DATA_LOADER: {NUM_WORKERS: 8, PIN_MEMORY: True}
TENSORBOARD: {ENABLE: True}
NUM_GPUS: 8
NUM_SHARDS: 1
RNG_SEED: 6666
OUTPUT_DIR: .
"""  # noqa: E501


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(PUBLISHED)
    return path


def model_of(path, *pairs: str):
    with torch.device("meta"):
        return build_model(load_cfg(path, pairs))


MOTION = [
    *("UNIFORMERV2.NO_LMHRA", "False", "UNIFORMERV2.TEMPORAL_DOWNSAMPLE", "True", "MODEL.NUM_CLASSES", "174"),
    *("UNIFORMERV2.RETURN_LIST", "[4,5,6,7,8,9,10,11]", "UNIFORMERV2.N_LAYERS", "8"),
    *("UNIFORMERV2.MLP_DROPOUT", "[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]"),
]
L14 = [
    *("UNIFORMERV2.BACKBONE", "uniformerv2_l14", "UNIFORMERV2.N_DIM", "1024", "UNIFORMERV2.N_HEAD", "16"),
    *("UNIFORMERV2.RETURN_LIST", "[20,21,22,23]"),
]
L14_MOTION = [
    *L14[:6],
    *(
        "UNIFORMERV2.RETURN_LIST",
        str(list(range(8, 24))),
        "UNIFORMERV2.N_LAYERS",
        "16",
        "UNIFORMERV2.NO_LMHRA",
        "False",
    ),
    *(
        "UNIFORMERV2.MLP_DROPOUT",
        str([0.5] * 16),
        "UNIFORMERV2.TEMPORAL_DOWNSAMPLE",
        "True",
        "MODEL.NUM_CLASSES",
        "174",
    ),
]
L14_336 = [*L14, "UNIFORMERV2.BACKBONE", "uniformerv2_l14_336"]
FROZEN = ["UNIFORMERV2.FROZEN", "True"]
SIZES = {  # -> parameters, and those that are trained: the table of the published variants
    "B/16 scene": ([], 114_552_208, 114_552_208),
    "B/16 scene, frozen": (FROZEN, 114_551_440, 28_753_552),
    "B/16 motion": (MOTION, 162_992_814, 162_992_814),
    "L/14 scene": (L14, 354_099_600, 354_099_600),
    "L/14@336 scene": (L14_336, 354_427_280, 354_427_280),
    "L/14@336 scene, frozen": ([*L14_336, *FROZEN], 354_426_256, 50_920_848),
    "L/14 motion": (L14_MOTION, 573_949_966, 573_949_966),
}


@pytest.mark.parametrize("name", SIZES)
def test_published_variants_have_the_published_size(published, name):
    pairs, parameters, trained = SIZES[name]
    model = model_of(published, *pairs)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == trained


def test_published_settings_mean_what_they_meant(published, caplog):
    cfg = load_cfg(published)
    assert cfg.MODEL.MODEL_NAME == "UniFormerV2" and cfg.TEST.ENSEMBLE_SPACE == "softmax"
    assert (cfg.TRAIN.DATASET, cfg.DATA.SAMPLING) == ("kinetics_sparse", "sparse")
    assert "MODEL.MODEL_NAME Uniformerv2 means MODEL.MODEL_NAME UniFormerV2" in caplog.text
    assert "UNIFORMERV2.DELETE_SPECIAL_HEAD (a classifier for other classes is always left out" in caplog.text


@pytest.mark.parametrize(
    "pairs, message",
    [
        ("UNIFORMERV2.BACKBONE vit_b16", "UNIFORMERV2.BACKBONE 'vit_b16' is not known"),
        ("SOLVER.BACKBONE_LR_RATIO 0.5", "only 0.1: in the published code an optimiser reads it that nothing builds"),
        ("SOLVER.SPECIAL_LIST [a]", "SOLVER.SPECIAL_LIST .* is not supported, only \\[\\]"),
        ("MODEL.USE_CHECKPOINT True MODEL.CHECKPOINT_NUM [1,2]", "MODEL.CHECKPOINT_NUM \\[1, 2\\] needs one value"),
    ],
)
def test_traps_are_refused_by_name(published, pairs, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg(published, pairs.split())


@pytest.mark.parametrize(
    "pairs, message",
    [
        ("UNIFORMERV2.N_LAYERS 3", "UNIFORMERV2.RETURN_LIST .* must name UNIFORMERV2.N_LAYERS 3 layers"),
        ("UNIFORMERV2.RETURN_LIST [8,9,10,12]", "must name layers 0 .. 11, at least one and each once"),
        ("UNIFORMERV2.RETURN_LIST [8,9,10,10]", "must name layers 0 .. 11, at least one and each once"),
        ("UNIFORMERV2.MLP_DROPOUT [0.5]", "UNIFORMERV2.MLP_DROPOUT \\[0.5\\] needs one value for each of the 4"),
        ("UNIFORMERV2.N_DIM 1024", "UNIFORMERV2.N_DIM 1024 must be 768, the width of uniformerv2_b16"),
        ("UNIFORMERV2.N_HEAD 5", "width 768 does not split into N_HEAD 5 heads"),
        ("DATA.INPUT_CHANNEL_NUM [1] DATA.MEAN [0.4] DATA.STD [0.2]", "UniFormerV2 takes 3 channels"),
    ],
)
def test_what_does_not_fit_together(published, pairs, message):
    with pytest.raises(ModelError, match=message):
        model_of(published, *pairs.split())


def test_recomputed_layers_are_counted_from_the_first_as_published(published):
    pairs = ("MODEL.USE_CHECKPOINT", "True", "MODEL.CHECKPOINT_NUM", "[12]")
    assert model_of(published, *pairs)._recomputed() == set(range(12))
    assert model_of(published, *pairs[:3], "[2,0,0,1]")._recomputed() == {0, 1, 9}
