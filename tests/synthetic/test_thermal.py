"""Infrared pictures of the demo set's scenes: the same figure at the same place, warm, whatever the light does."""

import numpy as np
import pytest

from fragrant.synthetic import thermal
from fragrant.synthetic.demo_set import MARKER, make_demo_set
from fragrant.synthetic.scene import LAMP, draw_clip
from fragrant.synthetic.set_folder import read_marker
from fragrant.synthetic.thermal import coarse, draw_thermal

SIZE = dict(frames=6, height=48, width=64)
WHERE = (0, 0, 3)


@pytest.fixture
def temperatures(monkeypatch):
    """(T, H, W) of an action, before the sensor."""
    monkeypatch.setattr(thermal, "recorded", lambda rng, clip: clip)
    return lambda action, *more: draw_thermal(WHERE, action, *more, **SIZE)


def in_light(action: str) -> np.ndarray:
    """The visible video before it is dark, (T, H, W, 3)."""
    rng = np.random.default_rng(WHERE)
    rng.uniform()  # for its brightness
    return draw_clip(rng, action, fps=30, **SIZE)


def test_the_warm_figure_is_where_the_visible_one_is(temperatures):
    run, sit = temperatures("run"), temperatures("sit")
    changes = np.abs(in_light("run") - in_light("sit")).max(3) > 0.02  # what tells two motions apart in light
    warm = np.abs(run - sit) > 0.1
    assert warm.any((1, 2)).all() and (warm & changes).sum() > 0.95 * warm.sum()
    assert (run > 0.8).any((1, 2)).all()  # skin
    assert np.median(run) < 0.4 and np.percentile(run, 70) < 0.45  # the room


def test_light_is_not_seen(temperatures):
    """No lamp shines: what is bright without a figure is hardly warmer; a strip light is cold."""
    room = temperatures("sit")[:, :, :4]  # at the border, where nobody sits
    assert room.max() - room.min() < 0.3
    top, bottom = (round(share * SIZE["height"]) for share in LAMP)
    with_lamp = temperatures("run", (0.02,))
    assert (with_lamp[:, top:bottom] == np.float32(thermal.COOL)).all()
    assert np.array_equal(with_lamp[:, bottom:], temperatures("run")[:, bottom:])


def test_the_sensor_is_coarse_gray_and_repeats():
    clip = draw_thermal(WHERE, "walk", **SIZE)
    assert clip.shape == (6, 48, 64, 3) and clip.dtype == np.uint8
    assert np.array_equal(clip[..., 0], clip[..., 1]) and np.array_equal(clip, draw_thermal(WHERE, "walk", **SIZE))
    blocks = clip[:, ::3, ::3, 0].repeat(3, 1).repeat(3, 2)[:, :48, :64]
    assert np.array_equal(clip[..., 0], blocks)
    assert not np.array_equal(clip, draw_thermal((0, 0, 4), "walk", **SIZE))
    assert np.allclose(coarse(np.arange(16.0).reshape(4, 4)), [[5, 7], [13, 15]])  # 4 = 3 + 1, the border repeated


def test_a_set_of_its_own_and_another_one_is_made_anew(tmp_path):
    tiny = dict(videos_per_class=1, test_videos_per_class=1, num_frames=2, height=32, width=32)
    make_demo_set(tmp_path / "a", **tiny)
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").rglob("*.mp4")}
    make_demo_set(tmp_path / "b", thermal=True, **tiny)
    assert read_marker(tmp_path / "b" / MARKER) == {**read_marker(tmp_path / "a" / MARKER), "thermal": 1}
    assert (tmp_path / "a" / "train.csv").read_bytes() == (tmp_path / "b" / "train.csv").read_bytes()
    make_demo_set(tmp_path / "b", **tiny)  # no longer infrared
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").rglob("*.mp4")} == before
