"""The tree of defaults against the published one; every key explains itself."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, golden

from fragrant.config.defaults import default_cfg, kind_of, leaves
from fragrant.config.published import IGNORED, INSTEAD, ONLY_DEFAULT, UNSUPPORTED, entry_of

PUBLISHED = golden("framework/config_defaults")

# Keys that a compatible framework needs, and why they are not here yet. A key leaves this table when its reader comes.
NOT_HERE_YET = {
    "DATA.COLOR_PATH_TO_DATA_DIR": "training on pairs of visible and infrared lists",
    "DATA.THERMAL_PATH_TO_DATA_DIR": "training on pairs of visible and infrared lists",
}


def test_needed_published_keys_have_the_published_default():
    flat = leaves(default_cfg())
    needed = {row["key"]: row["default"] for row in PUBLISHED["rows"] if row["verdict"] == "keep"}
    assert {key for key in needed if key not in flat} == set(NOT_HERE_YET)
    for key, default in needed.items():
        if key in flat:
            assert flat[key] == default, key
            assert isinstance(flat[key], bool) == isinstance(default, bool), key


def test_every_published_key_is_in_exactly_one_place():
    flat = leaves(default_cfg())
    for row in PUBLISHED["rows"] + PUBLISHED["worth_adding_from_other_forks"]:
        places = [
            row["key"] in flat,
            *(entry_of(row["key"], table) is not None for table in (IGNORED, ONLY_DEFAULT, UNSUPPORTED, INSTEAD)),
        ]
        assert sum(places) == 1, row["key"]


def test_no_key_is_here_and_left_out():
    for key in leaves(default_cfg()):
        assert not any(entry_of(key, table) for table in (IGNORED, ONLY_DEFAULT, UNSUPPORTED, INSTEAD)), key


def test_only_default_holds_the_published_default():
    published = {row["key"]: row["default"] for row in PUBLISHED["rows"] + PUBLISHED["worth_adding_from_other_forks"]}
    for key, entry in ONLY_DEFAULT.items():
        if key in published:
            assert entry.default == published[key], key


def test_every_key_has_its_comment():
    lines = Path(ROOT, "fragrant/config/defaults.py").read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if re.match(r"_C\.\S+ = (?!CfgNode)", line)]
    assert len(keys) == len(leaves(default_cfg()))
    assert not [line for line in keys if not re.search(r"  # \S.{5,}", line)]


def test_defaults_are_fresh_each_time():
    one, other = default_cfg(), default_cfg()
    one.DATA.MEAN.append(1.0)
    one.TRAIN.BATCH_SIZE = 1
    assert other.DATA.MEAN == [0.45, 0.45, 0.45]
    assert other.TRAIN.BATCH_SIZE == 64


@pytest.mark.parametrize("key", leaves(default_cfg()))
def test_default_is_of_its_kind(key):
    default = leaves(default_cfg())[key]
    kind = kind_of(key, default)
    assert kind.element in (bool, int, float, str, "number")
    assert kind.is_list == isinstance(default, list)
    assert kind.may_be_none or default is not None
