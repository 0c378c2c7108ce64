"""Where the videos of a list are looked for."""

import pytest

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.locations import Folders, kept_inside, locate, move_root
from fragrant.data.lists.records import read_list, read_list_and_faults


@pytest.mark.parametrize(
    "path, old, new, expected",
    [
        ("/a/b/x.avi", "/a/b", "/c", "/c/x.avi"),
        ("/a/b/x.avi", "/a/b/", "/c/", "/c/x.avi"),
        ("/a/b/x.avi", "/a", "", "b/x.avi"),
        ("videos/x.avi", "videos", "/c", "/c/x.avi"),
        ("/a/bb/x.avi", "/a/b", "/c", None),  # a folder, not the beginning of a name
        ("x.avi", "/a", "/c", None),
    ],
)
def test_foreign_roots(path, old, new, expected):
    assert move_root(path, old, new) == expected


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "b.AVI", "b.webm", "c.jpg", "78687.webm", "e", "x.1.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "frames").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "asked, found",
    [
        ("a.mp4", "a.mp4"),
        ("a.avi", "a.mp4"),
        ("a.MKV", "a.mp4"),
        ("b.mp4", "b.AVI"),  # of two the one that comes first in the table
        ("78687", "78687.webm"),
        ("x.1", "x.1.mp4"),
        ("frames", "frames"),
        ("c.mp4", None),  # a picture is no video
        ("a.txt", None),
        ("e.mp4", None),
        ("gone/a.mp4", None),
        ("a.mp4/b.mp4", None),
    ],
)
def test_other_extensions(folder, asked, found):
    assert Folders().find(str(folder / asked)) == (found and str(folder / found))


def test_the_order_of_places(folder, monkeypatch):
    (folder / "lists").mkdir()
    (folder / "lists" / "a.avi").touch()
    monkeypatch.chdir(folder)
    paths = ["a.mp4", "b.mp4", "z.mp4", str(folder / "a.mov")]
    assert locate(paths, folder="lists") == ["lists/a.avi", "b.AVI", "z.mp4", f"{folder}/a.mp4"]
    assert locate(paths, folder="lists", prefix=str(folder)) == [
        f"{folder}/{name}" for name in ("a.mp4", "b.AVI", "z.mp4", "a.mp4")
    ]
    assert locate([], folder="lists", root_replace=("/x", "/y")) == []


OLD_NEW = {"root_replace": ("/old", "/new")}


@pytest.mark.parametrize(
    "path, where, expected",
    [
        ("a/b.mp4", {"prefix": "/data"}, "a/b.mp4"),
        ("./a//b.mp4", {"prefix": "/data"}, "./a//b.mp4"),
        ("a/../b.mp4", {"prefix": "/data"}, "b.mp4"),
        ("..a/b..mp4", {"prefix": "/data"}, "..a/b..mp4"),
        ("/elsewhere/../b.mp4", {"prefix": "/data"}, "/elsewhere/../b.mp4"),
        ("../videos/b.mp4", {}, "../videos/b.mp4"),  # beside the list: no folder was said
        ("/old/a/../b.mp4", OLD_NEW, "/old/b.mp4"),
        ("/old/../b.mp4", {"prefix": "/data"}, "/old/../b.mp4"),
        ("../b.mp4", OLD_NEW, "../b.mp4"),
        ("../b.mp4", {"prefix": "/data"}, None),
        ("..", {"prefix": "data"}, None),
        ("a/../../b.mp4", {"prefix": "/data"}, None),
        ("./../b.mp4", {"prefix": "/data"}, None),
        ("/old/../b.mp4", OLD_NEW, None),
        ("/old/a/../../../etc/b.mp4", {"prefix": "/data", **OLD_NEW}, None),
        ("../b.mp4", {"prefix": "/data", **OLD_NEW}, None),
    ],
)
def test_paths_that_climb_out_of_their_folder(path, where, expected):
    if expected is None:
        with pytest.raises(ValueError, match="leads out of DATA.*DATA.ALLOW_OUTSIDE_PREFIX True allows it$"):
            kept_inside(path, **where)
    else:
        assert kept_inside(path, **where) == expected


def test_a_list_with_paths_out_of_the_prefix(tmp_path):
    for name in ("data/a.mp4", "secret.mp4", "disk/far.mp4", "beside.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "disk")
    rows = tmp_path / "train.csv"
    rows.write_text("a.mp4 0\n../secret.mp4 1\nlink/far.mp4 1\nlink/../beside.mp4 0\n")
    prefix = str(tmp_path / "data")
    with pytest.raises(ListError, match=r"train.csv:2: the path '../secret.mp4' leads out of DATA.PATH_PREFIX '"):
        read_list(rows, prefix=prefix)
    records, faults = read_list_and_faults(rows, prefix=prefix)
    assert [record.path for record in records] == [
        f"{prefix}/{name}" for name in ("a.mp4", "link/far.mp4", "beside.mp4")
    ]
    assert [records.where(at)[-2:] for at in range(3)] == [":1", ":3", ":4"] and list(faults) == [2]
    assert [record.path for record in read_list(rows, prefix=prefix, outside=True)] == [
        f"{prefix}/{name}" for name in ("a.mp4", "../secret.mp4", "link/far.mp4", "link/../beside.mp4")
    ]


def test_a_list_of_this_machine_beside_one_of_another(tmp_path):
    """Pseudo-labels have paths of this machine, the training list beside them those of another."""
    root = ("/old", str(tmp_path))
    assert locate([f"{tmp_path}/a.mp4"], folder="", root_replace=root) == [f"{tmp_path}/a.mp4"]
    with pytest.raises(ListError, match="no path of the list begins with '/old'"):
        locate(["/else/a.mp4"], folder="", root_replace=root)
    with pytest.raises(ListError, match="no path of the list begins with '/old'"):
        locate([f"{tmp_path}/a.mp4"], folder="", root_replace=("/old", ""))
