import csv
import io

import pytest

from fragrant.texts import cell, csv_text, printable, say

HOSTILE = {
    "a\nb": r"a\nb",
    "a\r\tb": r"a\r\tb",
    "\x1b[31mred\x1b]0;title\x07": r"\x1b[31mred\x1b]0;title\x07",
    "\x9b31m": r"\x9b31m",
    "gpj\u202e4pm.exe": r"gpj\u202e4pm.exe",
    "line\u2028end\x85": r"line\u2028end\x85",
    "nul\0": r"nul\x00",
    "byte \udcff": r"byte \xff",
    "half \ud83d": r"half \ud83d",
    "Übung 日本 e\u0301 👩\u200d🔬 ": "Übung 日本 e\u0301 👩\u200d🔬 ",
}


@pytest.mark.parametrize("text, shown", HOSTILE.items())
def test_a_name_stays_in_its_line(text, shown, capsys):
    assert printable(text) == shown and len(printable(text).splitlines()) == 1
    say([text, "next"])
    assert capsys.readouterr().out == f"{shown}\nnext\n"


def test_every_control_character_is_escaped():
    for number in [*range(32), *range(127, 160)]:
        assert printable(chr(number)).isprintable()


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1", "\t=1", "＝1", "\n@a", "-a.mp4"]
)
def test_no_cell_is_a_formula(text):
    assert cell(text).startswith("'")


@pytest.mark.parametrize("value", [-1, -0.5, None, "", "a=b", "-1", "+2.5e-3", "-.5", "a.mp4", "0.25"])
def test_numbers_and_names_stay(value):
    assert cell(value) == value


def test_a_row_is_a_line():
    rows = [["path", "prob"], ['a\n=b,"c".mp4', -0.5]]
    text = csv_text(rows)
    assert len(text.splitlines()) == 2
    assert list(csv.reader(io.StringIO(text)))[1] == [r'a\n=b,"c".mp4', "-0.5"]
