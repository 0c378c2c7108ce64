"""Which videos belong together: by a pattern of the path, a column of the list, the rule of a known set."""

import re

import pytest

from fragrant.data.datasets.known_set import group_rules
from fragrant.data.datasets.splits import leak_between
from fragrant.data.lists.groups import GroupRule, groups_of, shared_groups
from fragrant.data.lists.records import ListError, RecordList, VideoRecord, read_list

RULES = {"toy": GroupRule("scene", r"_(\d+)_\d+\.mp4$"), "blind": GroupRule("person")}


def listed(*paths: str) -> RecordList:
    return RecordList([VideoRecord(path, 0) for path in paths], source="train.csv")


@pytest.mark.parametrize(
    "group_by, groups",
    [
        (r"_(\d+)_\d+\.mp4$", ["11", "11", "2"]),
        (r"(\w+)_\d+\.mp4$", ["Run_11", "Walk_11", "Run_2"]),
        (r"([A-Z])\w+_(\d+)_", ["R/11", "W/11", "R/2"]),
        ("toy", ["11", "11", "2"]),
    ],
)
def test_a_pattern_names_the_group(group_by, groups):
    assert groups_of(listed("a/Run_11_3.mp4", "b/Walk_11_1.mp4", "Run_2_9.mp4"), group_by, RULES) == groups


@pytest.mark.parametrize(
    "group_by, told",
    [
        (
            r"(\d+)\.avi",
            r"train.csv:1: DATA.GROUP_BY '(\d+)\.avi' finds a group in none of 2 paths, not in 'Run_11_3.mp4'",
        ),
        (r"_(11)_", "train.csv:2: DATA.GROUP_BY '_(11)_' finds a group in 1 of 2 paths, not in 'Run_2_9.mp4'"),
        ("(", "DATA.GROUP_BY '(' is no regular expression: missing )"),
        (r"\(a", r"DATA.GROUP_BY '\(a' has no parentheses around what names the group"),
        ("blind", "DATA.GROUP_BY blind: a group of this set is a person, which its file names do not tell"),
    ],
)
def test_a_rule_that_does_not_fit_says_where(group_by, told):
    with pytest.raises(ListError, match=re.escape(told)):
        groups_of(listed("Run_11_3.mp4", "Run_2_9.mp4"), group_by, RULES)


@pytest.mark.parametrize("group_by", ["scene", "column:scene"])
@pytest.mark.parametrize(
    "text",
    [
        "path,label,scene\na.mp4,0,yard\nb c.mp4,1,hall\n",
        "scene path label\nyard a.mp4 0\nhall b c.mp4 1\n",
        "path\tscene\tlabel\na.mp4\tyard\t0\nb c.mp4\t'hall'\t1\n",
        '[{"vid_name": "a.mp4", "label": 0, "scene": "yard"}, {"vid_name": "b c.mp4", "label": 1, "scene": "hall"}]',
    ],
)
def test_a_column_names_the_group(tmp_path, text, group_by):
    (tmp_path / "train.csv").write_text(text)
    records = read_list(tmp_path / "train.csv")
    assert groups_of(records, group_by, RULES) == ["yard", "hall"]
    assert groups_of(records.pick([1]), group_by, RULES) == ["hall"]


@pytest.mark.parametrize(
    "text, told",
    [
        ("path,label,scene\na.mp4,0,1\n", "has no column 'person'; its columns are path, label, scene"),
        ("a.mp4 0\n", "has no column 'person': it has no header row that names its columns"),
    ],
)
def test_a_column_that_is_not_there(tmp_path, text, told):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(ListError, match=re.escape(told)):
        groups_of(read_list(tmp_path / "train.csv"), "person", RULES)


@pytest.mark.parametrize(
    "text, line",
    [
        ("path,label,scene\na.mp4,0,yard\nb.mp4,1,\nc.mp4,1,\n", 3),
        ('[{"vid_name": "a.mp4", "label": 0, "scene": "yard"}, {"vid_name": "b.mp4", "label": 1, "scene": null}]', 2),
    ],
)
def test_a_cell_with_nothing_in_it_is_no_group(tmp_path, text, line):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(ListError, match=f"train.csv:{line}: no value in the column 'scene'.*; every video needs one"):
        groups_of(read_list(tmp_path / "train.csv"), "scene", RULES)


def test_a_pattern_that_catches_nothing_finds_no_group():
    with pytest.raises(ListError, match="finds a group in 1 of 2 paths, not in 'Run.mp4'"):
        groups_of(listed("Run_11.mp4", "Run.mp4"), r"(\d*)\.mp4$", RULES)


def test_a_rule_with_a_slip_is_guessed(tmp_path):
    (tmp_path / "train.csv").write_text("a.mp4 0\n")
    with pytest.raises(ListError, match="did you mean 'toy'"):
        groups_of(read_list(tmp_path / "train.csv"), "toyy", RULES)


KNOWN = [
    ("arid", "clips/Jump/Jump_11_3.avi", "11"),
    ("weizmann", "weizmann/daria_walk.avi", "daria"),
    ("ucf101", "v_ApplyEyeMakeup_g08_c01.avi", "v_ApplyEyeMakeup_g08"),
    ("hmdb51", "wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi", "TrumanShow_wave"),
    ("sljd", "frames/phase4_F_22_1", "F_22"),
    ("dark48", "bouncing/meGuchxNyKg_106.mp4", "meGuchxNyKg"),
    ("diving48", "rgb/_8Vy3dlHg2w_00000.mp4", "_8Vy3dlHg2w"),
]


@pytest.mark.parametrize("name, path, group", KNOWN)
def test_known_sets_say_what_their_groups_are(name, path, group):
    assert groups_of(listed(path), name, group_rules()) == [group]


@pytest.mark.parametrize("name, what", [("infar", "person"), ("ellar", "subject")])
def test_sets_whose_names_do_not_tell(name, what):
    assert group_rules()[name].what == what
    with pytest.raises(ListError, match=f"a group of this set is a {what}, which its file names do not tell"):
        groups_of(listed("fight/000001.avi"), name, group_rules())


def test_groups_on_both_sides_are_counted():
    shared = shared_groups(["a", "a", "b"], ["b", "c", "b", "a"])
    assert str(shared) == "2 of 3 groups, with 3 of 4 videos (group 'a' for one)"
    assert shared_groups(["a"], ["b"]) is None


def test_what_two_lists_share():
    train, test = listed("Run_1_1.mp4", "Sit_2_1.mp4"), listed("Sit_2_2.mp4", "Run_3_1.mp4")
    by_number = leak_between(train, test, group_by=r"_(\d+)_\d+\.mp4$", dataset="video_list")
    assert by_number == "1 of 2 groups, with 1 of 2 videos (group '2' for one)"
    assert leak_between(train, test, group_by="", dataset="video_list") == ""
    # a scene of another class has the same number: the lists of ARID keep scenes apart within a class
    assert leak_between(train, listed("Walk_1_7.mp4"), group_by="", dataset="arid") == ""
    assert "group 'Sit_2'" in leak_between(train, test, group_by="", dataset="ARID")
    assert leak_between(train, listed("renamed.mp4"), group_by="", dataset="arid") == ""
