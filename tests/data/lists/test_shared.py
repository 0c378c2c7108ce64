"""The same video under other paths."""

import os

from fragrant.data.lists.shared import shared_videos


def test_whatever_way_a_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("videos/a.mp4", "videos/b.mp4", "videos/c.mp4", "other/c.mp4", "videos/frames/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    os.symlink("videos", "linked")
    os.symlink("../videos/b.mp4", "other/renamed.mp4")
    os.symlink("nowhere.mp4", "other/broken.mp4")
    test = [str(tmp_path / f"videos/{name}") for name in ("a.mp4", "b.mp4", "c.mp4", "frames", "missing.mp4")]
    same = {
        "videos/a.mp4": "a.mp4",
        "./videos//a.mp4": "a.mp4",
        "other/../videos/a.mp4": "a.mp4",
        "linked/a.mp4": "a.mp4",
        "linked/../videos/a.mp4": "a.mp4",
        "other/renamed.mp4": "b.mp4",
        "linked/frames/": "frames",
        "linked/missing.mp4": "missing.mp4",
    }
    for path, name in same.items():
        assert shared_videos(test, [path]) == [str(tmp_path / "videos" / name)], path
    for path in ("other/c.mp4", "other/broken.mp4", "c.mp4", "nowhere/a.mp4", ""):
        assert shared_videos(test, [path]) == [], path
    assert shared_videos(test, []) == shared_videos([], test) == []
