"""Casts: what counts as the same value, what is refused."""

import re

import pytest

from fragrant.config.casts import cast
from fragrant.config.keys import Kind

WHOLE, REAL, NUMBER, TEXT, FLAG = Kind(int), Kind(float), Kind("number"), Kind(str), Kind(bool)
NUMBER_OR_NONE, TEXT_OR_NONE = Kind("number", may_be_none=True), Kind(str, may_be_none=True)
WHOLES, REALS, TEXTS = Kind(int, is_list=True), Kind(float, is_list=True), Kind(str, is_list=True)
NAMED = Kind(float, is_list=True, named={"imagenet": [0.485], "arid": [0.08]})
PER_STAGE = Kind("number", equal_list=True)

ACCEPTED = [
    ("8", WHOLE, 8),
    ("8.0", WHOLE, 8),
    ("1e2", WHOLE, 100),
    (8.0, WHOLE, 8),
    ("-1", WHOLE, -1),
    ("10", REAL, 10.0),
    ("4e-4", REAL, 4e-4),
    (".5", REAL, 0.5),
    (10, REAL, 10.0),
    ("1.0", NUMBER, 1.0),
    ("20", NUMBER, 20),
    ("None", NUMBER_OR_NONE, None),
    ("null", NUMBER_OR_NONE, None),
    ("", NUMBER_OR_NONE, None),
    (None, NUMBER_OR_NONE, None),
    ("0.125", NUMBER_OR_NONE, 0.125),
    ("True", FLAG, True),
    ("false", FLAG, False),
    ("off", FLAG, False),
    (True, FLAG, True),
    ("2024", TEXT, "2024"),
    ("007", TEXT, "007"),
    ("1e5", TEXT, "1e5"),
    ("true", TEXT, "true"),
    ("none", TEXT, "none"),
    ("", TEXT, ""),
    (",", TEXT, ","),
    (" ", TEXT, " "),
    ("img_{:05d}.jpg", TEXT, "img_{:05d}.jpg"),
    (2024, TEXT, "2024"),
    ("None", TEXT_OR_NONE, None),
    ("none", TEXT_OR_NONE, None),
    ("", TEXT_OR_NONE, None),
    ("uniformer_small_in1k", TEXT_OR_NONE, "uniformer_small_in1k"),
    ("[224, 224]", WHOLES, [224, 224]),
    ("(224, 224)", WHOLES, [224, 224]),
    ("224,224", WHOLES, [224, 224]),
    ("[224.0]", WHOLES, [224]),
    ((3, 4), WHOLES, [3, 4]),
    (["3", "4"], WHOLES, [3, 4]),
    ("[]", WHOLES, []),
    ("[0, 1]", REALS, [0.0, 1.0]),
    (["4e-4"], REALS, [4e-4]),
    ("[4e-4]", REALS, [4e-4]),
    ("arid", NAMED, [0.08]),
    ("[0.5]", NAMED, [0.5]),
    ("[stage2, stage3]", TEXTS, ["stage2", "stage3"]),
    ("['a b', 'c']", TEXTS, ["a b", "c"]),
    ("[4.0, 4.0, 4.0, 4.0]", PER_STAGE, 4.0),
    (["4", "4"], PER_STAGE, 4),
    ("3", PER_STAGE, 3),
]

REFUSED = [
    ("8.5", WHOLE, "'8.5' is not a whole number"),
    (8.5, WHOLE, "8.5 is not a whole number"),
    ("true", WHOLE, "'true' is not a whole number"),
    (True, WHOLE, "True is not a whole number"),
    ("eight", WHOLE, "'eight' is not a whole number"),
    ("", WHOLE, "'' is not allowed"),
    ("None", WHOLE, "'None' is not allowed"),
    ("[8]", WHOLE, "'[8]' is not a whole number"),
    ("true", REAL, "'true' is not a number"),
    (True, REAL, "True is not a number"),
    ("nan", REAL, "'nan' is not a number"),
    ("inf", NUMBER, "'inf' is not a number"),
    ("1", FLAG, "'1' is not true or false"),
    (0, FLAG, "0 is not true or false"),
    ("[]", TEXT, "'[]' is a placeholder: put the path or name itself there"),
    ("[your file path]", TEXT, "'[your file path]' is a placeholder"),
    ("<path>", TEXT, "'<path>' is a placeholder"),
    ("None", TEXT, "'None' is not allowed, write '' for nothing"),
    (True, TEXT, "True is not a text"),
    (["a"], TEXT, "['a'] is not a text"),
    ("0.5", REALS, "'0.5' is not a list; write [0.5]"),
    ("path", TEXTS, "'path' is not a list; write [path]"),
    ("arit", NAMED, "'arit' is not known; did you mean 'arid'? known: imagenet, arid; or write the numbers, [...]"),
    ("0.5", NAMED, "'0.5' is not a list; write [0.5]"),
    ("[0.5, x]", REALS, "'x' is not a number"),
    ("[[1], [2]]", WHOLES, "[1] is not a whole number"),
    ("[4, 3]", PER_STAGE, "[4, 3] is not one number, nor a list of equal numbers"),
]


@pytest.mark.parametrize("value, kind, expected", ACCEPTED)
def test_same_value(value, kind, expected):
    result = cast(value, kind)
    assert result == expected
    assert type(result) is type(expected)
    if isinstance(expected, list):
        assert [type(item) for item in result] == [type(item) for item in expected]


@pytest.mark.parametrize("value, kind, message", REFUSED)
def test_refused(value, kind, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cast(value, kind)
