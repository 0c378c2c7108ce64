"""Recorded motion: bodies of BVH files, by hand-computed places, and videos drawn from them."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from fragrant.errors import UserError
from fragrant.synthetic import recorded
from fragrant.synthetic.actions import actions_of, motion_of
from fragrant.synthetic.axes import Axes
from fragrant.synthetic.clip import draw_clip
from fragrant.synthetic.motions import draw_style
from fragrant.synthetic.recorded import read_recording
from fragrant.synthetic.skeleton import Bones
from fragrant.synthetic.video_set import described, plan_of

# name, parent, offset in centimetres; somebody who looks along z, with the left hand at x > 0, arms hanging
TREE = [
    *(("Hips", -1, (0, 0, 0)), ("Spine", 0, (0, 12, 0)), ("Spine1", 1, (0, 20, 0)), ("Neck1", 2, (0, 22, 0))),
    *(("Head", 3, (0, 10, 0)), ("LeftUpLeg", 0, (9, 0, 0)), ("LeftLeg", 5, (0, -45, 0)), ("LeftFoot", 6, (0, -45, 0))),
    *(("LeftToeBase", 7, (0, -5, 14)), ("RightUpLeg", 0, (-9, 0, 0)), ("RightLeg", 9, (0, -45, 0))),
    *(("RightFoot", 10, (0, -45, 0)), ("RightToeBase", 11, (0, -5, 14)), ("LeftShoulder", 2, (4, 18, 0))),
    *(("LeftArm", 13, (14, 0, 0)), ("LeftForeArm", 14, (0, -28, 0)), ("LeftHand", 15, (0, -26, 0))),
    *(("RightShoulder", 2, (-4, 18, 0)), ("RightArm", 17, (-14, 0, 0)), ("RightForeArm", 18, (0, -28, 0))),
    ("RightHand", 19, (0, -26, 0)),
]


def bvh(hips: list[tuple], turns: dict[str, list[float]], *, name=lambda word: word, turn=lambda p: p) -> str:
    """A file with the places of the hips (x, y, z, degrees about y) and rotations about x of some joints."""
    lines = ["HIERARCHY"]

    def joint(i: int, depth: int) -> None:
        word, parent, offset = TREE[i]
        lines.append("\t" * depth + ("ROOT " if parent < 0 else "JOINT ") + name(word))
        lines.append("\t" * depth + "{")
        lines.append("\t" * (depth + 1) + "OFFSET " + " ".join(f"{value:g}" for value in turn(offset)))
        place = "6 Xposition Yposition Zposition" if parent < 0 else "3"
        lines.append("\t" * (depth + 1) + f"CHANNELS {place} Yrotation Xrotation Zrotation")
        children = [k for k, row in enumerate(TREE) if row[1] == i]
        for child in children:
            joint(child, depth + 1)
        if not children:
            lines.extend(["End Site", "{", "OFFSET 0 1 0", "}"])
        lines.append("\t" * depth + "}")

    joint(0, 0)
    lines += ["MOTION", f"Frames: {len(hips)}", "Frame Time: 0.1"]
    order = [line.split()[-1] for line in (text.strip() for text in lines) if line.startswith(("ROOT", "JOINT"))]
    known = {name(word): word for word, _, _ in TREE}
    for t, (x, y, z, about) in enumerate(hips):
        row = [*turn((x, y, z)), about, 0, 0]
        for word in order[1:]:
            row += [0, turns.get(known[word], [0.0] * len(hips))[t], 0]
        lines.append(" ".join(f"{value:.12g}" for value in row))
    return "\n".join(lines) + "\n"


WALK = [(0, 95, 10.0 * t, 0) for t in range(30)]  # 1 m/s along z
SCALE = (Bones().thigh + Bones().shank) / 90  # body heights per centimetre


def saved(folder: Path, text: str, rest: str = "") -> str:
    (folder / "one.bvh").write_text(text)
    (folder / "one.yaml").write_text(f"action: dance\nrecording: one.bvh\n{rest}")
    return str(folder / "one.yaml")


def places(folder: Path, text: str) -> dict[str, np.ndarray]:
    return read_recording(str(Path(saved(folder, text)).with_suffix(".bvh")))[0]


def test_joints_stand_where_the_tree_and_its_turns_put_them(tmp_path):
    at = places(tmp_path, bvh([(0, 95, 0, 0)] * 2, {"LeftLeg": [0, 90.0], "RightForeArm": [0, -90.0]}))
    np.testing.assert_allclose(at["left ankle"][0] / SCALE, [9, 5 - 5 + 0.04 / SCALE, 0], atol=2)
    shank = (at["left ankle"] - at["left knee"]) / SCALE
    np.testing.assert_allclose(shank, [[0, -45, 0], [0, 0, -45]], atol=1e-6)  # bent: the foot is behind
    forearm = (at["right hand"] - at["right elbow"]) / SCALE
    np.testing.assert_allclose(forearm, [[0, -26, 0], [0, 0, 26]], atol=1e-6)  # and the hand before
    np.testing.assert_allclose((at["waist"] - at["pelvis"])[0] / SCALE, [0, 0.42 * 54, 0], atol=1e-6)


@pytest.mark.parametrize("about", [0, 90, 200])
@pytest.mark.parametrize("upright", [True, False])
def test_who_walks_ahead_walks_forward(tmp_path, about, upright):
    way = np.radians(about)
    hips = [(10 * t * np.sin(way), 95, 10 * t * np.cos(way), about) for t in range(30)]
    turn = (lambda p: p) if upright else (lambda p: (p[2], p[0], p[1]))  # z up, rotations left out
    if not upright and about:
        pytest.skip("rotations of this writer are about y")
    motion = drawn(saved(tmp_path, bvh(hips, {}, turn=turn)))
    pelvis = motion.recorded.at["pelvis"]
    assert np.allclose(pelvis[0, [0, 2]], 0)
    assert np.isclose(pelvis[10, 0], 100 * SCALE, rtol=1e-6)
    assert np.abs(pelvis[:, 2]).max() < 1e-6
    assert (motion.recorded.at["left hand"][:, 2] > 0).all()
    np.testing.assert_allclose(motion.recorded.turned["pelvis"][3], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(motion.recorded.turned["head"][3], np.eye(3), atol=1e-6)


def drawn(path: str, seed: int = 0):
    style = draw_style(np.random.default_rng(seed), Axes())._replace(tempo=1.0)
    return motion_of(actions_of([path])[0], np.arange(11) / 10, style, np.random.default_rng(seed))


def test_half_of_the_videos_are_mirrored_and_left_stays_left(tmp_path):
    path = saved(tmp_path, bvh(WALK, {"LeftForeArm": [-90.0] * 30}))
    bodies = [drawn(path, seed).recorded for seed in range(12)]
    raised = ["left" if b.at["left hand"][0, 0] > b.at["right hand"][0, 0] else "right" for b in bodies]
    assert set(raised) == {"left", "right"}
    assert all((b.at["left shoulder"] - b.at["right shoulder"])[0, 2] > 0 for b in bodies)


@pytest.mark.parametrize(
    "name",
    [
        lambda word: f"mixamorig:{word}",
        lambda word: {"LeftUpLeg": "LeftHip", "RightUpLeg": "RightHip", "LeftLeg": "LeftKnee", "RightLeg": "RightKnee",
                      "LeftFoot": "LeftAnkle", "RightFoot": "RightAnkle", "LeftShoulder": "LeftCollar",
                      "RightShoulder": "RightCollar", "LeftArm": "LeftShoulder", "RightArm": "RightShoulder",
                      "LeftForeArm": "LeftElbow", "RightForeArm": "RightElbow", "LeftHand": "LeftWrist",
                      "RightHand": "RightWrist"}.get(word, word),
        lambda word: word.replace("Left", "L_").replace("Right", "R_"),
    ],
)  # fmt: skip
def test_names_of_other_makers(tmp_path, name):
    turns = {"LeftLeg": [30.0] * 30}
    plain, other = places(tmp_path, bvh(WALK, turns)), {}
    read_recording.cache_clear()
    other = places(tmp_path, bvh(WALK, turns, name=name))
    assert sorted(other) == sorted(plain)
    for joint, place in plain.items():
        np.testing.assert_allclose(other[joint], place)


def test_a_video_follows_the_recording(tmp_path):
    path = saved(tmp_path, bvh(WALK, {}), "from: 0.5\nto: 2.5\n")
    one = draw_clip((1, 0, 3), actions_of([path])[0], axes=Axes(), frames=6, fps=30, size=(64, 48))
    two = draw_clip((1, 0, 3), actions_of([path])[0], axes=Axes(), frames=6, fps=30, size=(64, 48))
    assert (one.pictures == two.pictures).all()
    speed = one.track["motion"][2:4, 2]  # over ground, body heights a second
    assert np.allclose(speed, speed[0], rtol=0.05)
    assert speed[0] > 0.1


def test_a_set_knows_its_recording_by_its_bytes(tmp_path):
    here, there = tmp_path / "a", tmp_path / "b"
    plans = []
    for folder, hips in ((here, WALK), (there, WALK), (tmp_path / "c", WALK[:20])):
        folder.mkdir()
        plans.append(described(plan_of(actions_of([saved(folder, bvh(hips, {}))]), 1)))
    assert plans[0] == plans[1] != plans[2]


GOOD = bvh(WALK, {})


@pytest.mark.parametrize(
    ("text", "rest", "said"),
    [
        ("hello", "", "nothing that the tree"),
        ("", "", "no line MOTION"),
        (GOOD.replace("Frames: 30", "Frames: 31"), "", "31 frames"),
        (GOOD.replace("Frame Time: 0.1", "Frame Time: nan"), "", "a number is expected"),
        (GOOD.replace("Frames:", "Pictures:"), "", "are expected below MOTION"),
        (GOOD[:-6] + "1e999 0 0\n", "", "below MOTION"),
        (GOOD.replace("JOINT LeftLeg", "JOINT Tail"), "", "could be the left knee"),
        (GOOD.replace("OFFSET 9 0 0", "OFFSET 9 0"), "", "three are expected"),
        (GOOD.replace("OFFSET 9 0 0", "OFFSET 9 0 much"), "", "'much' stands where a number"),
        (GOOD.replace("Xrotation", "Wrotation", 1), "", "CHANNELS, their number"),
        ("{\n" + GOOD, "", "nothing that the tree"),
        (GOOD.replace("OFFSET 9 0 0", "OFFSET " + "9" * 1_000_001 + " 0 0"), "", "a line of 10000.. letters"),
        ("HIERARCHY\n" + "ROOT a\n{\n" * 2001 + "}\n" * 2001 + GOOD, "", "more than 2000 joints"),
        (GOOD.replace("OFFSET 0 -26 0", "OFFSET 0 -1e308 0"), "", "its left hand is .* body heights from the pelvis"),
        (
            re.sub("CHANNELS.*", "", GOOD)[:-1].split("Frames")[0] + "Frames: 999999999\nFrame Time: 0.1\n",
            "",
            "0 numbers",
        ),
        (GOOD, "from: 20\n", "2.90 s long"),
        (GOOD, "from: 2\nto: 1\n", "the part from 2 to 1"),
        (GOOD, "travel: 2\n", "beside 'recording' stand"),
        (GOOD, "recording: two.bvh\n", "two.bvh: no such file"),
    ],
)
def test_what_is_wrong_with_a_recording_is_one_line(tmp_path, text, rest, said):
    path = saved(tmp_path, text, rest)
    if "two.bvh" in rest:
        Path(path).write_text("action: dance\n" + rest)
    with pytest.raises(UserError, match=said) as caught:
        actions_of([path])
    assert "\n" not in str(caught.value)


def test_only_the_ways_to_our_joints_are_computed(tmp_path):
    """Fingers by the thousand beside them cost nothing, and give the same places."""
    fingers = "JOINT f\n{\nOFFSET 0 1 0\nCHANNELS 0\n}\n" * 1900
    read_recording.cache_clear()
    few = places(tmp_path, GOOD)
    read_recording.cache_clear()
    with_fingers = GOOD.replace("\t", "").replace("JOINT LeftHand\n", fingers + "JOINT LeftHand\n")
    many = places(tmp_path, with_fingers)
    assert few.keys() == many.keys()
    for name, place in few.items():
        np.testing.assert_array_equal(many[name], place)


def test_blocks_of_frames_make_one_recording(tmp_path, monkeypatch):
    text = bvh([(0, 95, 10.0 * t, 3 * t) for t in range(30)], {"LeftLeg": [2.0 * t for t in range(30)]})
    whole = places(tmp_path, text)
    read_recording.cache_clear()
    monkeypatch.setattr(recorded, "BLOCK", 7)
    for name, place in places(tmp_path, text).items():
        np.testing.assert_allclose(place, whole[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "limit, said", [("MOST_PLACES", "their product"), ("MOST_BYTES", "MB"), ("MOST_LINES", "lines")]
)
def test_files_that_would_take_the_memory_are_refused(tmp_path, monkeypatch, limit, said):
    read_recording.cache_clear()
    monkeypatch.setattr(recorded, limit, 10)
    with pytest.raises(UserError, match=said):
        places(tmp_path, GOOD)


def test_a_named_pipe_is_no_recording(tmp_path):
    os.mkfifo(tmp_path / "pipe.bvh")
    with pytest.raises(UserError, match="named pipe"):
        read_recording(str(tmp_path / "pipe.bvh"))
