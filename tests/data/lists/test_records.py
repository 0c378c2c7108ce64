"""List files: what is accepted, what every error says, the real lists of the public sets."""

import json
import pickle
import re

import numpy as np
import pytest

from fragrant.data.lists.class_names import ClassTable, read_class_table
from fragrant.data.lists.dialects import Row
from fragrant.data.lists.records import (
    ListError,
    RecordList,
    VideoRecord,
    format_row,
    parse_list,
    read_list,
    read_list_and_faults,
)


def write(tmp_path, text, name="train.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_what_does_not_count(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbf# made by hand\r\n\r\n/x/a.mp4 0\r\n   \r\n#/x/c.mp4 0\r\n/x/b.mp4 1  \r\n")
    records = read_list(path)
    assert records == [VideoRecord("/x/a.mp4", 0), VideoRecord("/x/b.mp4", 1)]
    assert [records.where(i) for i in range(2)] == [f"{path}:3", f"{path}:6"]


def test_a_header_and_a_number_of_frames(tmp_path):
    assert read_list(write(tmp_path, "path,num_frames,label\n/x/a,5,1\n/x/b,7,-1")) == [
        VideoRecord("/x/a", 1, 5),
        VideoRecord("/x/b", -1, 7),
    ]


def test_the_form_may_be_given(tmp_path):
    path = write(tmp_path, "/x/a 12 0\n")
    assert read_list(path) == [VideoRecord("/x/a", 0, 12)]
    assert read_list(path, form="path label") == [VideoRecord("/x/a 12", 0)]


def test_names_that_are_not_utf8_stay_what_they_are(tmp_path):
    assert (
        read_list(write(tmp_path, b"/x/caf\xe9.mp4 0\n"))[0].path.encode("utf-8", "surrogateescape")
        == b"/x/caf\xe9.mp4"
    )


def test_where_relative_paths_lie(tmp_path):
    (tmp_path / "beside.mp4").touch()
    path = write(tmp_path, "beside.mp4 0\nelsewhere.mp4 0\n/abs.mp4 0\n")
    assert [record.path for record in read_list(path)] == [str(tmp_path / "beside.mp4"), "elsewhere.mp4", "/abs.mp4"]
    assert [record.path for record in read_list(path, prefix="/data")] == [
        "/data/beside.mp4",
        "/data/elsewhere.mp4",
        "/abs.mp4",
    ]


BLANK = ", the form of this list is 'path label'"
MISPLACED = "no path and whole-number label where they should be"
IN_CSV = ", the form of this list is 'id,path,label'"
PER_FRAME = "this list has one row per frame; one row per video is needed"
FROM_1 = "; the labels here run from 1 to 2, they must count from 0"
NO_NUMBER = "class 'Holding something' has no number: give the file of class names (DATA.CLASSES_FILE)"
KNOWN = "no path and whole-number label in any known form, see DATA.LIST_FORMAT"


@pytest.mark.parametrize(
    "text, message",
    [
        ("a 0\nb 2\n", "{path}:2: label 2 is not in 0..1 (MODEL.NUM_CLASSES 2); the line is 'b 2'"),
        ("a 0\nb -2\n", "{path}:2: label -2 is below 0; the line is 'b -2'"),
        ("# x\na -1\n", "{path}:2: label -1 (unlabelled): only test videos may be so; the line is 'a -1'"),
        ("a 0\nb,1\n", "{path}:2: too few columns" + BLANK + "; 'path,label' would fit; the line is 'b,1'"),
        ("a 0\nb\t1\n", "{path}:2: too few columns" + BLANK + "; 'path\\tlabel' would fit; the line is 'b\\t1'"),
        ("a 0\nb\n", "{path}:2: too few columns" + BLANK + "; the line is 'b'"),
        ("a 0\n1\nb 1\n", "{path}:2: too few columns" + BLANK + "; the line is '1'"),
        ("a 0\nb c\n", "{path}:2: " + MISPLACED + BLANK + "; the line is 'b c'"),
        ("a 0\nb 1.5\n", "{path}:2: " + MISPLACED + BLANK + "; the line is 'b 1.5'"),
        ("a walk\nb run\n", "{path}:1: " + KNOWN + "; the line is 'a walk'"),
        ("a.mp4\nb.mp4\n", "{path}:1: " + KNOWN + "; the line is 'a.mp4'"),
        ("VideoID,Video,ClassID\n0,a,1\n1,,2\n", "{path}:3: " + MISPLACED + IN_CSV + "; the line is '1,,2'"),
        ("x frame_id path labels\n", "{path}:1: " + PER_FRAME + "; the line is 'x frame_id path labels'"),
        ("a 1\nb 2\n", "{path}:2: label 2 is not in 0..1 (MODEL.NUM_CLASSES 2)" + FROM_1 + "; the line is 'b 2'"),
        ("", "list file '{path}' has no rows; expected lines of a path, ' ' and a label"),
        ("path,label\n# a 1\n", "list file '{path}' has no rows; expected lines of a path, ' ' and a label"),
        (
            '[{"vid_name": "a"',
            "list file '{path}': it is no valid JSON: Expecting ',' delimiter: line 1 column 18 (char 17)",
        ),
        (
            '[{"name": "a"}]',
            "list file '{path}': entry 1 has neither vid_name and label nor id and template: {{'name': 'a'}}",
        ),
        (
            '[{"id": "1", "template": "Holding [something]"}]',
            "{path}:1: " + NO_NUMBER + "; the line is '1 Holding something'",
        ),
        (None, "list file '{path}' cannot be read: No such file or directory"),
    ],
)
def test_errors_say_where(tmp_path, text, message):
    path = tmp_path / "train.csv" if text is None else write(tmp_path, text)
    with pytest.raises(ListError, match=f"^{re.escape(message.format(path=path))}$"):
        read_list(path, num_classes=2, unlabelled=False)


def test_several_labels(tmp_path):
    path = write(tmp_path, "/x/a 3,1,3\n/x/b 2\n/x/c -1\n")
    records = read_list(path, multi_label=True, num_classes=4)
    expected = [VideoRecord("/x/a", (3, 1)), VideoRecord("/x/b", 2), VideoRecord("/x/c", -1)]
    assert records == expected and records.pick([2, 0]) == [expected[2], expected[0]]
    assert pickle.loads(pickle.dumps(records)) == expected and records.labels.tolist() == [3, 2, -1]
    again = write(tmp_path, "".join(f"{format_row(record)}\n" for record in records), "again.csv")
    assert read_list(again, multi_label=True) == expected
    table = ClassTable(["run", "sit"], "classes.txt", {5: 0, 9: 1})
    assert read_list(write(tmp_path, "path,label\n/x/a,9;5\n"), multi_label=True, classes=table) == [
        VideoRecord("/x/a", (1, 0))
    ]


@pytest.mark.parametrize(
    "multi_label, text, message",
    [
        (True, "a 0,2\n", "{path}:1: label 2 is not in 0..1 (MODEL.NUM_CLASSES 2); the line is 'a 0,2'"),
        (True, "a 0,-1\n", "{path}:1: label -1 (unlabelled) stands alone; the line is 'a 0,-1'"),
        (True, "a 1,2\n", "{path}:1: label 2 is not in 0..1 (MODEL.NUM_CLASSES 2)" + FROM_1 + "; the line is 'a 1,2'"),
        (False, "a 0\nb 0,1\n", "{path}:2: " + MISPLACED + BLANK + "{key}; the line is 'b 0,1'"),
        (
            True,
            "a.mp4 0 1\nb.mp4 1 0\n",
            "{path}:1: DATA.MULTI_LABEL True, but no video of this list has several labels in one column, as in "
            "'path 3,7'; "
            "the line is 'a.mp4 0 1'",
        ),
    ],
)
def test_wrong_rows_of_several_labels(tmp_path, multi_label, text, message):
    path = write(tmp_path, text)
    key = "; several labels of a video are read with DATA.MULTI_LABEL True"
    with pytest.raises(ListError, match=f"^{re.escape(message.format(path=path, key=key))}$"):
        read_list(path, multi_label=multi_label, num_classes=2)


def test_all_faults_at_once(tmp_path):
    records, faults = read_list_and_faults(write(tmp_path, "/a 0\n/b 9\ntorn\n/c 1\n"), num_classes=2)
    assert records == [VideoRecord("/a", 0), VideoRecord("/c", 1)] and records.where(1).endswith("train.csv:4")
    assert sorted(faults) == [2, 3]


def test_labels_that_do_not_begin_at_0(tmp_path):
    classes = ClassTable(["Run", "Sit"], "mapping.txt", {5: 0, 6: 1})
    assert read_list(write(tmp_path, "/a 6\n/b 5\n/c -1\n"), classes=classes, num_classes=2).labels.tolist() == [
        1,
        0,
        -1,
    ]
    with pytest.raises(ListError, match=r"train.csv:1: label 4 is not in 'mapping.txt' \(5..6\); the line is '/a 4'"):
        read_list(write(tmp_path, "/a 4\n"), classes=classes)


def test_json_lists(tmp_path):
    entries = [{"vid_name": "x_1", "label": 3, "start_frame": 0, "end_frame": 90}, {"vid_name": "x_2", "label": 0}]
    assert read_list(write(tmp_path, json.dumps(entries, indent=1))) == [
        VideoRecord("x_1", 3, 90),
        VideoRecord("x_2", 0),
    ]
    entries = [
        {"id": "7", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]},
        {"id": "8"},
    ]
    classes = ClassTable(["Opening something", "Holding something"], "labels.json")
    assert read_list(write(tmp_path, json.dumps(entries)), classes=classes) == [
        VideoRecord("7", 1),
        VideoRecord("8", -1),
    ]
    with pytest.raises(ListError, match="class 'Holding something' is not in 'labels.json'"):
        read_list(write(tmp_path, json.dumps(entries)), classes=classes._replace(names=["Opening something"]))


def test_a_written_row_reads_back(tmp_path):
    rows = [
        ("/x/a.mp4", 0, None),
        ("/x/a b.mp4", 1, None),
        ("/x y/c 12", 2, None),
        ('"quoted".mp4', 3, None),
        ("#1_a", 4, None),
        ("/x,y;z", 5, None),
    ]
    for records in ([VideoRecord(*row) for row in rows], [VideoRecord(path, label, 7) for path, label, _ in rows]):
        path = write(tmp_path, "".join(f"{format_row(record)}\n" for record in records))
        assert read_list(path) == records


def test_a_record_list_is_a_compact_sequence():
    rows = [VideoRecord(f"/videos/{i:05d}.mp4", i % 7, None if i % 2 else i) for i in range(1000)]
    records = RecordList(rows)
    assert len(records) == 1000
    assert records == rows and list(records) == rows
    assert records[-1] == rows[-1] and records[3:5] == rows[3:5]
    assert type(records[0].label) is int
    assert records.labels.tolist() == [row.label for row in rows]
    with pytest.raises(IndexError):
        records[1000]
    assert pickle.loads(pickle.dumps(records)) == rows
    assert len(pickle.dumps(records)) < 60 * 1000  # the path, and 4 numbers


# ----------------------------------------------------------------------------------------------------------- real lists
def test_lists_of_the_real_clips(shared_clips):
    records = read_list(shared_clips / "arid6_train.txt", num_classes=6)
    assert len(records) == 24
    assert records[0] == VideoRecord(str(shared_clips / "arid6/Jump_8_3.mp4"), 0)


@pytest.mark.parametrize(
    "name, rows, first, labels",
    [
        # D1
        (
            "InfAR_FRAGRANT/train.csv",
            899,
            ("/public/home/liuwx/perl5/Dataset/VIS_INF/train/infrared/fight/000002.avi", 0, None),
            12,
        ),
        ("VideoEval_AR_in_Dark/test.txt", 2011, ("Run/Run_13_1.mp4", 5, None), 11),
        ("Dark48/train_split1.txt", 7052, ("bouncing/meGuchxNyKg_106.mp4", 6, None), 48),
        ("ARID_v1.5_full_Nightcrawler/arid.csv", 6207, ("Drink/Drink_16_13.mp4", 0, None), 11),  # D2
        ("ARID_v1.5_full_Nightcrawler/test.csv", 3103, ("0.mp4", -1, None), 0),
        ("Dark48/frame_file_list/train_split1.txt", 7052, ("bouncing/meGuchxNyKg_106", 6, 90), 48),  # D3
        ("DarkLight_ARID_UG2/train_split1.txt", 1837, ("Wave/Wave_10_1", 10, 71), 6),
        ("EE6222_2022_10class/val_split1.txt", 320, ("0", 0, 94), 10),
        ("SSv2_UniFormer_head/somesomev2_rgb_train_split.txt.head20", 20, ("78687", 19, 134), None),
        ("ARID_v1/ARID_split1_train.txt", 2288, ("Drink/Drink_11_1.avi", 0, None), 11),  # D4
        ("EE6222_2023_6class/train.txt", 150, ("Jump/Jump_11_1.mp4", 0, None), 6),
        ("ARID_UG2_2.1/ARID1.1_t1_train_pub.csv", 1837, ("Wave/Wave_10_1.mp4", 10, None), 6),  # D5
        ("ARID_UG2_2.2/ug2_2022_train_dark.csv", 3088, ("0.mp4", -1, None), 0),
    ],
)
def test_real_lists(shared_lists, name, rows, first, labels):
    found = parse_list(shared_lists / name)
    assert not found.faults
    assert len(found.rows) == rows
    assert next(iter(found.rows.values())) == Row(*first)
    if labels is not None:
        assert len({row.label for row in found.rows.values()} - {-1}) == labels


@pytest.mark.parametrize(
    "name, number, ids",
    [
        ("ARID_v1/mapping_table.txt", 11, None),
        ("ARID_UG2_2.1/mapping_table_t1.txt", 6, {5: 0, 6: 1, 7: 2, 8: 3, 9: 4, 10: 5}),
        ("Dark48/classInd.txt", 48, None),
    ],
)
def test_real_mapping_tables(shared_lists, name, number, ids):  # D6
    table = read_class_table(shared_lists / name)
    assert (len(table.names), table.ids) == (number, ids)


def test_a_list_with_a_byte_order_mark_and_no_last_newline(shared_lists):
    folder = shared_lists / "InfAR_FRAGRANT"
    assert (folder / "val.csv").read_bytes().startswith(b"\xef\xbb\xbf") and not (
        folder / "val.csv"
    ).read_bytes().endswith(b"\n")
    val, test = (list(parse_list(folder / name).rows.values()) for name in ("val.csv", "test.csv"))
    assert len(val) == 300 and val == test and val[0].path.startswith("/public")


@pytest.mark.parametrize("separator", [" ", ","])
def test_a_separator_that_the_readme_has_wrong(shared_lists, separator):
    assert len(read_list(shared_lists / "InfAR_FRAGRANT/train.csv", separator=separator, num_classes=12)) == 899


def test_paths_of_another_machine(shared_lists, tmp_path):
    here = tmp_path / "infrared_set"
    (here / "train/infrared/fight").mkdir(parents=True)
    (here / "train/infrared/fight/000002.avi").touch()
    root = ("/public/home/liuwx/perl5/Dataset/VIS_INF/", str(here))
    records = read_list(shared_lists / "InfAR_FRAGRANT/train.csv", root_replace=root)
    assert records[0].path == f"{here}/train/infrared/fight/000002.avi"
    relative = read_list(shared_lists / "InfAR_FRAGRANT/train.csv", root_replace=(root[0], ""), prefix="/videos")
    assert relative[0].path == "/videos/train/infrared/fight/000002.avi"
    message = (
        "DATA.ROOT_REPLACE ['/public/home/liu', '/x']: no path of the list begins with '/public/home/liu'; the first "
        "is '/public/"
    )
    with pytest.raises(ListError, match=f"^{re.escape(message)}"):
        read_list(shared_lists / "InfAR_FRAGRANT/train.csv", root_replace=("/public/home/liu", "/x"))


def test_clips_with_another_extension_than_the_list_says(shared_lists, tmp_path):
    (tmp_path / "Drink").mkdir()
    for number in range(1, 30):
        (tmp_path / f"Drink/Drink_11_{number}.mp4").touch()
    records = read_list(shared_lists / "ARID_v1/ARID_split1_train.txt", prefix=str(tmp_path))
    assert records[0].path == f"{tmp_path}/Drink/Drink_11_1.mp4"
    assert records[-1].path.startswith(f"{tmp_path}/W") and records[-1].path.endswith(".avi")  # which is not there


def test_malformed_rows_are_named(shared_lists):
    found = parse_list(shared_lists / "ARID_UG2_2.2/ug2_2022_train_labeled.csv")
    assert (len(found.rows), list(found.faults)) == (2610, list(range(772, 787)))
    assert found.faults[772] == MISPLACED + IN_CSV
    with pytest.raises(
        ListError, match=r"ug2_2022_train_labeled.csv:772: .*; the line is '770,,\"4\\t-18N3scYPX8_000034_000044.mp4\"'"
    ):
        read_list(shared_lists / "ARID_UG2_2.2/ug2_2022_train_labeled.csv")


@pytest.mark.parametrize("name, rows", [("train.txt", 750), ("validate.txt", 320)])
def test_crlf_and_a_header_row(shared_lists, name, rows):
    path = shared_lists / "EE6222_2022_10class" / name
    assert path.read_bytes().startswith(b"VideoID\tClassID\tVideo\r\n")
    records = read_list(path, num_classes=10, unlabelled=False)
    assert len(records) == rows and not any("\r" in record.path for record in records)
    assert np.array_equal(np.unique(records.labels), np.arange(10))


def test_file_names_that_begin_like_a_comment(shared_lists):
    """HMDB51 has three such videos; the list that holds them has 330 rows."""
    rows = parse_list(shared_lists / "ARID_v1.5_full_Nightcrawler/val_dry.csv").rows.values()
    assert len(rows) == 330
    assert sum(row.path.startswith("#") for row in rows) == 3
