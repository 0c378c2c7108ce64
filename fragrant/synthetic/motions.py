"""The six actions of ARID as programs of joint angles, each in several variants.

A program is ``program(time, style, rng) -> Motion``: ``style`` is drawn for the scene, in the same way for all actions;
``rng`` chooses the variant. Angles in radians, lengths in body heights."""

from typing import NamedTuple

import numpy as np

from fragrant.synthetic.axes import Axes, pick
from fragrant.synthetic.skeleton import SIDES, Bones, Pose, Skeleton, skeleton


class Style(NamedTuple):
    """How one person moves: the same draw serves every action."""

    start: float  # of a single motion, as a share of the clip
    length: float  # of a single motion, in seconds
    tempo: float  # 1 is the usual number of steps or jumps per second
    phase: float  # 0 .. 1, of the first step
    reach: float  # 1 is the usual swing of arms and legs
    lean: float  # how far the upper body hangs forward
    sway: float  # how much somebody who stands still moves
    look: float  # radians, of the head to the side
    left_handed: bool
    seed: int  # of slow sways


class Motion(NamedTuple):
    pose: Pose
    anchored: bool = True  # the feet stay, the hips move
    seat: float = 0.0  # height of what is sat on, 0 is none
    holds: str = "nothing"  # in the main hand, a name of people.HOLDS
    partner: "Motion | None" = None  # of a second person, who faces the first
    distance: float = 0.0  # of the two, in body heights
    recorded: Skeleton | None = None  # in the place of what the pose makes

    def body(self, bones: Bones) -> Skeleton:
        if self.recorded is not None:
            return self.recorded
        return skeleton(self.pose, bones, len(next(iter(self.pose.values()))), anchored=self.anchored)


def draw_style(rng: np.random.Generator, axes: Axes) -> Style:
    return Style(
        start=pick(rng, axes.start),
        length=pick(rng, axes.length),
        tempo=pick(rng, axes.tempo),
        phase=pick(rng, axes.phase),
        reach=pick(rng, axes.reach),
        lean=pick(rng, axes.lean),
        sway=pick(rng, axes.sway),
        look=float(rng.normal(0, 0.25)),
        left_handed=bool(rng.random() < 0.2),
        seed=int(rng.integers(2**31)),
    )


def ease(x: np.ndarray) -> np.ndarray:
    """Smooth step: 0 before 0, 1 after 1."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def slow(rng: np.random.Generator, time: np.ndarray, size: float, rate: float = 0.5) -> np.ndarray:
    """A slow, irregular sway around 0."""
    rates = rate * rng.uniform(0.5, 1.8, 3)
    return size / 1.7 * np.sin(2 * np.pi * np.outer(time, rates) + rng.uniform(0, 6.3, 3)) @ np.array([1.0, 0.6, 0.4])


def standing(time: np.ndarray, style: Style) -> Pose:
    """Somebody who stands, never quite still."""
    rng, w = np.random.default_rng(style.seed), style.sway
    pose = {"lean": style.lean + slow(rng, time, 0.03 * w), "side": slow(rng, time, 0.03 * w)}
    pose |= {"twist": slow(rng, time, 0.05 * w), "look": style.look + slow(rng, time, 0.15 * w, 0.3)}
    pose |= {"nod": 0.1 + slow(rng, time, 0.08 * w, 0.4)}
    bent = rng.uniform(0.05, 0.45)
    for side in SIDES:
        pose[f"{side} shoulder"] = slow(rng, time, 0.06 * w)
        pose[f"{side} shoulder out"] = 0.08 + 0 * time
        pose[f"{side} elbow"] = bent + slow(rng, time, 0.08 * w)
        pose[f"{side} hip out"] = 0.06 + 0 * time
    return pose


def add(pose: Pose, changes: dict[str, np.ndarray]) -> Pose:
    """The pose with channels added; "hip" without a side is added on both."""
    out = dict(pose)
    for name, values in changes.items():
        whole = name in (
            "lean",
            "side",
            "twist",
            "nod",
            "look",
            "tilt",
            "pitch",
            "roll",
            "yaw",
            "lift",
            "forward",
            "aside",
        )
        for channel in [name] if whole or name.split()[0] in SIDES else [f"{side} {name}" for side in SIDES]:
            out[channel] = out.get(channel, 0) + values
    return out


# ---- walk and run


def _travel(time: np.ndarray, speed: float, style: Style, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Way gone at each time, 0 at a drawn moment of the clip, and the pace, 0 to 1; now and then it begins or ends
    within the clip."""
    pace = np.ones_like(time)
    end = time[-1] if len(time) > 1 else 1.0
    if rng.random() < 0.15:
        pace = ease((time - 0.25 * end * rng.random()) / 0.5) if rng.random() < 0.6 else ease((end - time) / 0.6)
    way = np.concatenate([[0], np.cumsum(np.diff(time) * 0.5 * (pace[1:] + pace[:-1]))]) * speed
    return way - np.interp(style.start / 0.65 * end, time, way), pace


def walk(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    rate, swing = 0.92 * style.tempo, 0.42 * style.reach * rng.uniform(0.85, 1.1)
    way, pace = _travel(time, 4 * 0.48 * np.sin(swing) * rate * 0.95, style, rng)
    gone = style.phase + np.concatenate([[0], np.cumsum(np.diff(time) * pace[1:])]) * rate
    arm, elbow = 0.45 * style.reach * rng.uniform(0.4, 1.2), rng.uniform(0.1, 0.5)
    pose = standing(time, style)
    for i, side in enumerate(SIDES):
        phase = 2 * np.pi * (gone + 0.5 * i)
        lifted = np.maximum(0, np.cos(phase + 0.45)) ** 1.5 * pace
        pose = add(
            pose,
            {
                f"{side} hip": (0.05 + swing * np.sin(phase)) * pace + 0.15 * lifted,
                f"{side} knee": 0.06 + 0.95 * lifted,
                f"{side} foot": 0.25 * np.maximum(0, np.sin(phase)) * pace,
                f"{side} shoulder": -arm * np.sin(phase) * pace,
                f"{side} elbow": elbow + 0.2 * np.maximum(0, -np.sin(phase)) * pace,
            },
        )
    phase = 2 * np.pi * gone
    curve = rng.normal(0, 0.1) * time
    pose = add(
        pose, {"twist": 0.1 * np.sin(phase) * pace, "side": 0.03 * np.cos(phase) * pace, "forward": way, "yaw": curve}
    )
    pose = add(pose, {"aside": 0.5 * curve * way, "lean": 0.03 + 0 * time})
    return Motion(pose, anchored=False)


def run(time: np.ndarray, style: Style, rng: np.random.Generator, *, slow_only: bool = False) -> Motion:
    jog = rng.random() * (0.3 if slow_only else 1)  # 0 a jog, 1 a sprint
    rate, swing = (1.3 + 0.3 * jog) * style.tempo, (0.5 + 0.25 * jog) * style.reach
    way, pace = _travel(time, (1.0 + 1.1 * jog) * style.tempo * style.reach, style, rng)
    gone = style.phase + np.concatenate([[0], np.cumsum(np.diff(time) * pace[1:])]) * rate
    arm, elbow = (0.5 + 0.4 * jog) * style.reach, rng.uniform(1.3, 1.9)
    pose = standing(time, style)
    for i, side in enumerate(SIDES):
        phase = 2 * np.pi * (gone + 0.5 * i)
        lifted = np.maximum(0, np.cos(phase + 0.5)) ** 1.2 * pace
        pose = add(
            pose,
            {
                f"{side} hip": (0.22 + swing * np.sin(phase)) * pace,
                f"{side} knee": 0.25 * pace + (1.2 + 0.6 * jog) * lifted,
                f"{side} shoulder": (-0.15 - arm * np.sin(phase)) * pace,
                f"{side} elbow": (elbow - 0.3 * np.sin(phase)) * pace,
                f"{side} elbow in": 0.35 * pace,
            },
        )
    phase = 2 * np.pi * gone
    hop = (0.045 + 0.03 * jog) * np.abs(np.sin(phase)) ** 2 * pace
    pose = add(
        pose, {"twist": 0.2 * np.sin(phase) * pace, "lean": (0.1 + 0.15 * jog) * pace, "forward": way, "lift": hop}
    )
    return Motion(pose, anchored=False)


# ---- jump


def _jumps(time: np.ndarray, style: Style, rate: float, rest: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Phase of each jump (0 .. 1: crouch until 0.42, flight until 0.72, landing) and the number of jumps before."""
    cycle = style.phase + rate * time
    count = np.floor(cycle)
    phase = cycle - count
    if rest:  # a pause, standing, before each crouch
        phase = np.maximum(0, (phase - rest) / (1 - rest))
    return phase, count


def jump(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    kind = rng.choice(["spot", "broad", "star", "hop"], p=[0.33, 0.42, 0.08, 0.17])
    rate = {"spot": 0.95, "broad": 0.75, "star": 1.15, "hop": 1.7}[kind] * style.tempo
    phase, count = _jumps(time, style, rate, rng.uniform(0, 0.3) if kind in ("spot", "broad") else 0.0, rng)
    deep = {"spot": 0.75, "broad": 1.1, "star": 0.4, "hop": 0.4}[kind] * style.reach * rng.uniform(0.7, 1.2)
    crouch = np.interp(phase, [0, 0.18, 0.32, 0.44, 0.7, 0.8, 1], [0, 0.7, 1, -0.05, 0.1, 0.75, 0])
    flight = np.clip((phase - 0.42) / 0.3, 0, 1)
    up = 4 * flight * (1 - flight)
    height = {"spot": 0.15, "broad": 0.13, "star": 0.1, "hop": 0.08}[kind] * rng.uniform(0.7, 1.3) * style.reach
    far = {"spot": 0.02, "broad": 0.6, "star": 0.0, "hop": 0.12}[kind] * rng.uniform(0.6, 1.3)
    end = time[-1] if len(time) > 1 else 1.0
    way = far * (count + ease(flight))
    way = way - np.interp(style.start / 0.65 * end, time, way)
    tuck = rng.uniform(0, 0.9) * up if kind in ("spot", "broad") else 0 * up
    changes = {
        "hip": 0.85 * deep * crouch + tuck + 0.3 * far * np.sin(np.pi * flight),
        "knee": 1.5 * deep * crouch + tuck,
    }
    changes |= {"lean": 0.65 * deep * crouch, "lift": height * up, "forward": way, "foot": -0.7 * up * (1 - flight)}
    if kind == "star":
        spread = np.sin(np.pi * phase) ** 2
        changes |= {"shoulder out": 2.6 * spread, "hip out": 0.4 * spread, "elbow": -0.1 * spread}
    else:
        swing = rng.uniform(0.3, 1.1) * style.reach
        back, top = -1.1 * swing, 2.4 * swing
        arms = np.interp(phase, [0, 0.26, 0.34, 0.5, 0.62, 0.85, 1], [0, back, back, top, top, 0.3 * top, 0])
        changes |= {"shoulder": arms, "elbow": rng.uniform(0, 0.9) * np.clip(arms, 0, 1)}
        changes |= {"elbow in": rng.uniform(0, 0.6) * np.clip(arms, 0, 1)}
    pose = add(standing(time, style), changes)
    return Motion(pose, anchored=True)


# ---- sit and stand


def _seated(time: np.ndarray, done: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    """From standing (``done`` 0) to sitting (1)."""
    seat = float(rng.choice([0.27, 0.2, 0.12, 0.05], p=[0.55, 0.25, 0.15, 0.05]) * rng.uniform(0.9, 1.1))
    # hip and knee angles that bring the hips to the seat
    knee_height, thigh = 0.285, 0.245
    hips = float(np.pi / 2 + np.arcsin(np.clip((knee_height - seat - 0.08) / thigh, -1, 1)))
    bent = np.sin(np.pi * np.clip(done, 0, 1)) ** 1.2
    final = rng.uniform(-0.1, 0.35)
    changes = {
        "hip": hips * done,
        "knee": (hips + rng.uniform(-0.15, 0.3)) * done + 0.15 * bent,
        "hip out": rng.uniform(0.0, 0.35) * done,
        "lean": (rng.uniform(0.6, 1.15) * bent) * style.reach + final * done,
        "nod": rng.uniform(-0.1, 0.4) * bent,
        "look": rng.normal(0, 0.4) * bent,
    }
    hands = rng.choice(["knees", "seat", "lap", "free"], p=[0.4, 0.2, 0.25, 0.15])
    if hands == "seat":
        changes |= {"shoulder": -0.7 * bent + 0.1 * done, "elbow": 0.3 * bent + 0.5 * done}
    elif hands == "free":
        changes |= {"shoulder": 0.6 * bent + 0.2 * done, "elbow": 0.5 * done}
    else:
        lap = 1.0 if hands == "lap" else 0.0
        changes |= {"shoulder": 0.35 * bent + (0.5 - 0.25 * lap) * done, "elbow": (0.55 + 0.6 * lap) * done}
        changes |= {"elbow in": 0.5 * lap * done}
    if rng.random() < 0.3:  # looks behind for the seat, turns a little
        changes["twist"] = rng.normal(0, 0.35) * bent
    if rng.random() < 0.25:
        changes["yaw"] = rng.normal(0, 0.6) * (1 - ease(2.2 * done))
    return Motion(add(standing(time, style), changes), anchored=True, seat=seat)


def _single(time: np.ndarray, style: Style) -> np.ndarray:
    """Progress, 0 to 1, of a motion that happens once; all of it, or nearly, lies in the clip."""
    end = time[-1] if len(time) > 1 else 1.0
    length = min(style.length, 0.85 * end)
    return np.clip((time - style.start / 0.65 * (end - length)) / length, 0, 1)


def sit(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    return _seated(time, ease(_single(time, style)), style, rng)


def stand(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    progress = _single(time, style)
    motion = _seated(time, 1 - ease(progress), style, rng)
    if rng.random() < 0.25:  # a step forward at the end
        after = ease((progress - 0.75) / 0.25)
        motion = motion._replace(pose=add(motion.pose, {"forward": rng.uniform(0.05, 0.25) * after}))
    return motion


# ---- turn


def turn(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    end = time[-1] if len(time) > 1 else 1.0
    angle = rng.choice([-1, 1]) * rng.choice([0.5, 0.75, 1, 1.5, 2], p=[0.22, 0.15, 0.35, 0.13, 0.15]) * np.pi
    length = min(np.clip(abs(angle) / rng.uniform(0.9, 2.8), 0.7, 3.0), 0.95 * end)
    begin = style.start / 0.65 * max(end - length, 0)

    def made(at: np.ndarray) -> np.ndarray:
        done = angle * ease((at - begin) / length)
        if back:
            done = done - 0.9 * angle * ease((at - begin - length) / length)
        return done

    back = rng.random() < 0.2
    if back:
        length, begin = length / 2, begin * 0.5
    yaw, ahead = made(time), made(time + rng.uniform(0.1, 0.3))
    turning = np.abs(np.gradient(yaw, time)) if len(time) > 1 else 0 * time
    stepping = np.clip(turning / 1.5, 0, 1) * style.reach
    phase = 2 * np.pi * (style.phase + 1.4 * style.tempo * time)
    pose = add(
        standing(time, style),
        {
            "yaw": yaw,
            "look": 0.8 * (ahead - yaw),
            "twist": 0.3 * (ahead - yaw),
            "side": 0.04 * np.sin(phase) * stepping,
        },
    )
    for i, side in enumerate(SIDES):
        step = np.maximum(0, np.sin(phase + np.pi * i)) * stepping
        pose = add(pose, {f"{side} hip": 0.25 * step, f"{side} knee": 0.5 * step, f"{side} hip out": 0.06 * step})
        pose = add(pose, {f"{side} shoulder": 0.15 * rng.uniform(-0.5, 1) * np.sin(phase + np.pi * i) * stepping})
        pose = add(pose, {f"{side} shoulder out": rng.uniform(0, 0.25) * stepping})
    drift = rng.normal(0, 0.06, 2) * ease((time - begin) / length)[:, None]
    return Motion(add(pose, {"forward": drift[:, 0], "aside": drift[:, 1]}), anchored=True)


def jog(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    return run(time, style, rng, slow_only=True)


PROGRAMS = {"jump": jump, "run": run, "sit": sit, "stand": stand, "turn": turn, "walk": walk, "jog": jog}
