"""Bodies keep their bones in every pose and stand on the ground; the programs do what their names say."""

import numpy as np
import pytest

from fragrant.synthetic.actions import Action, actions_of, known_actions, motion_of
from fragrant.synthetic.axes import Axes
from fragrant.synthetic.motions import PROGRAMS, draw_style, standing
from fragrant.synthetic.skeleton import CHANNELS, Bones, placed, skeleton

TIME = np.arange(60) / 30


def moved(name: str, seed: int):
    rng = np.random.default_rng([seed, 7])
    style = draw_style(np.random.default_rng(seed), Axes())
    motion = motion_of(actions_of([name])[0], TIME, style, rng)
    return motion, skeleton(motion.pose, Bones(), len(TIME), anchored=motion.anchored)


def lowest_foot(body) -> np.ndarray:
    return np.min(
        [body.at[f"{side} {joint}"][:, 1] for side in ("left", "right") for joint in ("ankle", "toe")], axis=0
    )


def test_bones_keep_their_lengths_in_every_pose():
    rng, bones = np.random.default_rng(0), Bones()
    pose = {name: rng.uniform(-1.5, 1.5, 50) for name in CHANNELS}
    body = skeleton(pose, bones, 50, anchored=True)
    for start, end, length in (
        ("hip", "knee", bones.thigh),
        ("knee", "ankle", bones.shank),
        ("shoulder", "elbow", bones.upper_arm),
        ("elbow", "hand", bones.forearm),
    ):
        for side in ("left", "right"):
            way = body.at[f"{side} {end}"] - body.at[f"{side} {start}"]
            assert np.linalg.norm(way, axis=1) == pytest.approx(length)
    for rotation in body.turned.values():
        assert rotation @ rotation.transpose(0, 2, 1) == pytest.approx(np.broadcast_to(np.eye(3), rotation.shape))


def test_left_is_left_and_forward_is_forward():
    body = skeleton({"left shoulder": np.full(1, np.pi / 2)}, Bones(), 1, anchored=True)
    assert body.at["left hand"][0, 0] > 0.2 > body.at["right hand"][0, 0]  # stretched forward
    assert body.at["left shoulder"][0, 2] > 0.05  # the third axis points to the left
    world = placed(body, np.array([0, 0, 4.0]), 0.0)  # looks to the right of the picture
    assert world.at["left hand"][0, 0] > 0.2
    assert world.at["left shoulder"][0, 2] > 4.05  # and the left side is turned away
    assert placed(body, np.zeros(3), np.pi / 2).at["left hand"][0, 2] > 0.2


def test_a_standing_body_is_one_high_and_on_the_ground():
    style = draw_style(np.random.default_rng(1), Axes())
    body = skeleton(standing(TIME, style), Bones(), len(TIME), anchored=True)
    assert lowest_foot(body).min() > 0.0
    assert lowest_foot(body).max() < 0.05
    assert body.at["head"][:, 1] + 0.0625 == pytest.approx(1.0, abs=0.08)
    feet = np.mean([body.at["left ankle"], body.at["right ankle"]], axis=0)
    assert np.abs(feet[:, [0, 2]]).max() < 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_sitting_goes_down_and_standing_up(seed):
    motion, body = moved("sit", seed)
    hips = body.at["pelvis"][:, 1]
    assert hips[0] > hips[-1] + 0.15
    assert motion.seat > 0
    motion, body = moved("stand", seed)
    assert body.at["pelvis"][-1, 1] > body.at["pelvis"][0, 1] + 0.15


@pytest.mark.parametrize("seed", range(4))
def test_who_jumps_leaves_the_ground_and_who_walks_does_not(seed):
    assert lowest_foot(moved("jump", seed)[1]).max() > 0.07
    assert lowest_foot(moved("walk", seed)[1]).max() < 0.05
    assert lowest_foot(moved("run", seed)[1]).max() > 0.05


@pytest.mark.parametrize("seed", range(4))
def test_running_is_faster_than_walking_and_turning_turns(seed):
    way = {name: np.ptp(moved(name, seed)[1].at["pelvis"][:, 0]) for name in ("walk", "run", "turn")}
    assert way["run"] > way["walk"] > 0.4
    assert way["turn"] < 0.4
    assert np.ptp(moved("turn", seed)[0].pose["yaw"]) > np.radians(70)


def test_at_least_twenty_actions_and_those_of_arid_and_infar():
    known = set(known_actions())
    assert len(known) >= 20
    assert known >= {"drink", "jump", "pick", "pour", "push", "run", "sit", "stand", "turn", "walk", "wave"}
    assert known >= {"fight", "clap", "handshake", "hug", "jog", "punch", "skip", "wave_both"}


@pytest.mark.parametrize("name", known_actions())
def test_every_action_moves_within_reason(name):
    motion, body = moved(name, 3)
    joints = np.stack(list(body.at.values()))
    assert np.isfinite(joints).all()
    assert joints[..., 1].min() > -0.1  # nothing sinks into the ground
    speed = np.abs(np.diff(joints, axis=1)).max() * 30
    assert 0.1 < speed < 15  # body heights per second
    assert name in PROGRAMS or actions_of([name])[0].variants


def test_a_variant_is_drawn_by_chance_alone():
    wave = actions_of(["wave"])[0]
    assert len(wave.variants) > 1
    style = draw_style(np.random.default_rng(0), Axes())
    first, again = (motion_of(wave, TIME, style, np.random.default_rng(5)).pose for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)
    alone = Action("wave", wave.variants[:1])
    assert motion_of(alone, TIME, style, np.random.default_rng(5)).pose.keys() <= set(CHANNELS)
