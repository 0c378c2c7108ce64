"""The tree of defaults against the published one; every key explains itself."""

import re

import pytest
from conftest import golden

from fragrant.config.defaults import KEYS, default_cfg, kind_of, leaves
from fragrant.config.keys import key as declare
from fragrant.config.published import IGNORED, INSTEAD, ONLY_DEFAULT, SAID_OTHERWISE, UNSUPPORTED, entry_of

PUBLISHED = golden("framework/config_defaults")


def test_needed_published_keys_have_the_published_default():
    flat = leaves(default_cfg())
    needed = {row["key"]: row["default"] for row in PUBLISHED["rows"] if row["verdict"] == "keep"}
    for key, default in needed.items():
        assert flat[key] == default, key
        assert isinstance(flat[key], bool) == isinstance(default, bool), key


def test_every_published_key_is_in_exactly_one_place():
    flat = leaves(default_cfg())
    for row in PUBLISHED["rows"] + PUBLISHED["worth_adding_from_other_forks"]:
        places = [
            row["key"] in flat,
            *(entry_of(row["key"], table) is not None for table in (IGNORED, ONLY_DEFAULT, UNSUPPORTED, INSTEAD)),
            row["key"] not in flat and row["key"] in {key for key, _ in SAID_OTHERWISE},
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


def test_every_key_says_what_it_means():
    assert list(KEYS) == list(leaves(default_cfg()))
    assert not [key.name for key in KEYS.values() if len(key.meaning) < 6]


def test_every_number_has_limits():
    """A key without limits is one whose every value works; it is named here."""
    numbers = {
        key.name for key in KEYS.values() if key.kind.element in (int, float, "number") and not key.allowed.words()
    }
    assert numbers == {"DATA.MEAN"}


DECLARATIONS = [
    (("SOLVER.BASE_LR", 0.1, "again"), {}, "config key SOLVER.BASE_LR is declared twice"),
    (
        ("SOLVER", 1, "a block"),
        {},
        "config key SOLVER: a key is a value or a block of keys, and SOLVER.OPTIMIZING_METHOD is declared",
    ),
    (
        ("LOG_PERIOD.MORE", 1, "below a key"),
        {},
        "config key LOG_PERIOD.MORE: a key is a value or a block of keys, and LOG_PERIOD",
    ),
    (
        ("MINE.SHARE", 2.0, "a share"),
        dict(at_least=0, at_most=1),
        "default of a config key: MINE.SHARE 2.0 must be from 0 to 1",
    ),
    (
        ("MINE.RULE", "on", "a rule"),
        dict(one_of=("a", "b")),
        "default of a config key: MINE.RULE 'on' is not known; Known: a, b",
    ),
]


@pytest.mark.parametrize("declared, options, message", DECLARATIONS)
def test_a_declaration_that_cannot_be(declared, options, message):
    before = dict(KEYS)
    with pytest.raises(ValueError, match=re.escape(message)):
        declare(*declared, **options)
    assert before == KEYS


def test_defaults_are_fresh_each_time():
    one, other = default_cfg(), default_cfg()
    one.DATA.MEAN.append(1.0)
    one.TRAIN.BATCH_SIZE = 1
    assert other.DATA.MEAN == [0.45, 0.45, 0.45]
    assert other.TRAIN.BATCH_SIZE == 64


@pytest.mark.parametrize("name", leaves(default_cfg()))
def test_default_is_of_its_kind(name):
    default = leaves(default_cfg())[name]
    kind = kind_of(name, default)
    assert kind.element in (bool, int, float, str, "number")
    assert kind.is_list == isinstance(default, list)
    assert kind.may_be_none or default is not None
