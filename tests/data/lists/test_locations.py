"""Where the videos of a list are looked for."""

import pytest

from fragrant.data.lists.locations import Folders, locate, move_root


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
