"""Reading and writing config files: bases, lines, what is refused, the way there and back."""

import os
import re

import pytest

from fragrant.config import ConfigError, dump_cfg, load_cfg
from fragrant.config.yaml_text import Setting, read_yaml


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str, encoding: str = "utf-8") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding)
        return str(path)

    return write


def test_settings_carry_their_line(write):
    path = write("a.yaml", "# first\nTRAIN:\n  BATCH_SIZE: 8\n\nDATA: {MEAN: [0.1, 4e-4], PATH_PREFIX: 007}\n")
    assert read_yaml(path) == [
        Setting("TRAIN.BATCH_SIZE", "8", f"{path}:3"),
        Setting("DATA.MEAN", ["0.1", "4e-4"], f"{path}:5"),
        Setting("DATA.PATH_PREFIX", "007", f"{path}:5"),
    ]


def test_empty_file_and_empty_block(write):
    assert read_yaml(write("a.yaml", "# nothing\n")) == []
    assert load_cfg(write("b.yaml", "TRAIN:\nNUM_GPUS: 0\n")).NUM_GPUS == 0


def test_bases_come_first_relative_to_their_file(write):
    write("base/one.yaml", "NUM_GPUS: 2\nRNG_SEED: 5\nLOG_PERIOD: 7\n")
    write("base/two.yaml", "_BASE_: one.yaml\nRNG_SEED: 6\n")
    path = write("run/a.yaml", "LOG_PERIOD: 9\n_BASE_: ../base/two.yaml\n")
    cfg = load_cfg(path)
    assert (cfg.NUM_GPUS, cfg.RNG_SEED, cfg.LOG_PERIOD) == (2, 6, 9)


def test_several_bases_the_last_wins(write):
    write("one.yaml", "NUM_GPUS: 2\nRNG_SEED: 5\n")
    write("two.yaml", "RNG_SEED: 6\n")
    cfg = load_cfg(write("a.yaml", "_BASE_: [one.yaml, two.yaml]\n"))
    assert (cfg.NUM_GPUS, cfg.RNG_SEED) == (2, 6)


def test_byte_order_mark(write):
    assert load_cfg(write("a.yaml", "NUM_GPUS: 3\nTRAIN: {BATCH_SIZE: 3}\n", encoding="utf-8-sig")).NUM_GPUS == 3


BAD_FILES = [
    ("TRAIN:\n  ENABLE: True\nTRAIN:\n  BATCH_SIZE: 2\n  ENABLE: False\n", ":5: TRAIN.ENABLE is set twice, before in"),
    ("NUM_GPUS: 1\nNUM_GPUS: 1\n", ":2: NUM_GPUS is set twice"),
    ("TRAIN: {ENABLE: True\n", ":2: is not valid yaml: expected ',' or '}'"),
    ("NUM_GPUS: 1\n bad\n: - x", "is not valid yaml"),
    ("- NUM_GPUS\n- 1\n", ": expected keys and values, got a sequence"),
    ("just text\n", ": expected keys and values, got a scalar"),
    (
        "OUTPUT_DIR: !!python/object/apply:os.system [echo]\n",
        ":1: the yaml tag tag:yaml.org,2002:python/object/apply:os.system is",
    ),
    ("OUTPUT_DIR: !path x\n", ":1: the yaml tag !path is not allowed: a config is data, never code"),
    ("DATA:\n  MEAN: &a [1, *a]\n", ":2: too many levels"),
    ("DATA: &a\n  B: *a\n", "too many levels"),
    ("? [a, b]\n: 1\n", ":1: a sequence cannot be a key"),
    ("_BASE_: a.yaml\n", "_BASE_ leads back to the same file"),
    ("_BASE_: gone.yaml\n", "gone.yaml (_BASE_ of {path}): cannot be read: No such file or directory"),
    ("_BASE_: code.py\n", "code.py (_BASE_ of {path}): only .yaml files are read"),
    ("NUM_GPUS: 1\n---\nNUM_GPUS: 2\n", "is not valid yaml"),
    ("OUTPUT_DIR: \x07\n", "is not valid yaml: unacceptable character"),
]


@pytest.mark.parametrize("text, message", BAD_FILES)
def test_bad_file(write, text, message):
    path = write("a.yaml", text)
    with pytest.raises(ConfigError, match=re.escape(message.replace("{path}", path))) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
    assert os.path.dirname(path) in str(caught.value)


def test_code_is_refused(write):
    path = write("a.py", "NUM_GPUS = 1\n")
    with pytest.raises(ConfigError, match="only .yaml files are read; a config is data, never code"):
        load_cfg(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: No such file or directory"):
        load_cfg(str(tmp_path / "gone.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        load_cfg(tmp_path / "folder.yaml")


def test_not_utf8(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"OUTPUT_DIR: caf\xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_cfg(tmp_path / "a.yaml")


ODD_VALUES = [
    [],
    ["OUTPUT_DIR", "2024", "DATA.PATH_LABEL_SEPARATOR", ",", "DATA.PATH_PREFIX", "päth with 'quotes' # and more"],
    [
        "SOLVER.CLIP_GRADIENT",
        "None",
        "SOLVER.BASE_LR",
        "4e-4",
        "SOLVER.COSINE_END_LR",
        "1e-06",
        "UNIFORMER.QKV_SCALE",
        "0.125",
    ],
    ["OUTPUT_DIR", "true", "DATA.TRAIN_LIST", "1e5", "DATA.VAL_LIST", "007", "DATA.PATH_LABEL_SEPARATOR", "\t"],
    ["TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN", "['module.', 'a, b']", "UNIFORMER.MLP_RATIO", "4.0"],
]


@pytest.mark.parametrize("pairs", ODD_VALUES)
def test_written_config_reads_back_equal(write, pairs):
    cfg = load_cfg(None, pairs)
    text = dump_cfg(cfg)
    again = load_cfg(write("config.yaml", text))
    assert again == cfg
    assert dump_cfg(again) == text
    assert load_cfg(write("plain.yaml", cfg.dump())) == cfg  # as checkpoints hold it


def test_written_config_keeps_the_order_of_the_defaults():
    text = dump_cfg(load_cfg(None))
    assert (
        text.index("OUTPUT_DIR:")
        < text.index("MODEL:")
        < text.index("  MEAN: [0.45, 0.45, 0.45]\n")
        < text.index("TEST:")
    )
