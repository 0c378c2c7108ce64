"""List files: what is accepted, what every error says."""

import pickle
import re

import pytest

from fragrant.data.records import ListError, RecordList, VideoRecord, parse_row, read_list


def write(tmp_path, text, name="train.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "line, separator, expected",
    [
        ("a.mp4 3", " ", ("a.mp4", 3)),
        ("my clips/a b.mp4   3", " ", ("my clips/a b.mp4", 3)),
        ("a.mp4,3", ",", ("a.mp4", 3)),
        ("a, b.mp4 , 3", ",", ("a, b.mp4", 3)),
        ("a.mp4\t3", "\t", ("a.mp4", 3)),
        ('"a b.mp4" 3', " ", ("a b.mp4", 3)),
        ("'a,b.mp4','3'", ",", ("a,b.mp4", 3)),
        ("a.mp4 -1", " ", ("a.mp4", -1)),
        ("a.mp4::3", "::", ("a.mp4", 3)),
    ],
)
def test_rows(line, separator, expected):
    assert parse_row(line, separator) == expected


@pytest.mark.parametrize(
    "line, separator, message",
    [
        ("a.mp4,3", " ", "no label behind DATA.PATH_LABEL_SEPARATOR ' '; ',' would fit"),
        ("my clip.mp4,3", " ", "no label behind DATA.PATH_LABEL_SEPARATOR ' '; ',' would fit"),
        ("a.mp4 3", ",", "no label behind DATA.PATH_LABEL_SEPARATOR ','; ' ' would fit"),
        ("a.mp4\t3", ",", "no label behind DATA.PATH_LABEL_SEPARATOR ','; '\\t' would fit"),
        ("a.mp4 walk", " ", "no label behind DATA.PATH_LABEL_SEPARATOR ' '; expected a path, the separator, a whole number"),
        ("3", " ", "no label behind DATA.PATH_LABEL_SEPARATOR ' '; expected a path, the separator, a whole number"),
    ],
)
def test_wrong_rows(line, separator, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_row(line, separator)


def test_what_does_not_count(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbf# made by hand\r\n\r\n/x/a.mp4 0\r\n   \r\n/x/b.mp4 1  \r\n")
    records = read_list(path)
    assert records == [VideoRecord("/x/a.mp4", 0), VideoRecord("/x/b.mp4", 1)]
    assert [records.where(i) for i in range(2)] == [f"{path}:3", f"{path}:5"]


def test_names_that_are_not_utf8_stay_what_they_are(tmp_path):
    assert read_list(write(tmp_path, b"/x/caf\xe9.mp4 0\n"))[0].path.encode("utf-8", "surrogateescape") == b"/x/caf\xe9.mp4"


def test_where_relative_paths_lie(tmp_path):
    (tmp_path / "beside.mp4").touch()
    path = write(tmp_path, "beside.mp4 0\nelsewhere.mp4 0\n/abs.mp4 0\n")
    assert [record.path for record in read_list(path)] == [str(tmp_path / "beside.mp4"), "elsewhere.mp4", "/abs.mp4"]
    assert [record.path for record in read_list(path, prefix="/data")] == ["/data/beside.mp4", "/data/elsewhere.mp4", "/abs.mp4"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a 0\nb 6\n", "{path}:2: label 6 is not in 0..5 (MODEL.NUM_CLASSES 6); the line is 'b 6'"),
        ("# x\na -1\n", "{path}:2: label -1 is below 0; the line is 'a -1'"),
        ("a,1\n", "{path}:1: no label behind DATA.PATH_LABEL_SEPARATOR ' '; ',' would fit; the line is 'a,1'"),
        ("", "list file '{path}' has no rows; expected lines of a path, ' ' and a label"),
        ("\n# a 1\n", "list file '{path}' has no rows; expected lines of a path, ' ' and a label"),
        (None, "list file '{path}' cannot be read: No such file or directory"),
    ],
)
def test_errors_say_where(tmp_path, text, message):
    path = tmp_path / "train.csv" if text is None else write(tmp_path, text)
    with pytest.raises(ListError, match=f"^{re.escape(message.format(path=path))}$"):
        read_list(path, num_classes=6)


def test_a_record_list_is_a_compact_sequence():
    rows = [VideoRecord(f"/videos/{i:05d}.mp4", i % 7, None if i % 2 else i) for i in range(1000)]
    records = RecordList(rows)
    assert len(records) == 1000
    assert records == rows and list(records) == rows
    assert records[-1] == rows[-1] and records[3:5] == rows[3:5]
    assert type(records[0].label) is int
    with pytest.raises(IndexError):
        records[1000]
    assert pickle.loads(pickle.dumps(records)) == rows
    assert len(pickle.dumps(records)) < 60 * 1000  # the path, and 4 numbers


def test_real_lists(shared_clips):
    records = read_list(shared_clips / "arid6_train.txt", num_classes=6)
    assert len(records) == 24
    assert records[0] == VideoRecord(str(shared_clips / "arid6/Jump_8_3.mp4"), 0)
