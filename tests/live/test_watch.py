"""A watched folder: every new video once, when it is complete."""

import shutil

import pytest

from fragrant.errors import UserError
from fragrant.live.watch import Arrivals, arriving


def look(arrivals: Arrivals, now: float) -> list[str]:
    found = arrivals.look(now)
    for path in found:
        arrivals.done(path)
    return [path.rsplit("/", 1)[1] for path in found]


def test_files_come_once_when_they_are_complete(tmp_path):
    (tmp_path / "old.mp4").write_bytes(b"there before")
    arrivals = Arrivals(tmp_path, settle=2.0)
    assert arrivals.known == 1 and look(arrivals, 0) == []
    (tmp_path / "a.mp4").write_bytes(b"half")
    (tmp_path / "notes.txt").write_bytes(b"no video")
    (tmp_path / ".b.mp4.part").write_bytes(b"hidden")
    (tmp_path / "empty.mp4").touch()
    assert look(arrivals, 10) == look(arrivals, 11.9) == []
    (tmp_path / "a.mp4").write_bytes(b"half and more")  # it grows: the time counts from here
    assert look(arrivals, 12) == look(arrivals, 13.9) == []
    assert look(arrivals, 14) == ["a.mp4"]
    (tmp_path / ".b.mp4.part").rename(tmp_path / "b.mp4")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.avi").write_bytes(b"below")
    assert look(arrivals, 20) == [] and look(arrivals, 22) == ["b.mp4", "c.avi"]
    assert look(arrivals, 30) == look(arrivals, 40) == []
    (tmp_path / "a.mp4").write_bytes(b"changed afterwards")
    assert look(arrivals, 50) == look(arrivals, 60) == []


def test_a_name_that_is_used_again_is_another_video(tmp_path):
    arrivals = Arrivals(tmp_path, settle=1.0)
    for round_ in (0, 10):
        (tmp_path / "a.mp4").write_bytes(b"x")
        assert look(arrivals, round_) == [] and look(arrivals, round_ + 1) == ["a.mp4"]
        (tmp_path / "a.mp4").unlink()
        assert look(arrivals, round_ + 2) == []
    assert not arrivals._done and not arrivals._growing  # no memory of what is gone


def test_what_cannot_be_read_is_tried_again_when_it_changes(tmp_path):
    arrivals = Arrivals(tmp_path, settle=1.0)
    (tmp_path / "a.mp4").write_bytes(b"half")
    arrivals.look(0)
    (path,) = arrivals.look(1)
    arrivals.done(path, again=True)
    assert arrivals.look(5) == arrivals.look(9) == []
    (tmp_path / "a.mp4").write_bytes(b"the whole of it")
    assert arrivals.look(10) == [] and arrivals.look(11) == [path]


def test_a_folder_that_is_gone(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    arrivals = Arrivals(folder)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="cannot be watched: No such file"):
        arrivals.look(0)


def test_watching_ends_when_it_is_told_to(tmp_path):
    arrivals, waits = Arrivals(tmp_path, settle=0.0), []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) == 1:
            (tmp_path / "a.mp4").write_bytes(b"x")
        return len(waits) == 4

    found = []
    for path in arriving(arrivals, wait, every=0.5):
        found.append(path)
        arrivals.done(path)
    assert found == [str(tmp_path / "a.mp4")] and waits.count(0) == 1
