"""Motion of the figures of the demo set: joints of a body in space, from an action and a time.

Lengths are in body heights, times in seconds, angles in radians. A body looks forward along its own first axis; the
axes are
(forward, up, left). Every number that differs between two clips is drawn once per clip, in the same way for all six
actions."""

from typing import NamedTuple

import numpy as np

ACTIONS = ("jump", "run", "sit", "stand", "turn", "walk")
SIDES = {"left": 1.0, "right": -1.0}


class Style(NamedTuple):
    """Style of one person's motion: the same draw serves every action."""

    start: float  # of a single motion (sit, stand, turn), as a share of the clip
    length: float  # of a single motion, as a share of the clip
    tempo: float  # 1 is the usual number of steps or jumps per second
    phase: float  # of the first step, 0 .. 2 pi
    reach: float  # 1 is the usual swing of arms and legs
    lean: float  # how far the upper body hangs forward
    hop: float  # height of a jump
    turn: float  # angle of a turn, positive to the left
    speed: float  # 1 is the usual speed over ground


class Body(NamedTuple):
    """The lengths of one person's bones and the thickness of the limbs."""

    thigh: float
    shank: float
    trunk: float
    upper_arm: float
    forearm: float
    shoulder: float  # half the width of the shoulders
    hip: float  # half the width of the hips
    girth: float  # 1 is the usual thickness


class Pose(NamedTuple):
    """Joint angles over time, each (T,), or (2, T) for left and right."""

    hips: np.ndarray  # thigh forward
    knees: np.ndarray  # bent by
    shoulders: np.ndarray  # upper arm forward
    elbows: np.ndarray  # bent by
    lean: np.ndarray  # trunk forward
    lift: np.ndarray  # of the lower foot above the ground
    travel: np.ndarray  # forward, 0 in the middle of the clip
    yaw: np.ndarray  # to the left
    on_the_spot: bool  # the feet stay, the hips move; else the other way round


def draw_style(rng: np.random.Generator) -> Style:
    length = rng.uniform(0.42, 0.62)
    return Style(
        start=rng.uniform(0.4, 0.6) * (1 - length),  # around the middle, so that a clip and its reverse start alike
        length=length,
        tempo=rng.uniform(0.88, 1.15),
        phase=rng.uniform(0, 2 * np.pi),
        reach=rng.uniform(0.85, 1.15),
        lean=rng.uniform(0.0, 0.1),
        hop=rng.uniform(0.12, 0.22),
        turn=rng.uniform(2.2, 4.5) * rng.choice([-1, 1]),
        speed=rng.uniform(0.85, 1.15),
    )


def draw_body(rng: np.random.Generator) -> Body:
    usual = (0.245, 0.245, 0.30, 0.17, 0.19, 0.115, 0.06, 1.0)
    return Body(*(length * rng.uniform(0.9, 1.1) for length in usual))


def ease(x: np.ndarray) -> np.ndarray:
    """Smooth step: 0 before 0, 1 after 1, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def sit(time: np.ndarray, seconds: float, style: Style) -> Pose:
    done = ease((time / seconds - style.start) / style.length)
    bent = np.sin(np.pi * done)  # the trunk goes forward on the way and comes back
    both = np.stack([done, done])
    return Pose(
        hips=1.5 * both,
        knees=1.5 * both + 0.25 * bent,
        shoulders=0.45 * both + 0.5 * style.reach * bent,
        elbows=0.2 + 0.6 * both,
        lean=style.lean + 0.6 * style.reach * bent,
        lift=0 * time,
        travel=0 * time,
        yaw=0 * time,
        on_the_spot=True,
    )


def stand(time: np.ndarray, seconds: float, style: Style) -> Pose:
    """Standing up, which is sitting down played backwards: only the order of the frames tells the two apart."""
    return sit(seconds - time, seconds, style)


def turn(time: np.ndarray, seconds: float, style: Style) -> Pose:
    done = ease((time / seconds - style.start + 0.1) / (style.length + 0.2))
    stepping = np.sin(np.pi * done)
    phase = style.phase + 2 * np.pi * 1.3 * style.tempo * time
    step = np.maximum(0, np.stack([np.sin(phase), -np.sin(phase)])) * stepping * style.reach
    swing = 0.15 * np.stack([np.sin(phase), -np.sin(phase)]) * stepping
    return Pose(
        hips=0.3 * step,
        knees=0.55 * step,
        shoulders=swing,
        elbows=0.25 + 0 * swing,
        lean=style.lean + 0 * time,
        lift=0 * time,
        travel=0 * time,
        yaw=style.turn * done,
        on_the_spot=True,
    )


def jump(time: np.ndarray, seconds: float, style: Style) -> Pose:
    phase = (style.phase / (2 * np.pi) + 1.15 * style.tempo * time) % 1
    crouch = np.interp(phase, [0, 0.15, 0.3, 0.42, 0.8, 0.9, 1], [0, 0.6, 1, 0, 0, 0.7, 0])
    flight = np.clip((phase - 0.42) / 0.38, 0, 1)
    arms = np.interp(phase, [0, 0.28, 0.5, 0.7, 0.95, 1], [0, -0.7, 2.4, 2.2, 0.1, 0])
    both = np.stack([crouch, crouch]) * style.reach
    return Pose(
        hips=0.95 * both,
        knees=1.5 * both,
        shoulders=np.stack([arms, arms]) * style.reach,
        elbows=np.full_like(both, 0.25),
        lean=style.lean + 0.6 * crouch,
        lift=style.hop * 4 * flight * (1 - flight),
        travel=0 * time,
        yaw=0 * time,
        on_the_spot=True,
    )


def walk(time: np.ndarray, seconds: float, style: Style) -> Pose:
    """Walking: one foot is always on the ground, the leg on it nearly straight, the arms hang."""
    phase = style.phase + 2 * np.pi * 0.95 * style.tempo * time
    phase = np.stack([phase, phase + np.pi])  # left, right
    swing = np.maximum(0, np.cos(phase + 0.45)) ** 1.5  # the leg is bent while it comes forward
    return Pose(
        hips=0.05 + 0.46 * style.reach * np.sin(phase),
        knees=0.06 + 0.95 * swing,
        shoulders=-0.42 * style.reach * np.sin(phase),
        elbows=0.2 + 0.15 * np.maximum(0, -np.sin(phase)),
        lean=style.lean + 0 * time,
        lift=0 * time,
        travel=0.65 * style.speed * (time - seconds / 2),
        yaw=0 * time,
        on_the_spot=False,
    )


def run(time: np.ndarray, seconds: float, style: Style) -> Pose:
    """Running: both feet leave the ground between the steps, the heel comes high, the elbows are bent, the trunk
    leans."""
    phase = style.phase + 2 * np.pi * 1.45 * style.tempo * time
    flight = np.abs(np.sin(phase)) ** 2  # most when the legs are furthest apart
    phase = np.stack([phase, phase + np.pi])
    swing = np.maximum(0, np.cos(phase + 0.5)) ** 1.2
    return Pose(
        hips=0.28 + 0.68 * style.reach * np.sin(phase),
        knees=0.3 + 1.6 * swing,
        shoulders=-0.1 - 0.75 * style.reach * np.sin(phase),
        elbows=np.full_like(phase, 1.55),
        lean=0.18 + style.lean + 0 * time,
        lift=0.07 * flight,
        travel=0.95 * style.speed * (time - seconds / 2),
        yaw=0 * time,
        on_the_spot=False,
    )


MOTIONS = {"jump": jump, "run": run, "sit": sit, "stand": stand, "turn": turn, "walk": walk}


def pose(action: str, time: np.ndarray, seconds: float, style: Style) -> Pose:
    """The pose of ``action`` at each ``time`` (T,); the clip's last frame comes ``seconds`` after its first."""
    return MOTIONS[action](time, seconds, style)


def bone(length: float, angle: np.ndarray, outward: float = 0.0) -> np.ndarray:
    """The vector (T, 3) of a bone that hangs down at angle 0 and points forward at pi / 2."""
    flat = np.cos(outward) * length
    return np.stack(
        [flat * np.sin(angle), -flat * np.cos(angle), np.full_like(angle, np.sin(outward) * length)], axis=-1
    )


def joints(pose: Pose, body: Body) -> dict[str, np.ndarray]:
    """The places (T, 3) of all joints; the feet stand on the ground (second axis 0) unless the pose lifts them."""
    at = {"pelvis": np.zeros((*pose.lean.shape, 3))}
    trunk = -bone(body.trunk, -pose.lean)  # up, and forward with the lean
    at["neck"] = at["pelvis"] + trunk
    at["chest"] = at["pelvis"] + 0.55 * trunk
    at["head"] = at["neck"] - bone(0.115, -0.6 * pose.lean)
    at["face"] = at["head"] + bone(0.03, np.pi / 2 - 0.6 * pose.lean)
    at["print"] = at["pelvis"] + 0.75 * trunk + bone(0.055, np.pi / 2 - pose.lean)
    for i, (name, sign) in enumerate(SIDES.items()):
        sideways = np.array([0, 0, sign])
        at[f"{name} hip"] = at["pelvis"] + body.hip * sideways
        at[f"{name} knee"] = at[f"{name} hip"] + bone(body.thigh, pose.hips[i], 0.04 * sign)
        shank = pose.hips[i] - pose.knees[i]
        at[f"{name} ankle"] = at[f"{name} knee"] + bone(body.shank, shank)
        at[f"{name} toe"] = at[f"{name} ankle"] + bone(0.1, np.pi / 2 + 0.6 * np.minimum(shank, 0))
        at[f"{name} shoulder"] = at["neck"] - 0.04 * trunk / body.trunk + body.shoulder * sideways
        at[f"{name} elbow"] = at[f"{name} shoulder"] + bone(body.upper_arm, pose.shoulders[i], 0.22 * sign)
        at[f"{name} hand"] = at[f"{name} elbow"] + bone(body.forearm, pose.shoulders[i] + pose.elbows[i], 0.05 * sign)
    lowest = np.min([at[f"{name} {end}"][:, 1] for name in SIDES for end in ("ankle", "toe")], axis=0)
    forward = -np.mean([at[f"{name} ankle"][:, 0] for name in SIDES], axis=0) if pose.on_the_spot else pose.travel
    shift = np.stack([forward, pose.lift - lowest + 0.03, 0 * forward], axis=-1)  # 0.03: the height of an ankle
    return {name: place + shift for name, place in at.items()}
