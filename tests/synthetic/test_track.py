"""The tracks of drawn figures: where they say that a figure is, there it is; each action moves in its own way."""

from functools import lru_cache

import numpy as np
import pytest

from fragrant.synthetic.actions import actions_of
from fragrant.synthetic.axes import Axes
from fragrant.synthetic.clip import draw_clip
from fragrant.synthetic.track import JOINTS, MOTION

STILL = Axes(
    figure=(0.7, 0.7), close_up=0, still_camera=1, shake=(1e-5, 1e-4), drift=0, passers_by=0, motion_blur=0, luma=(0.4, 0.4)
)  # fmt: skip
MANY = 6


@lru_cache
def drawn(name: str, number: int):
    return draw_clip((3, 0, number), actions_of([name])[0], axes=STILL, frames=24, fps=12, size=(96, 72))


def mean_motion(name: str, number: str) -> float:
    return float(np.mean([drawn(name, n).track["motion"][:, MOTION.index(number)] for n in range(MANY)]))


def test_sizes_and_names():
    track = drawn("walk", 0).track
    assert track["joints"].shape == (24, len(JOINTS), 2) and track["motion"].shape == (24, len(MOTION))
    assert track["joint_names"].tolist() == list(JOINTS) and track["motion_names"].tolist() == list(MOTION)


@pytest.mark.parametrize("name", ["stand", "turn"])
def test_heads_are_above_hips_and_hips_above_feet(name):
    rows = {joint: drawn(name, 1).track["joints"][-1, JOINTS.index(joint), 1] for joint in JOINTS}
    assert rows["head"] < rows["chest"] < rows["pelvis"] < rows["left knee"] < rows["left ankle"]


def test_what_moves_is_where_the_figure_is():
    """With a still camera pixels change around the chest, not far away from the figure."""
    near, far = [], []
    for number in range(MANY):
        clip, _, track = drawn("jump", number)
        change = np.abs(np.diff(clip.astype(float).mean(-1), axis=0)).max(0)
        places = track["joints"][:, JOINTS.index("chest")].mean(0) * [96, 72]
        if not (10 < places[0] < 86 and 10 < places[1] < 62):
            continue
        column, row = places.round().astype(int)
        near.append(change[row - 6 : row + 7, column - 6 : column + 7].mean())
        away = np.abs(np.arange(96) - column) > 36
        far.append(change[:, away].mean())
    assert len(near) >= 3 and np.mean(near) > 2 * np.mean(far)


def test_each_action_moves_in_its_own_way():
    ground, turning, rise = "speed over ground", "speed of turning", "rise of the pelvis"
    assert mean_motion("run", ground) > mean_motion("walk", ground) > 2 * mean_motion("turn", ground)
    assert mean_motion("turn", turning) > 2 * mean_motion("sit", turning)
    assert mean_motion("sit", rise) < 0 < mean_motion("stand", rise)
