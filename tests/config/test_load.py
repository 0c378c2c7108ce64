"""load_cfg: order, override pairs, unknown and published keys, messages."""

import logging
import pickle
import re

import pytest
from conftest import golden

from fragrant.config import ConfigError, changed, load_cfg
from fragrant.config.defaults import default_cfg

# Rows of the golden table that its notes call a bug of yacs typing: nothing is lost, so they are accepted here.
REPAIRED = {
    ("SOLVER.CLIP_GRADIENT", "1.0"): 1.0,
    ("UNIFORMER.DROP_DEPTH_RATE", "0"): 0.0,
    ("SOLVER.WARMUP_EPOCHS", "10"): 10.0,
    ("TRAIN.BATCH_SIZE", "8.0"): 8,
    ("TRAIN.ENABLE", "false"): False,
    ("OUTPUT_DIR", "2024"): "2024",
}


def value_at(cfg, key: str) -> object:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


@pytest.mark.parametrize("row", golden("framework/cli_overrides")["rows"], ids=lambda row: " ".join(row["pair"]))
def test_published_override_table(row):
    repaired = tuple(row["pair"]) in REPAIRED
    if not row["ok"] and not repaired:
        with pytest.raises(ConfigError, match=re.escape(row["pair"][0])):
            load_cfg(None, row["pair"])
        return
    assert not (row["ok"] and repaired)
    expected = REPAIRED[tuple(row["pair"])] if repaired else row["value"]
    value = value_at(load_cfg(None, row["pair"]), row["pair"][0])
    assert value == expected
    assert type(value) is type(expected)


def test_nothing_given_is_the_defaults():
    assert load_cfg(None) == default_cfg()


def test_pairs_win_over_the_file_the_last_pair_wins(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("NUM_GPUS: 2\nRNG_SEED: 5\nSOLVER:\n  BASE_LR: 4e-4\n  WARMUP_EPOCHS: 10\n")
    cfg = load_cfg(path, ["RNG_SEED", "6", "RNG_SEED", "7"])
    assert (cfg.NUM_GPUS, cfg.RNG_SEED) == (2, 7)
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.WARMUP_EPOCHS) == (4e-4, 10.0)
    assert isinstance(cfg.SOLVER.WARMUP_EPOCHS, float)


def test_frozen():
    with pytest.raises(AttributeError):
        load_cfg(None).TRAIN.BATCH_SIZE = 3


def test_values_of_python_types():
    cfg = load_cfg(
        None, ["TRAIN.ENABLE", False, "DATA.MEAN", (0.07, 0.07, 0.07), "SOLVER.CLIP_GRADIENT", None, "OUTPUT_DIR", 2024]
    )
    assert (cfg.TRAIN.ENABLE, cfg.DATA.MEAN, cfg.SOLVER.CLIP_GRADIENT, cfg.OUTPUT_DIR) == (
        False,
        [0.07] * 3,
        None,
        "2024",
    )


def test_quotes_that_survived_the_shell():
    cfg = load_cfg(
        None, ["DATA.PATH_LABEL_SEPARATOR", '"\\t"', "DATA.PATH_PREFIX", "'/my videos'", "OUTPUT_DIR", "it's"]
    )
    assert (cfg.DATA.PATH_LABEL_SEPARATOR, cfg.DATA.PATH_PREFIX, cfg.OUTPUT_DIR) == ("\t", "/my videos", "it's")


BAD_PAIRS = [
    (["TRAIN.BACH_SIZE", "1"], "TRAIN.BACH_SIZE is not known; did you mean 'TRAIN.BATCH_SIZE'?"),
    (["train.batch_size", "1"], "did you mean 'TRAIN.BATCH_SIZE'"),
    (["TRIAN.BATCH_SIZE", "1"], "did you mean 'TRAIN.BATCH_SIZE'?"),
    (["BATCH_SIZE", "1"], "did you mean 'TRAIN.BATCH_SIZE' or 'TEST.BATCH_SIZE'?"),
    (["SOLVER.LR", "1"], "did you mean 'SOLVER.LRS' or 'SOLVER.BASE_LR'"),
    (["MODEL.NAME", "x"], "did you mean 'MODEL.MODEL_NAME'?"),
    (["TEST.NUM_FRAMES", "1"], "did you mean 'DATA.NUM_FRAMES' or 'DEMO_SET.NUM_FRAMES' or 'FEATURES.NUM_FRAMES'?"),
    (["MODEL.DROP_DEPTH_RATE", "1"], "did you mean 'UNIFORMER.DROP_DEPTH_RATE'?"),
    (["TRAIN.MAX_EPOCHS", "1"], "did you mean 'SOLVER.MAX_EPOCH'?"),
    (["NUM_GPU", "1"], "did you mean 'NUM_GPUS'?"),
    (["NO.SUCH", "1"], "NO.SUCH is not known; known blocks: LOG, MODEL, UNIFORMER,"),
    (["TENSORBOARD.XYZ", "1"], "TENSORBOARD.XYZ is not known; TENSORBOARD holds ENABLE, LOG_DIR"),
    (["DEMO_SET.VIDEOS", "1"], "did you mean 'DEMO_SET.VIDEOS_PER_CLASS'?"),
    (["TRAIN.ENABLE.X", "1"], "TRAIN.ENABLE.X is not known; TRAIN.ENABLE is a value, not a block of keys"),
    (["TRAIN", "1"], "TRAIN is a block of keys, not a value; it holds ENABLE, DATASET, "),
    (["TRAIN.ENABLE=False", "1"], "write key and value with a blank between them, not '='"),
    (["TRAIN.ENABLE=False"], "'TRAIN.ENABLE=False': write key and value with a blank between them"),
    (["TRAIN.ENABLE"], "'TRAIN.ENABLE' has no value"),
    (["RNG_SEED", "3", "TRAIN.ENABLE"], "'TRAIN.ENABLE' has no value"),
    (["RNG_SEED", "3", "TRAIN.ENABLE", "SOLVER.MAX_EPOCH", "3"], "'TRAIN.ENABLE' has no value"),
    (
        ["DATA.PATH_PREFIX", "/my", "videos", "RNG_SEED", "3"],
        "'videos' stands where a key should be; does the value before it need",
    ),
    (["--num_shards", "2"], "'--num_shards' is not known as a flag; flags stand before the pairs"),
    (["RNG_SEED", "1", "--debug"], "'--debug' is not known as a flag"),
    (["TRAIN.BATCH_SIZE", "8.5"], "TRAIN.BATCH_SIZE: '8.5' is not a whole number (default: 64)"),
    (["DATA.MEAN", "0.5"], "DATA.MEAN: '0.5' is not a list; write [0.5] (default: [0.45, 0.45, 0.45])"),
    (
        ["TEST.CHECKPOINT_FILE_PATH", "[]"],
        "TEST.CHECKPOINT_FILE_PATH: '[]' is a placeholder: put the path or name itself there",
    ),
    (["RESNET.DEPTH", "50"], "RESNET.DEPTH is not supported here: the SlowFast ResNet family is left out"),
    (["DETECTION.ENABLE", "False"], "DETECTION.ENABLE is not supported here: detection is left out"),
    (["MULTIGRID.SHORT_CYCLE", "True"], "MULTIGRID.SHORT_CYCLE is not supported here: multigrid training is left out"),
    (["DEMO.ENABLE", "True"], "DEMO.ENABLE is not supported here"),
    (["TENSORBOARD.MODEL_VIS.GRAD_CAM.ENABLE", "True"], "TENSORBOARD.MODEL_VIS.GRAD_CAM.ENABLE is not supported here"),
    (["DATA.SSL_COLOR_JITTER", "True"], "DATA.SSL_COLOR_JITTER is not supported here: self-supervised training"),
    (["TENSORBOARD.WRONG_PRED_VIS.ENABLE", "True"], "the report shows the most confident mistakes"),
    (
        ["TRAIN.CHECKPOINT_TYPE", "caffe2"],
        "TRAIN.CHECKPOINT_TYPE caffe2 is not supported, only 'pytorch': only PyTorch",
    ),
    (["TEST.ADD_SOFTMAX", "maybe"], "TEST.ADD_SOFTMAX is not known"),
    (
        ["SOLVER.BACKBONE_LR_RATIO", "0.5"],
        "SOLVER.BACKBONE_LR_RATIO 0.5 is not supported, only 0.1: in the published code",
    ),
]


@pytest.mark.parametrize(
    "pairs, message", BAD_PAIRS, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
def test_bad_pairs(pairs, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_cfg(None, pairs)
    assert str(caught.value).startswith("KEY VALUE pairs: ")
    assert "\n" not in str(caught.value)


def test_bad_key_in_a_file_names_file_and_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("TRAIN:\n  ENABLE: True\n  BACH_SIZE: 3\nDATA:\n  NUM_FRAMES: many\nRESNET:\n  DEPTH: 50\n")
    with pytest.raises(ConfigError) as caught:
        load_cfg(path, ["NUM_GPUS", "x"])
    assert caught.value.problems == [
        f"{path}:3: TRAIN.BACH_SIZE is not known; did you mean 'TRAIN.BATCH_SIZE'?",
        f"{path}:5: DATA.NUM_FRAMES: 'many' is not a whole number (default: 8)",
        f"{path}:7: RESNET.DEPTH is not supported here: the SlowFast ResNet family is left out",
        "KEY VALUE pairs: NUM_GPUS: 'x' is not a whole number or auto (default: 1)",
    ]


SILENT = [
    ("DATA.TRAIN_JITTER_FPS", "0.0"),
    ("BN.NORM_TYPE", "batchnorm"),
    ("TRAIN.CHECKPOINT_TYPE", "pytorch"),
    ("DATA.COLOR_PATH_TO_DATA_DIR", ""),
    ("UNIFORMER.HEAD_DROPOUT_RATE", "0.0"),
    ("SOLVER.CLIP_GRAD_VAL", "None"),
    ("TEST.NUM_TEMPORAL_CLIPS", "[]"),
    ("TENSORBOARD.HISTOGRAM.FIGSIZE", "[8, 8]"),
]


@pytest.mark.parametrize("pair", SILENT, ids=lambda pair: pair[0])
def test_not_built_yet_but_at_its_default(pair, caplog):
    assert load_cfg(None, pair) == default_cfg()
    assert not caplog.records


def test_ignored_keys_are_named_in_one_line(caplog):
    with caplog.at_level(logging.WARNING):
        cfg = load_cfg(
            None, "AUG.COLOR_JITTER 0.4 TRAIN.SAVE_LATEST False AUG.COLOR_JITTER 0.5 BENCHMARK.SHUFFLE True".split()
        )
    assert cfg == default_cfg()
    assert [record.getMessage() for record in caplog.records] == [
        "config: ignored: AUG.COLOR_JITTER (video data sets never read it), TRAIN.SAVE_LATEST "
        "(TRAIN.CHECKPOINT_PERIOD 1 saves every epoch), BENCHMARK.SHUFFLE (tools/benchmark.py has its own options)"
    ]


def test_the_decoder_that_is_no_more_is_accepted_with_one_notice(caplog):
    with caplog.at_level(logging.WARNING):
        assert load_cfg(None, ["DATA.DECODING_BACKEND", "torchvision"]).DATA.DECODING_BACKEND == "torchvision"
    assert [record.getMessage() for record in caplog.records] == [
        "config: DATA.DECODING_BACKEND torchvision: videos are read with PyAV, the same frames by index"
    ]


def test_error_passes_from_one_process_to_another():
    error = ConfigError(["one", "two"])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problems) == (str(error), ["one", "two"])


def test_a_changed_copy_leaves_the_config_as_it_is():
    cfg = load_cfg(None, ["MODEL.NUM_CLASSES", "5"])
    other = changed(cfg, {"MODEL.NUM_CLASSES": 0, "MODEL.MODEL_NAME": "CSN"})
    assert (cfg.MODEL.NUM_CLASSES, other.MODEL.NUM_CLASSES, other.MODEL.MODEL_NAME) == (5, 0, "CSN")
    assert (
        other.is_frozen() and changed(other, {"MODEL.NUM_CLASSES": 5, "MODEL.MODEL_NAME": cfg.MODEL.MODEL_NAME}) == cfg
    )
