"""Configs that are small on the disk or the command line and large, deep or endless in memory: refused, in one line and
at once."""

import os
import time

import pytest

from fragrant.config import ConfigError, cfg_from_text, load_cfg
from fragrant.config.yaml_text import read_yaml

SOON = 8.0  # seconds; each takes well below one on an idle machine


@pytest.fixture(autouse=True)
def ends_soon():
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < SOON


def refused(act) -> str:
    with pytest.raises(ConfigError) as caught:
        act()
    for problem in caught.value.problems:
        assert "\n" not in problem and len(problem) < 2100
    return str(caught.value)


def aliases(levels: int, item: str, many: str) -> str:
    lines = [f"A0: &a0 {many.replace('*', item)}"]
    lines += [f"A{at}: &a{at} {many.replace('*', f'*a{at - 1}')}" for at in range(1, levels)]
    return "\n".join(lines)


TEXTS = {
    "aliases of lists": (aliases(9, "x", "[" + ",".join("*" * 9) + "]"), "do aliases (*name) multiply them?"),
    "aliases of blocks": (
        aliases(9, "1", "{" + ",".join(f"K{k}: *" for k in range(9)) + "}"),
        "do aliases (*name) multiply them?",
    ),
    "aliases in a known key": (
        "DATA:\n  MEAN: &a [1,1,1,1,1,1,1,1]\n  STD: [" + "*a," * 2000 + "]",
        "do aliases (*name) multiply them?",
    ),
    "merge keys": ("A: &a {B: 1}\n<<: *a\n", "A.B is not known"),
    "deep list": ("OUTPUT_DIR: " + "[" * 3000 + "]" * 3000, "is not valid yaml: more than 10 levels"),
    "deep, never closed": ("[" * 50_000, "is not valid yaml: more than 10 levels"),
    "deep by dashes": ("OUTPUT_DIR:\n " + "- " * 20_000, "more than 10 levels"),
    "deep by indents": ("".join("A:\n" + " " * at for at in range(1, 300)), "too many levels"),
    "some levels": ("OUTPUT_DIR: " + "[" * 30 + "]" * 30, "too many levels"),
    "long": ("OUTPUT_DIR: " + "x" * 70_000, "allowed: 60000, no config is longer"),
    "many values": ("DATA: {MEAN: [" + "1," * 6_000 + "]}", "more than 5000 values"),
    "many keys": ("\n".join(f"K{k}: 1" for k in range(2_000)), "20 problems in the config"),
    "a control character in a key": ('"TRAIN\\nerror": 1', "cannot be a key"),
    "a NUL character": ('OUTPUT_DIR: "a\\0b"', "holds a NUL character"),
    "a character that is none": ('OUTPUT_DIR: "\\UFFFFFFFF"', "is not valid yaml"),
    "plug-ins of a thousand levels": ("# plug-ins: " + "[" * 90 + "\nTRAIN: 1", "TRAIN is a block of keys"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(tmp_path, name):
    """As a base of a file, and as checkpoints carry it."""
    text, message = TEXTS[name]
    (tmp_path / "bomb.yaml").write_text(text)
    (tmp_path / "run.yaml").write_text("_BASE_: bomb.yaml\nNUM_GPUS: 0\n")
    assert message in refused(lambda: load_cfg(tmp_path / "run.yaml"))
    assert message in refused(lambda: cfg_from_text(text, where="config in best.pyth"))


BASES = {
    "a list in a list": ("_BASE_: [[a.yaml]]", "_BASE_ must be the name of a file, or a list of names"),
    "a block": ("_BASE_: {a: b}", "_BASE_.a is not known"),
    "a NUL character": ('_BASE_: "a\\0b.yaml"', "cannot be the name of a file"),
    "a line break": ('_BASE_: "a\\nb.yaml"', "cannot be the name of a file"),
    "nothing": ("_BASE_: ", "only .yaml files are read"),
    "a number": ("_BASE_: 3", "only .yaml files are read"),
    "nobody's home": ("_BASE_: ~nobody_of_this_name/a.yaml", "cannot be read"),
    "a name of 5000 characters": ("_BASE_: " + "x" * 5000 + ".yaml", "cannot be the name of a file"),
    "a pipe": ("_BASE_: pipe.yaml", "it is a named pipe, not a file"),
    "a device": ("_BASE_: zero.yaml", "it is a device, not a file"),
}


@pytest.mark.parametrize("name", BASES)
def test_bases(tmp_path, name):
    text, message = BASES[name]
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "run.yaml").write_text(text)
    assert message in refused(lambda: load_cfg(tmp_path / "run.yaml"))


def test_bases_that_double_are_read_once_each(tmp_path):
    for at in range(40):
        (tmp_path / f"b{at}.yaml").write_text(f"_BASE_: [b{at + 1}.yaml, b{at + 1}.yaml]\nLOG_PERIOD: {at + 1}\n")
    (tmp_path / "b40.yaml").write_text("OUTPUT_DIR: x\n")
    cfg = load_cfg(tmp_path / "b0.yaml")
    assert (cfg.OUTPUT_DIR, cfg.LOG_PERIOD) == ("x", 1)


def test_a_base_of_two_bases_counts_where_it_stands_last(tmp_path):
    """As if it were read as often as it is named."""
    (tmp_path / "d.yaml").write_text("RNG_SEED: 1\nLOG_PERIOD: 1\n")
    (tmp_path / "b.yaml").write_text("_BASE_: d.yaml\nRNG_SEED: 2\n")
    (tmp_path / "c.yaml").write_text("_BASE_: d.yaml\nLOG_PERIOD: 3\n")
    (tmp_path / "a.yaml").write_text("_BASE_: [b.yaml, c.yaml]\n")
    cfg = load_cfg(tmp_path / "a.yaml")
    assert (cfg.RNG_SEED, cfg.LOG_PERIOD) == (1, 3)
    assert len(read_yaml(tmp_path / "a.yaml")) == 4


def test_a_long_chain_and_many_files(tmp_path):
    for at in range(150):
        (tmp_path / f"b{at}.yaml").write_text(f"_BASE_: b{at + 1}.yaml\n")
        (tmp_path / f"leaf{at}.yaml").write_text("NUM_GPUS: 0\n")
    (tmp_path / "wide.yaml").write_text("_BASE_: [" + ", ".join(f"leaf{at}.yaml" for at in range(150)) + "]\n")
    for name in ("b0.yaml", "wide.yaml"):
        assert "more than 100 files; a config starts from a few" in refused(lambda name=name: load_cfg(tmp_path / name))


LONG = 60_000
VALUES = {
    "400 digits": "9" * 400,
    "5000 digits": "9" * 5000,
    "digits": "9" * LONG,
    "beyond floats": "1e999",
    "minus signs": "-" * LONG + "1",
    "minus signs in a list": "[" + "-" * LONG + "1]",
    "400 digits in a list": f"[{'9' * 400}]",
    "brackets": "[" * LONG,
    "brackets, closed": "[" * LONG + "]" * LONG,
    "parentheses": "(" * LONG,
    "a sum": "1+" * LONG + "1",
    "attributes": "a." * LONG + "b",
    "not": "not " * LONG + "1",
    "blanks in a list": "[a" + " " * LONG + "b]",
    "quotes": "'a'" + "-" * LONG + "'b'",
    "backslashes": "'" + "\\" * LONG + "'",
    "text": "x" * LONG,
}
KEYS = ("SOLVER.BASE_LR", "SOLVER.MAX_EPOCH", "DATA.MEAN", "TRAIN.ENABLE", "SOLVER.LR_POLICY", "RNG_SEED")


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    """On the command line and, quoted, in a file."""
    for key in KEYS:
        assert key in refused(lambda key=key: load_cfg(None, [key, VALUES[name]]))
        if len(VALUES[name]) < 50_000 and "'" not in VALUES[name] and "\\" not in VALUES[name]:
            block, _, leaf = key.rpartition(".")
            text = f"{block}: {{{leaf}: '{VALUES[name]}'}}" if block else f"{leaf}: '{VALUES[name]}'"
            assert key in refused(lambda text=text: cfg_from_text(text))


def test_keys_of_any_length():
    for key in ("A" * LONG, "A." * LONG + "B", "a\nb", "a\0b", ""):
        refused(lambda key=key: load_cfg(None, [key, "1"]))
    refused(lambda: load_cfg(None, ["x" * LONG] * 3))
