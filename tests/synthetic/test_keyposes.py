"""Files of key poses: what they say is what moves; each mistake is one line that names file, line and what is allowed."""

import numpy as np
import pytest

from fragrant.config.errors import ConfigError
from fragrant.synthetic.actions import ARID6, actions_of
from fragrant.synthetic.axes import Axes
from fragrant.synthetic.keyposes import ActionError, program_of, read_action
from fragrant.synthetic.motions import draw_style, standing

GOOD = """
action: salute
seconds: [1.0, 1.5]
interpolation: linear
vary: 0
poses:
  0.0: {right shoulder: 0}
  0.5: {right shoulder: 90, right elbow: 120}
  1.0: {right shoulder: 0, lift: 0.1}
"""


def written(path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_angles_are_degrees_and_lengths_body_heights(tmp_path):
    form = read_action(written(tmp_path / "salute.yaml", GOOD))
    assert form.action == "salute"
    assert form.seconds == (1.0, 1.5)
    times, values = form.poses.channels["right shoulder"]
    assert times == (0.0, 0.5, 1.0)
    assert values == pytest.approx((0, np.pi / 2, 0))
    assert form.poses.channels["lift"] == ((1.0,), (0.1,))


def test_the_poses_are_reached_in_time(tmp_path):
    form = read_action(written(tmp_path / "salute.yaml", GOOD))
    style = draw_style(np.random.default_rng(0), Axes())._replace(start=0.0, tempo=1.0)
    time = np.linspace(0, 1.5, 31)
    pose = program_of(form._replace(seconds=(1.0, 1.0)))(time, style, np.random.default_rng(0)).pose
    added = pose["right shoulder"] - standing(time, style)["right shoulder"]
    assert added[0] == pytest.approx(0)
    assert added[10] == pytest.approx(np.pi / 2)
    assert added[5] == pytest.approx(np.pi / 4)  # linear
    assert added[20:] == pytest.approx(0)  # the last pose stays
    smooth = program_of(form._replace(seconds=(1.0, 1.0), smooth=True))(time, style, np.random.default_rng(0)).pose
    assert smooth["right shoulder"][3] - standing(time, style)["right shoulder"][3] < added[3]


def test_what_repeats_comes_again(tmp_path):
    form = read_action(written(tmp_path / "salute.yaml", GOOD + "repeat: yes\n"))._replace(seconds=(1.0, 1.0))
    style = draw_style(np.random.default_rng(0), Axes())._replace(tempo=1.0)
    time = np.linspace(0, 3, 61)
    pose = program_of(form)(time, style, np.random.default_rng(0)).pose
    added = pose["right elbow"] - standing(time, style)["right elbow"]
    assert added[:20] == pytest.approx(added[20:40])
    assert np.ptp(added) == pytest.approx(0, abs=1e-9)  # named once: it holds that angle all the time


def test_a_left_handed_person_uses_the_other_hand(tmp_path):
    text = "action: point_up\nvary: 0\nposes:\n  0.0: {main shoulder: 90}\n  1.0: {main shoulder: 90}\n"
    program = program_of(read_action(written(tmp_path / "a.yaml", text)))
    style, time = draw_style(np.random.default_rng(0), Axes()), np.arange(5) / 30
    for left_handed, hand in ((True, "left shoulder"), (False, "right shoulder")):
        hands = program(time, style._replace(left_handed=left_handed), np.random.default_rng(0)).pose
        assert hands[hand].min() > 1
        assert hands["left shoulder"].min() < 1 or hands["right shoulder"].min() < 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("poses:\n  0: {lean: 3}\n", "no line 'action: NAME'"),
        ("action: a\n", "no block 'poses'"),
        ("action: a b\nposes:\n  0: {lean: 3}\n", "letters, digits"),
        ("action: ../x\nposes:\n  0: {lean: 3}\n", "letters, digits"),
        ("action: a\nposes: 3\n", "poses is a block of times"),
        ("action: a\nposes:\n  0: {leen: 3}\n", r":3: 'leen' is no joint; did you mean 'lean'\? known"),
        ("action: a\nposes:\n  0: {lean: much}\n", r":3: poses.0.lean is 'much'; a number from -1080 to 1080"),
        ("action: a\nposes:\n  0: {lean: nan}\n", "a number from"),
        ("action: a\nposes:\n  0: {lean: [1, 2]}\n", "a number from"),
        ("action: a\nposes:\n  0: {lift: 100}\n", "from -20 to 20"),
        ("action: a\nposes:\n  -1: {lean: 3}\n", "the time of a pose"),
        ("action: a\nposes:\n  soon: {lean: 3}\n", "the time of a pose"),
        ("action: a\nposes:\n  1: {lean: 3}\n  1.0: {lean: 4}\n", "two poses at the same time"),
        ("action: a\nspeed: 3\nposes:\n  0: {lean: 3}\n", r":2: 'speed' is not known"),
        ("action: a\nrepeat: maybe\nposes:\n  0: {lean: 3}\n", r":2: repeat is 'maybe'; allowed: yes, no"),
        ("action: a\nholds: botle\nposes:\n  0: {lean: 3}\n", "did you mean 'bottle'"),
        ("action: a\nseconds: [2, 1]\nposes:\n  0: {lean: 3}\n", "the lower number comes first"),
        ("action: a\nseconds: [1, 2, 3]\nposes:\n  0: {lean: 3}\n", "3 values"),
        ("action: a\nvary: 7\nposes:\n  0: {lean: 3}\n", "from 0 to 1"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, text, message):
    with pytest.raises(ActionError, match=message) as caught:
        read_action(written(tmp_path / "my.yaml", text))
    assert "\n" not in str(caught.value)
    assert "my.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "action: !!python/object:os.system x\n", "{", "action: a\naction: b\n"])
def test_no_yaml_of_keys_and_values(tmp_path, text):
    with pytest.raises((ConfigError, ActionError)):
        read_action(written(tmp_path / "my.yaml", text))


def test_actions_by_name_and_by_file(tmp_path):
    mine = written(tmp_path / "a.yaml", GOOD)
    other = written(tmp_path / "b.yaml", GOOD)
    walks = written(tmp_path / "walk.yaml", GOOD.replace("salute", "walk"))
    assert [action.name for action in actions_of(ARID6)] == list(ARID6)
    found = actions_of(["walk", mine, other])
    assert [(action.name, len(action.variants)) for action in found] == [("walk", 0), ("salute", 2)]
    assert len(actions_of(["walk", walks])[0].variants) == 1  # the file takes the place of the program
    with pytest.raises(ActionError, match="did you mean 'walk'"):
        actions_of(["wlak"])
    with pytest.raises(ActionError, match="walk named twice"):
        actions_of(["walk", "walk"])
    with pytest.raises(ConfigError, match="cannot be read"):
        actions_of([str(tmp_path / "none.yaml")])
