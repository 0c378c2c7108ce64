"""Files of class names: their forms, and what is refused."""

import re

import pytest

from fragrant.data.lists.class_names import find_class_file, read_class_table, without_brackets
from fragrant.data.lists.errors import ListError


@pytest.mark.parametrize(
    "text, names, ids",
    [
        ("sit\n\n stand up \n", ["sit", "stand up"], None),
        ("\ufeffsit\r\nstand\r\n", ["sit", "stand"], None),
        ("1\tstand\n0\tsit\n", ["sit", "stand"], None),
        ("5\tRun\n6\tSit\n", ["Run", "Sit"], {5: 0, 6: 1}),
        ("1 ApplyEyeMakeup\n2 Archery\n", ["ApplyEyeMakeup", "Archery"], {1: 0, 2: 1}),
        ("riding a bike\t1\nmarching\t0\n", ["marching", "riding a bike"], None),
        ("1 fish\nred fish\n", ["1 fish", "red fish"], None),
        ('{"Holding something": "1", "Opening something": "0"}', ["Opening something", "Holding something"], None),
        ("{'1': 'Walk', '0': 'Run'}", ["Run", "Walk"], None),
        ('["sit", "stand"]', ["sit", "stand"], None),
        (
            '[["Back", "15som", "05Twis"], ["Back", "15som", "15Twis"]]',
            ["Back+15som+05Twis", "Back+15som+15Twis"],
            None,
        ),
    ],
)
def test_forms(tmp_path, text, names, ids):
    (tmp_path / "names").write_text(text, encoding="utf-8")
    table = read_class_table(tmp_path / "names")
    assert (table.names, table.ids) == (names, ids)


@pytest.mark.parametrize(
    "text, message",
    [
        ("sit\nsit\n", "file of class names '{path}' has the class name 'sit' twice"),
        ("0\tsit\n0\tstand\n", "file of class names '{path}' has the label 0 twice"),
        ("\n", "file of class names '{path}' has no names"),
        (
            "[",
            "file of class names '{path}' is not understood: expected one name per line, a label and a name, or JSON",
        ),
        (
            '{"a": "b"}',
            "file of class names '{path}' is not understood: expected one name per line, a label and a name, or JSON",
        ),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    path = tmp_path / "names"
    path.write_text(text)
    with pytest.raises(ListError, match=f"^{re.escape(message.format(path=path))}$"):
        read_class_table(path)


def test_the_file_beside_the_lists(tmp_path):
    assert find_class_file(tmp_path) is None
    for name in ("label_map.txt", "kinetics_400_categroies.txt", "mapping_table_23.txt", "classes.txt"):
        (tmp_path / name).touch()
        assert find_class_file(tmp_path) == str(tmp_path / name)


def test_brackets():
    assert without_brackets("Attaching [something] to [something]") == "Attaching something to something"


@pytest.mark.parametrize(
    "name, number, first, last",
    [
        ("labels/label_map_k400.txt", 400, "abseiling", "zumba"),
        ("labels/diving48_label_map_mmaction2.txt", 48, "Back+15som+05Twis+FREE", None),
        ("labels/sthv2_label_map_mmaction2.txt", 174, "Approaching something with your camera", None),
        ("VideoEval_AR_in_Dark/label_map.txt", 11, "Drink", "Wave"),
        ("EE6222_2023_6class/mapping_table_23.txt", 6, "Jump", "Walk"),
        ("Dark48/classInd.txt", 48, "adult_female_singing", "whistling"),
        ("SSv2_UniFormer_head/category.txt.head20", 20, "Approaching [something] with your camera", None),
    ],
)
def test_real_files(shared_lists, name, number, first, last):
    names = read_class_table(shared_lists / name).names
    assert (len(names), names[0]) == (number, first)
    assert last is None or names[-1] == last
