"""Whatever stands in a yaml file, in the config of a checkpoint or on the command line: a config, or one line."""

import random

from conftest import ROOT
from fuzzing import SEEDS, examples, tried
from hypothesis import strategies as st
from mutations import mutated

from fragrant.config import ConfigError, cfg_from_text, dump_cfg, load_cfg
from fragrant.config.defaults import KEYS

NAMES = sorted(KEYS)
YAML = st.text("[]{}:,-?&*!|>'\"%@`#\n \tabAB_019.\\\0~<\u2028\ud800", max_size=60)
WORDS = st.one_of(
    YAML,
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["None", "true", "[1, 2]", "(1, 2)", "[a, b]", "'x", "1e999", "9" * 400, "-" * 500, "[[[[", "~"]),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3)), max_size=4).map(str),
)


def fails_in_one_line(read) -> None:
    try:
        cfg = read()
    except ConfigError as error:
        assert all("\n" not in problem and "\0" not in problem and len(problem) < 2100 for problem in error.problems)
    else:
        assert cfg_from_text(dump_cfg(cfg)) == cfg  # whatever is accepted can be written and read


@examples(60, 20_000)
def test_yaml_of_any_characters(number):
    tried(lambda text: fails_in_one_line(lambda: cfg_from_text(text)), YAML, number)


@examples(60, 20_000)
def test_damaged_configs(number, tmp_path):
    texts = [path.read_bytes() for path in sorted((ROOT / "configs").rglob("*.yaml"))[::10]]
    path = tmp_path / "run.yaml"

    def check(seed: int) -> None:
        rng = random.Random(seed)
        path.write_bytes(mutated(rng.choice(texts), texts, rng))
        fails_in_one_line(lambda: load_cfg(path))

    tried(check, SEEDS, number)


@examples(80, 50_000)
def test_keys_and_values(number):
    keys = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), YAML, st.sampled_from(NAMES).map(lambda k: k[:-1]))

    def check(pairs) -> None:
        fails_in_one_line(lambda: load_cfg(None, [word for pair in pairs for word in pair]))

    tried(check, st.lists(st.tuples(keys, WORDS), max_size=3), number)


@examples(20, 5_000)
def test_an_odd_number_of_words(number):
    tried(lambda words: fails_in_one_line(lambda: load_cfg(None, words)), st.lists(WORDS, max_size=5), number)


@examples(20, 5_000)
def test_blocks_in_blocks(number):
    """Values of every kind under every key, as yaml of the right form."""
    leaf = st.one_of(WORDS, st.none(), st.booleans(), st.integers(), st.floats())
    inner = st.recursive(leaf, lambda deeper: st.one_of(st.lists(deeper, max_size=3)), max_leaves=6)

    def check(found) -> None:
        tree: dict = {}
        for name, value in found.items():
            *blocks, last = name.split(".")
            node = tree
            for block in blocks:
                node = node.setdefault(block, {})
            node[last] = value
        text = _flow(tree)
        fails_in_one_line(lambda: cfg_from_text(text))

    tried(check, st.dictionaries(st.sampled_from(NAMES), inner, max_size=3), number)


def _flow(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return "'" + str(value).replace("'", "''") + "'" if isinstance(value, str) else str(value)
