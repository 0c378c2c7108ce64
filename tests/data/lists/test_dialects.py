"""Rows of a list file: how each form is cut, and how the forms are told apart."""

import re

import pytest

from fragrant.data.lists.dialects import Dialect, Row, dialect_of, header_dialect, tell_dialect
from fragrant.data.lists.errors import ListError


@pytest.mark.parametrize(
    "form, line, expected",
    [
        ("path label", "a.mp4 3", ("a.mp4", 3, None)),
        ("path label", "my clips/a b.mp4   3", ("my clips/a b.mp4", 3, None)),
        ("path label", "my  clip.mp4 3", ("my  clip.mp4", 3, None)),
        ("path label", '"a b.mp4" 3', ("a b.mp4", 3, None)),
        ("path label", "a.mp4 -1", ("a.mp4", -1, None)),
        ("path,label", "a, b.mp4 , 3", ("a, b.mp4", 3, None)),
        ("path,label", "'a,b.mp4','3'", ("a,b.mp4", 3, None)),
        ("path\tlabel", "a.mp4\t3", ("a.mp4", 3, None)),
        ("path\\tlabel", "a b.mp4\t3", ("a b.mp4", 3, None)),
        ("path::label", "a.mp4::3", ("a.mp4", 3, None)),
        ("path num_frames label", "bouncing/x_106 90 6", ("bouncing/x_106", 6, 90)),
        ("path frames label", "a b  90   6", ("a b", 6, 90)),
        ("id\tlabel\tpath", "0\t10\tWave/Wave 1.avi", ("Wave/Wave 1.avi", 10, None)),
        ("id,path,label", "0,a,b.mp4,3", ("a,b.mp4", 3, None)),
        ("-;path;-;label", "x;a.mp4;0.5;3", ("a.mp4", 3, None)),
        ("id,path", "0,a.mp4", ("a.mp4", -1, None)),
        ("VideoID,Video,ClassID", "0,a.mp4,3", ("a.mp4", 3, None)),
    ],
)
def test_rows(form, line, expected):
    assert dialect_of(form).read(line) == Row(*expected)


@pytest.mark.parametrize(
    "form, line, expected",
    [
        ("path label", "a b.mp4 3,7", ("a b.mp4", (3, 7), None)),
        ("path label", "a.mp4 3;7|9", ("a.mp4", (3, 7, 9), None)),
        ("path label", '"a b.mp4" "3,7"', ("a b.mp4", (3, 7), None)),
        ("path,label", "a.mp4,3;7", ("a.mp4", (3, 7), None)),
        ("path,label", "a,b.mp4,3", ("a,b.mp4", 3, None)),
        ("path;label", "my a.mp4;3,7", ("my a.mp4", (3, 7), None)),
        ("path,label", "a.mp4,3", ("a.mp4", 3, None)),
        ("path num_frames label", "x/a 90 6,2", ("x/a", (6, 2), 90)),
        ("id\tlabel\tpath", "0\t3,7\ta.mp4", ("a.mp4", (3, 7), None)),
    ],
)
def test_rows_with_several_labels(form, line, expected):
    assert dialect_of(form, multi_label=True).read(line) == Row(*expected)
    assert tell_dialect([line], multi_label=True).read(line) == Row(*expected)


@pytest.mark.parametrize("line", ["a.mp4 3,", "a.mp4 ,3", "a.mp4 3,x", "a.mp4 3,,7"])
def test_rows_with_half_a_label(line):
    with pytest.raises(ValueError, match="no path and whole-number label where they should be"):
        dialect_of("path label", multi_label=True).read(line)


@pytest.mark.parametrize(
    "form",
    ["path", "path label,num_frames", "label id", "path path label", "path,label,label", "file.name", "", "auto,"],
)
def test_forms_that_are_not_understood(form):
    message = f"DATA.LIST_FORMAT {form!r} is not understood; allowed: auto, or an example row such as 'path label', "
    with pytest.raises(ListError, match=f"^{re.escape(message)}"):
        dialect_of(form)


@pytest.mark.parametrize(
    "lines, prefer, form",
    [
        (["a.mp4 0", "b c.mp4 1"], " ", "path label"),
        (["a.mp4 0"], ",", "path label"),  # FRAGRANT's README says "," for a list with blanks
        (["a.mp4,0", "b c.mp4,1"], " ", "path,label"),
        (["a.mp4, 0"], " ", "path,label"),
        (["a, b.mp4 0"], ",", "path label"),
        (["a.mp4\t0"], " ", "path\tlabel"),
        (["a b.mp4;0"], " ", "path;label"),
        (["a::0", "b c::1"], "::", "path::label"),
        (["x/a 90 6", "y/b 71 0"], " ", "path num_frames label"),
        (["78687 134 19"], " ", "path num_frames label"),
        (["x/a,90,6"], " ", "path,num_frames,label"),
        (["a 12 0", "b.mp4 1"], " ", "path label"),  # "a 12" is a folder here: not every row has a number of frames
        (["0\t0\tDrink/Drink_11_1.avi"], " ", "id\tlabel\tpath"),
        (["0 0 Drink/Drink_11_1.avi"], " ", "id label path"),
        (["0,Wave/Wave_10_1.mp4,10"], " ", "id,path,label"),
        (["1 jump/a.mp4 0", "2 run/b.mp4 1"], " ", "path label"),
        (["3 a.mp4", "0 b.mp4"], " ", "label path"),
        (["3,a.mp4"], " ", "label,path"),
        (["a.mp4 0", "torn", "b.mp4 1"], " ", "path label"),  # the most rows decide
        (["a.mp4 walk"], " ", None),
        ([], " ", None),
    ],
)
def test_forms_are_told_apart(lines, prefer, form):
    dialect = tell_dialect(lines, prefer=prefer)
    assert (dialect and dialect.form) == form


@pytest.mark.parametrize(
    "line, expected",
    [
        ("VideoID,Video,ClassID", Dialect(",", ("id", "path", "label"))),
        ("VideoID,Video", Dialect(",", ("id", "path"))),
        ("VideoID\tClassID\tVideo", Dialect("\t", ("id", "label", "path"))),
        ("path label", Dialect(" ", ("path", "label"))),
        ("path num_frames label", Dialect(" ", ("path", "num_frames", "label"))),
        ('"path","label","split"', Dialect(",", ("path", "label", "-"))),
        ("video 3", None),
        ("a.mp4 label", None),
        ("path", None),
        ("path one two", None),
    ],
)
def test_headers(line, expected):
    assert header_dialect(line) == expected


def test_a_list_of_frames_is_refused():
    with pytest.raises(ValueError, match="^this list has one row per frame; one row per video is needed$"):
        header_dialect("original_vido_id video_id frame_id path labels")
