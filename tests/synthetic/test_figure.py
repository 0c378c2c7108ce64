"""The motions behind the demo set: sit and stand differ in the order of the frames alone, feet stay where they
should."""

import numpy as np
import pytest

from fragrant.synthetic.figure import ACTIONS, draw_body, draw_style, joints, pose

SECONDS = 1.6
TIME = np.linspace(0, SECONDS, 49)


def body_at(action: str, seed: int = 0, time: np.ndarray = TIME) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    style, body = draw_style(rng), draw_body(rng)
    return joints(pose(action, time, SECONDS, style), body)


def test_standing_up_is_sitting_down_played_backwards():
    down, up = body_at("sit"), body_at("stand")
    for name in down:
        np.testing.assert_allclose(up[name], down[name][::-1], atol=1e-12)
    assert not np.allclose(up["head"], down["head"])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_bones_keep_their_length_and_feet_stay_above_ground(action, seed):
    at = body_at(action, seed)
    for start, end in (
        ("left hip", "left knee"),
        ("right knee", "right ankle"),
        ("pelvis", "neck"),
        ("left elbow", "left hand"),
    ):
        length = np.linalg.norm(at[end] - at[start], axis=1)
        np.testing.assert_allclose(length, length[0], rtol=1e-9)
    feet = np.min([at[f"{side} {end}"][:, 1] for side in ("left", "right") for end in ("ankle", "toe")], axis=0)
    assert np.all(feet > 0.029)
    assert np.all(np.isfinite(np.stack(list(at.values()))))


def test_each_action_does_what_its_name_says():
    at = {action: body_at(action) for action in ACTIONS}
    hip = {action: places["pelvis"][:, 1] for action, places in at.items()}
    foot = {a: np.minimum(places["left toe"][:, 1], places["right toe"][:, 1]) for a, places in at.items()}
    assert hip["sit"][0] - hip["sit"][-1] > 0.15 and hip["stand"][-1] - hip["stand"][0] > 0.15
    # how far both feet leave the ground
    assert foot["jump"].max() > 0.1 > foot["run"].max() > 0.05 > foot["walk"].max()
    travelled = {action: places["pelvis"][-1, 0] - places["pelvis"][0, 0] for action, places in at.items()}
    assert travelled["run"] > 0.8 and travelled["walk"] > 0.8
    assert all(abs(travelled[action]) < 0.1 for action in ("jump", "turn"))
    style = draw_style(np.random.default_rng(0))
    for action in ACTIONS:
        turned = np.ptp(pose(action, TIME, SECONDS, style).yaw)
        assert turned > 2 if action == "turn" else turned == 0


def test_walking_and_running_differ_by_gait():
    style = draw_style(np.random.default_rng(0))
    walking, running = (pose(action, TIME, SECONDS, style) for action in ("walk", "run"))
    assert running.knees.max() - walking.knees.max() > 0.5
    assert running.elbows.min() > walking.elbows.max() + 1
    assert running.lean.min() > walking.lean.max() + 0.1
