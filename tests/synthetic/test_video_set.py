"""Sets of drawn videos: the same bytes for a seed whatever makes them, whole lists, no harm to other folders."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from fragrant.config.errors import ConfigError
from fragrant.synthetic import video_set
from fragrant.synthetic.actions import ARID6, actions_of, known_actions
from fragrant.synthetic.axes import KINDS, Axes
from fragrant.synthetic.clip import draw_clip
from fragrant.synthetic.demo_set import make_demo_set
from fragrant.synthetic.recipes import RecipeError, known_recipes, read_recipe
from fragrant.synthetic.setting import draw_setting
from fragrant.synthetic.video_set import VideoSetError, make_videos, plan_of

TINY = {"val": 1, "test": 0, "frames": (4, 6), "size": (64, 48)}


def tiny(clips: int = 2, actions=("sit", "wave"), **how):
    return plan_of(actions_of(actions), clips, **{**TINY, **how})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "made"
    make_videos(folder, tiny(), workers=1)
    return folder


def test_what_a_set_holds(made):
    assert (made / "classes.txt").read_text().split() == ["sit", "wave"]
    rows = (made / "train.csv").read_text().splitlines()
    assert [row.split()[1] for row in rows] == ["0", "1", "0", "1"]
    assert all((made / row.split()[0]).is_file() for row in rows)
    assert len((made / "val.csv").read_text().splitlines()) == 2
    assert (made / "test.csv").read_text() == ""
    marker = json.loads((made / "made_videos.json").read_text())
    assert marker["finished"]
    assert marker["settings"]["seed"] == 0
    with av.open(str(made / rows[0].split()[0])) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert 4 <= len(frames) <= 6
    assert frames[0].shape == (48, 64, 3)


def test_processes_and_a_kill_change_no_byte(made, tmp_path):
    two = tmp_path / "two"
    make_videos(two, tiny(), workers=2)
    assert contents(two) == contents(made)
    (two / "made_videos.json").write_text(json.dumps({"finished": False, "settings": video_set.described(tiny())}))
    gone = sorted((two / "videos" / "train").glob("*.mp4"))[1:3]
    kept = sorted((two / "videos" / "train").glob("*.mp4"))[0]
    for path in gone:
        path.unlink()
    (two / "videos" / "train" / ".123.sit_00001.mp4").write_bytes(b"half")
    before = kept.stat().st_mtime_ns
    make_videos(two, tiny(), workers=1)
    assert contents(two) == contents(made)
    assert kept.stat().st_mtime_ns == before


def test_a_whole_set_is_left_alone(made, monkeypatch, capsys):
    monkeypatch.setattr(video_set, "make_video", None)
    make_videos(made, tiny())
    assert "is whole" in capsys.readouterr().err


def test_other_folders_are_left_alone(made, tmp_path):
    before = contents(made)
    with pytest.raises(VideoSetError, match=r"made with other settings \(seed\)"):
        make_videos(made, tiny(seed=1))
    assert contents(made) == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(VideoSetError, match=r"other files \(notes.txt\)"):
        make_videos(tmp_path, tiny())
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(VideoSetError, match="is a file"):
        make_videos(tmp_path / "notes.txt", tiny())
    with pytest.raises(VideoSetError, match="cannot be written"):
        make_videos(tmp_path / "notes.txt" / "below", tiny())


@pytest.mark.parametrize(
    "how, message",
    [
        ({"clips": 0}, "--clips must be 1 or more, got 0"),
        ({"clips": 10**6}, "99999 at most"),
        ({"seed": -1}, "--seed must be 0 or more, got -1"),
        ({"val": -1}, "--val and --test must be 0 or more"),
        ({"frames": (1, 1)}, "--frames must be 2 or more"),
        ({"frames": (9, 5)}, "the lower number first, got 9-5"),
        ({"fps": (0, 30)}, "--fps must be from 1 to 240"),
        ({"size": (63, 48)}, "--size must be even and 32 or more, got 63x48"),
        ({"size": (6000, 4000)}, "pixels at most"),
        ({"size": (1920, 1080), "frames": (48, 900)}, "--size and --frames must be less in one clip"),
    ],
)
def test_numbers_out_of_range(how, message):
    with pytest.raises(VideoSetError, match=message):
        tiny(**how)


def test_other_seeds_numbers_and_actions_draw_other_clips():
    how = {"axes": Axes(), "frames": 4, "fps": 30, "size": (64, 48)}
    sit, walk = actions_of(["sit", "walk"])
    clip, crf, _ = draw_clip((0, 0, 0), sit, **how)
    assert clip.shape == (4, 48, 64, 3)
    assert clip.dtype == np.uint8
    assert 15 <= crf <= 25
    assert (draw_clip((0, 0, 0), sit, **how)[0] == clip).all()
    for seeds, action in (((1, 0, 0), sit), ((0, 1, 0), sit), ((0, 0, 1), sit), ((0, 0, 0), walk)):
        assert (draw_clip(seeds, action, **how)[0] != clip).any()


@pytest.mark.parametrize("name", known_actions())
def test_every_action_is_drawn(name):
    clip, *_ = draw_clip((0, 0, 2), actions_of([name])[0], axes=Axes(), frames=3, fps=10, size=(64, 48))
    assert clip.std() > 0.5  # something is seen


@pytest.mark.parametrize("name", [name for name in known_recipes() if name != "demo"])
def test_recipes_of_the_package(name):
    axes = read_recipe(name)
    walk = actions_of(["walk"])[0]
    luma = [draw_clip((0, 0, n), walk, axes=axes, frames=3, fps=10, size=(64, 48))[0].mean() / 255 for n in range(4)]
    assert 0.5 * axes.luma[0] < np.mean(luma) < 1.6 * axes.luma[1]


@pytest.mark.parametrize(
    "how", ["people", "occluders", "street_lamps", "windows", "texture", "jackets", "skirts", "yaw"]
)
def test_axes_change_the_picture(how):
    usual = Axes(rooms=how == "windows", yards=0, paths=0, streets=how != "windows", windows=(0, 0), sideways=0.8)
    wide = {"texture": (2, 2), "jackets": 1, "yaw": 1}.get(how, 500 if how == "skirts" else (6, 6))
    walk = actions_of(["walk"])[0]
    clips = [
        draw_clip((0, 0, 5), walk, axes=axes, frames=2, fps=10, size=(96, 72)).pictures
        for axes in (usual, replace(usual, **{how: wide}))
    ]
    assert (clips[0] != clips[1]).mean() > 0.005


@pytest.mark.parametrize("sideways", [0, 0.8, 0.9, 1])
def test_headings_at_all_shares(sideways):
    # across the picture is exactly 0 or 180 degrees; paths have shares of their own
    axes = Axes(sideways=sideways, yaw=0, paths=0)
    settings = [draw_setting(np.random.default_rng(number), axes, (64, 48)) for number in range(200)]
    share = np.mean([abs(np.sin(setting.heading)) < 1e-9 for setting in settings])
    assert share == pytest.approx(sideways, abs=0.07 if 0 < sideways < 1 else 0)


def test_a_set_that_does_not_know_an_axis_goes_on(made, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(made, again)
    marker = json.loads((again / "made_videos.json").read_text())
    del marker["settings"]["axes"]["street_lamps"]
    (again / "made_videos.json").write_text(json.dumps(marker))
    make_videos(again, tiny(), workers=1)
    with pytest.raises(VideoSetError, match=r"made with other settings \(axes\)"):
        make_videos(again, tiny(axes=Axes(street_lamps=(1, 2))), workers=1)


def test_every_axis_has_its_bounds():
    assert set(vars(Axes())) == set(KINDS)
    for name, usual in vars(Axes()).items():
        low, high = KINDS[name]
        assert all(low <= value <= high for value in (usual if isinstance(usual, tuple) else (usual,))), name


@pytest.mark.parametrize(
    "text, message",
    [
        ("lumma: 0.1\n", r":1: 'lumma' is no axis; did you mean 'luma'\? known: figure"),
        ("luma: dark\n", r":1: luma is 'dark'; a number from 0.005 to 0.8"),
        ("luma: [0.2, 0.1]\n", "the lower number comes first"),
        ("luma: [0.1]\n", "1 values"),
        ("close_up: [0, 1]\n", "a number from 0 to 1"),
        ("close_up: .inf\n", "a number from 0 to 1"),
        ("trousers: 0\nshorts: 0\nskirts: 0\n", "trousers, shorts and skirts are all 0; one of them needs a weight"),
        ("rooms: 0\nyards: 0\npaths: 0\nstreets: 0\n", "needs a weight"),
    ],
)
def test_a_wrong_recipe(tmp_path, text, message):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe(str(tmp_path / "my.yaml"))


def test_unknown_recipes(tmp_path):
    with pytest.raises(RecipeError, match="did you mean 'indoors'"):
        read_recipe("indoor")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipe(str(tmp_path / "none.yaml"))


def test_the_demo_set_is_a_recipe(tmp_path):
    make_demo_set(tmp_path / "demo", seed=5, videos_per_class=1, test_videos_per_class=1, num_frames=4)
    plan = plan_of(actions_of(ARID6), 1, val=1, test=1, seed=5, frames=(4, 4), axes=read_recipe("demo"))
    make_videos(tmp_path / "made", plan, workers=1)
    for split in ("train", "val", "test"):
        for action in ARID6:
            old, new = (tmp_path / f"demo/videos/{split}/{action}_000.mp4"), (tmp_path / f"made/videos/{split}")
            assert old.read_bytes() == (new / f"{action}_00000.mp4").read_bytes()


@pytest.mark.parametrize(
    ("actions", "how"), [(["walk", "wave"], {}), (["walk"], {"fps": (25, 25)}), (["walk"], {"frames": (4, 6)})]
)
def test_the_demo_sets_drawing_knows_less(actions, how):
    with pytest.raises(VideoSetError, match="--recipe demo: "):
        plan_of(actions_of(actions), 1, axes=None, **how)
