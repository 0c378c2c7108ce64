"""The demo set: real dark videos, the same bytes from the same seed, made once, nobody else's files touched."""

import multiprocessing
import re
from pathlib import Path

import av
import numpy as np
import pytest

from fragrant.synthetic import demo_set as demo
from fragrant.synthetic import scene as demo_scene
from fragrant.synthetic.demo_set import DemoSetError, make_demo_set
from fragrant.synthetic.figure import ACTIONS
from fragrant.synthetic.scene import darken, draw_clip

TINY = dict(videos_per_class=1, test_videos_per_class=1, num_frames=16, height=48, width=64)


def decoded(path: Path) -> np.ndarray:
    """(T, H, W, 3)"""
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tiny_set(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "made" / "here"  # neither exists yet
    make_demo_set(folder, **TINY)
    return folder


def test_lists_name_every_video_with_its_label(tiny_set):
    assert (tiny_set / "classes.txt").read_text().split() == ["jump", "run", "sit", "stand", "turn", "walk"]
    for split in ("train", "val", "test"):
        rows = [line.split(" ") for line in (tiny_set / f"{split}.csv").read_text().splitlines()]
        assert rows == [[f"videos/{split}/{action}_000.mp4", str(label)] for label, action in enumerate(ACTIONS)]
        assert {path for path, _ in rows} == {
            str(p.relative_to(tiny_set)) for p in (tiny_set / "videos" / split).iterdir()
        }


def test_sizes_of_the_lists(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(demo, "FEW", 1000)  # in this process
    monkeypatch.setattr(demo, "make_video", lambda clip, **_: made.append(clip.path))
    monkeypatch.setattr(demo, "FEW", 100)
    make_demo_set(tmp_path / "demo", videos_per_class=3, test_videos_per_class=3)
    lists = {split: (tmp_path / "demo" / f"{split}.csv").read_text().splitlines() for split in ("train", "val", "test")}
    assert {split: len(rows) for split, rows in lists.items()} == {"train": 18, "val": 12, "test": 18}
    assert len(set(made)) == 48 and set(made) == {row.split()[0] for rows in lists.values() for row in rows}
    assert [row.split()[1] for row in lists["train"][:6]] == list("012345")  # the first rows hold every class


def test_videos_are_dark_and_have_the_size_asked_for(tiny_set):
    for path in sorted(tiny_set.rglob("*.mp4")):
        clip = decoded(path)
        assert clip.shape == (16, 48, 64, 3) and clip.dtype == np.uint8
        luma = (clip / 255.0 @ [0.299, 0.587, 0.114]).mean()
        assert 0.02 <= luma <= 0.2, (path.name, luma)


def test_the_seed_decides_every_byte(tiny_set, tmp_path):
    make_demo_set(tmp_path / "same", **TINY)
    assert contents(tmp_path / "same") == contents(tiny_set)
    make_demo_set(tmp_path / "other", seed=1, **TINY)
    here, there = contents(tmp_path / "other"), contents(tiny_set)
    assert here.keys() == there.keys() and all(here[name] != there[name] for name in here if name.endswith(".mp4"))


def test_a_pool_of_processes_makes_the_same_bytes(tiny_set, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "FEW", 0)
    monkeypatch.setattr(demo, "usable_cores", lambda: 2)
    make_demo_set(tmp_path, **TINY)
    assert contents(tmp_path) == contents(tiny_set)


def test_sit_and_stand_show_the_same_frames_in_reverse(monkeypatch):
    """Before the noise, and with a camera that stands still: its sway is not the same backwards."""
    monkeypatch.setattr(demo_scene, "sway", lambda scene, time: np.zeros((len(time), 2)))
    size = dict(frames=12, fps=30, height=48, width=64)
    down, up = (draw_clip(np.random.default_rng(5), action, **size) for action in ("sit", "stand"))
    np.testing.assert_allclose(up, down[::-1], atol=1e-5)
    assert np.abs(up - down).max() > 0.1


def test_noise_grows_with_light():
    clip = np.full((24, 32, 32, 3), 0.1, dtype=np.float32)
    clip[:, :, 16:] = 0.8
    dark = darken(np.random.default_rng(0), clip, 0.1).astype(float)
    linear = (dark / 255) ** 2.2
    assert linear[:, :, 16:].std() > 1.5 * linear[:, :, :16].std()
    assert abs(dark.mean() / 255 - 0.1) < 0.02


def test_made_once(tiny_set):
    before = {path: path.stat().st_mtime_ns for path in tiny_set.rglob("*")}
    make_demo_set(tiny_set, **TINY)
    assert {path: path.stat().st_mtime_ns for path in tiny_set.rglob("*")} == before


def test_other_settings_make_it_anew(tmp_path):
    make_demo_set(tmp_path, **{**TINY, "videos_per_class": 2, "num_frames": 4})
    make_demo_set(tmp_path, **{**TINY, "num_frames": 6})
    assert not (tmp_path / "videos/train/walk_001.mp4").exists()
    assert len(decoded(tmp_path / "videos/train/walk_000.mp4")) == 6


def test_an_interrupted_making_is_done_again(tmp_path, tiny_set, monkeypatch):
    real = demo.make_video

    def stop_at_turn(clip, **rest):
        if clip.action == "turn":
            raise KeyboardInterrupt
        real(clip, **rest)

    monkeypatch.setattr(demo, "make_video", stop_at_turn)
    with pytest.raises(KeyboardInterrupt):
        make_demo_set(tmp_path, **TINY)
    assert (tmp_path / "videos/train/stand_000.mp4").exists() and not (tmp_path / "train.csv").exists()
    (tmp_path / "videos/train/stand_000.mp4").write_bytes(b"half a video")
    monkeypatch.undo()
    make_demo_set(tmp_path, **TINY)
    assert contents(tmp_path) == contents(tiny_set)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="starts processes by fork")
def test_two_starts_at_once_make_one_set(tmp_path, tiny_set):
    fork = multiprocessing.get_context("fork")
    starts = [fork.Process(target=make_demo_set, args=(tmp_path,), kwargs=TINY) for _ in range(2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join(60)
    assert [start.exitcode for start in starts] == [0, 0]
    assert contents(tmp_path) == contents(tiny_set)


@pytest.mark.parametrize("names", [["train.csv"], ["demo_set.lock", "notes.txt"], ["a", "b", "c", "d"]])
def test_other_peoples_files_are_left_alone(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("mine")
    mine = [name for name in names if name != "demo_set.lock"]
    said = ", ".join(mine[:3] + ["..."] * (len(mine) > 3))
    message = (
        f"the demo set is not made in '{tmp_path}': it holds other files ({said}); set DATA.PATH_TO_DATA_DIR to a new "
        "or empty folder"
    )
    with pytest.raises(DemoSetError, match=re.escape(message)):
        make_demo_set(tmp_path, **TINY)
    assert contents(tmp_path) == dict.fromkeys(names, b"mine")


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DemoSetError, match="it is a file; DATA.PATH_TO_DATA_DIR must be a new or empty folder"):
        make_demo_set(tmp_path / "file", **TINY)
    with pytest.raises(DemoSetError, match="cannot be written to '.*': Not a directory; set DATA.PATH_TO_DATA_DIR"):
        make_demo_set(tmp_path / "file" / "below", **TINY)


def test_all_wrong_settings_are_named(tmp_path):
    message = "DEMO_SET.VIDEOS_PER_CLASS must be 1 or more, got 0; DEMO_SET.HEIGHT must be even and 32 or more, got 47"
    with pytest.raises(DemoSetError, match=re.escape(message)):
        make_demo_set(tmp_path, **{**TINY, "videos_per_class": 0, "height": 47})
    assert not list(tmp_path.iterdir())


def test_exposures_go_round_and_a_lamp_stays_white(tmp_path, tiny_set):
    make_demo_set(tmp_path, **{**TINY, "videos_per_class": 2}, exposures=[0.4, 0.1])
    for number, luma in enumerate([0.4, 0.1]):
        clip = decoded(tmp_path / f"videos/train/walk_{number:03d}.mp4")
        assert clip.mean() / 255 == pytest.approx(luma, abs=0.07)
        assert clip[:, :4].max(axis=(1, 2, 3)).min() > 240 and np.median(clip) < 160
    make_demo_set(tmp_path, **TINY)  # without: the set as it always was
    assert contents(tmp_path) == contents(tiny_set)


def test_exposures_lie_between_black_and_white(tmp_path):
    with pytest.raises(DemoSetError, match=re.escape("DEMO_SET.EXPOSURES must be between 0 and 1, got [0.4, 1.5]")):
        make_demo_set(tmp_path, **TINY, exposures=[0.4, 1.5])
