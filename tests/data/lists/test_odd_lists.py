"""Lists and class files that nobody meant to write: one line that names the file and the row."""

import os
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fragrant.data.lists.class_names import read_class_table
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.locations import Folders, locate
from fragrant.data.lists.records import VideoRecord, format_row, read_list

HUGE = "9" * 30
ODD_ROWS = {
    f"a.mp4 {HUGE}": "is no whole number",
    f"a.mp4 -{HUGE}": "is no whole number",
    "a.mp4 9223372036854775808": "is no whole number of 64 bits",
    "a.mp4 " + "1" * 5000: "is no whole number",
    "a\0b.mp4 1": "the path holds a NUL byte",
    "a.mp4 1e999": "no path and whole-number label",
    "a.mp4 nan": "no path and whole-number label",
}
ODD_JSON = {
    '{"vid_name": "a", "label": 1e999}': "entry 2: inf is no whole number",
    '{"vid_name": "a", "label": NaN}': "entry 2: nan is no whole number",
    '{"vid_name": "a", "label": 1e30}': "is no whole number of 64 bits",
    '{"vid_name": "a", "label": 2.5}': "2.5 is no whole number",
    '{"vid_name": "a", "label": true}': "True is no whole number",
    '{"vid_name": "a", "label": "x"}': "'x' is no whole number",
    f'{{"vid_name": "a", "label": {HUGE}}}': "is no whole number of 64 bits",
    f'{{"vid_name": "a", "label": 1, "end_frame": {HUGE}}}': "is no whole number of 64 bits",
    '{"vid_name": ["a"], "label": 1}': "list in place of a name",
    '{"id": {"a": 1}}': "dict in place of a name",
    '{"vid_name": "a\\u0000b", "label": 1}': "the path holds a NUL byte",
    '{"vid_name": "a\\nb.mp4 1", "label": 1}': "the path holds a line break",
    '{"vid_name": "\\ud800", "label": 1}': "the path holds half a character",
}


@pytest.mark.parametrize("row, message", ODD_ROWS.items(), ids=range(len(ODD_ROWS)))
def test_rows_that_no_machine_can_hold(tmp_path, row, message):
    path = tmp_path / "train.csv"
    path.write_text(f"good.mp4 1\n{row}\n")
    with pytest.raises(ListError, match=rf"^{re.escape(str(path))}:2: .*{re.escape(message)}"):
        read_list(path)


def test_more_frames_than_any_machine_can_hold(tmp_path):
    (tmp_path / "train.csv").write_text(f"good 90 1\nother {HUGE} 1\n")
    with pytest.raises(ListError, match=r"train.csv:2: .*is no whole number"):
        read_list(tmp_path / "train.csv", form="path num_frames label")


@pytest.mark.parametrize("entry, message", ODD_JSON.items(), ids=range(len(ODD_JSON)))
def test_entries_that_no_machine_can_hold(tmp_path, entry, message):
    path = tmp_path / "train.json"
    path.write_text(f'[{{"vid_name": "good", "label": 1}},\n{entry}\n]')
    with pytest.raises(ListError, match=rf"^{re.escape(str(path))}:2: .*{re.escape(message)}"):
        read_list(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"a":' * 50_000, "[" + "1" * 10_000 + "]"])
def test_json_without_end(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ListError, match=r"a\.json:1: it is no list of videos"):
        read_list(tmp_path / "a.json")


def test_utf_16_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("a.mp4 1\n", encoding="utf-16")
    with pytest.raises(ListError, match="a.csv' is UTF-16 text; save it as UTF-8"):
        read_list(tmp_path / "a.csv")


def make_odd(path, kind):
    {"folder": os.mkdir, "pipe": os.mkfifo, "device": lambda p: os.symlink("/dev/zero", p)}[kind](path)


WORDS = {"folder": "Is a directory", "pipe": "it is a named pipe, not a file", "device": "it is a device, not a file"}


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("read", [read_list, read_class_table])
def test_nothing_is_waited_for(tmp_path, kind, read):
    make_odd(tmp_path / "odd", kind)
    with pytest.raises(ListError, match=f"odd'.* cannot be read: {WORDS[kind]}"):
        read(tmp_path / "odd")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" + "-" * 100_000 + "1]",
        '{"a": 1e999}',
        '{"a": 2.5}',
        f'{{"a": {HUGE}}}',
        f"{HUGE} run\n",
        "a\0b\n",
        '{"a": [1]}',
        '{"a": 1, ["b"]: 2}',
    ],
    ids=range(9),
)
def test_class_files_that_are_none(tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(ListError, match="classes.txt' (is not understood|holds a NUL byte)"):
        read_class_table(tmp_path / "classes.txt")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(lambda text: text.encode(errors="surrogatepass"))))
def test_any_bytes_are_a_list_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    for start in (b"", b"[", b"a.mp4 1\n", b'[{"vid_name": "a", "label": '):
        path.write_bytes(start + content)
        for read in (read_list, read_class_table):
            try:
                read(path, **({"bare": True} if read is read_list else {}))
            except ListError as error:
                assert "\n" not in str(error).replace(repr(content), "")


# ----------------------------------------------------------------------------------------------- a test without classes
@pytest.mark.parametrize(
    "text, paths",
    [
        ("a.mp4\nb c.avi\n", ["a.mp4", "b c.avi"]),
        ("path\nd/a.mp4\n\n# remark\nd/b.mp4\n", ["d/a.mp4", "d/b.mp4"]),
        ("00012\n00007\n", ["00012", "00007"]),
        ('"a, b.mp4"\n"c.mp4"\n', ["a, b.mp4", "c.mp4"]),
        ("filename\n", ["filename"]),
    ],
)
def test_a_list_of_paths_alone(tmp_path, text, paths):
    (tmp_path / "test.csv").write_text(text)
    records = read_list(tmp_path / "test.csv", bare=True)
    assert [record.path for record in records] == paths and set(records.labels.tolist()) == {-1}


@pytest.mark.parametrize("text", ["a.mp4|x 3x\nb\n", "a walk\nb run\n", "a.mp4 1\nb.mp4\n"])
def test_rows_that_lack_something_are_no_such_list(tmp_path, text):
    (tmp_path / "test.csv").write_text(text)
    with pytest.raises(ListError, match=r"test.csv:\d: "):
        read_list(tmp_path / "test.csv", bare=True)


def test_training_needs_labels(tmp_path):
    (tmp_path / "train.csv").write_text("a.mp4\nb.mp4\n")
    with pytest.raises(ListError, match="train.csv:1: no path and whole-number label in any known form"):
        read_list(tmp_path / "train.csv")


# ------------------------------------------------------------------------------------------------------ forms of Unicode
NAMES = ["Übung", "épée", "ジャンプ", "한국어", "Å", "plain"]


@pytest.mark.parametrize("on_disk, in_list", [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC"), ("NFD", "NFD")])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_found_in_either_form(tmp_path, name, on_disk, in_list):
    disk, listed = unicodedata.normalize(on_disk, name), unicodedata.normalize(in_list, name)
    (tmp_path / disk / disk).mkdir(parents=True)
    video = tmp_path / disk / disk / f"{disk}.avi"
    video.touch()
    for written in (
        f"{listed}/{listed}/{listed}.avi",
        f"{listed}/{listed}/{listed}.mp4",
        f"{listed}/{listed}/{listed}",
    ):
        (tmp_path / "a.csv").write_text(f'"{written}" 0\n')
        (record,) = read_list(tmp_path / "a.csv")
        assert record.path == str(video)
        assert locate([written], folder="", prefix=str(tmp_path)) == [str(video)]
    assert Folders().find(str(tmp_path / listed / listed)) == str(tmp_path / disk / disk)  # a folder of frames
    missing = str(tmp_path / listed / "nowhere" / f"{listed}.mp4")
    assert Folders().find(missing) is None


def test_the_very_name_wins(tmp_path):
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, "é.mp4")).touch()
    for form in ("NFC", "NFD"):
        path = str(tmp_path / unicodedata.normalize(form, "é.mp4"))
        assert Folders().find(path) == path


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_classes_by_name_in_either_form(tmp_path, form):
    (tmp_path / "classes.txt").write_text(unicodedata.normalize(form, "Übung\népée\n"))
    table = read_class_table(tmp_path / "classes.txt")
    assert [table.number(unicodedata.normalize(other, "épée")) for other in ("NFC", "NFD")] == [1, 1]


def test_no_list_holds_a_line_break():
    with pytest.raises(ListError, match="cannot stand in a list: the path holds a line break"):
        format_row(VideoRecord("a.mp4 1\nb.mp4", 0))
