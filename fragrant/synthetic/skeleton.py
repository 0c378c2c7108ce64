"""The joints of a moving body in space, from the angles of its joints over time.

Lengths are in body heights, times in seconds, angles in radians. The axes of a body are (forward, up, left); a pose is
a dict of channels, each an array (T,); a channel that is not there is 0."""

from typing import NamedTuple

import numpy as np

SIDES = {"left": 1.0, "right": -1.0}
# Of the whole body. lean, side and twist bend the spine; pitch and roll turn the body as one piece (0 is upright).
BODY_CHANNELS = ("lean", "side", "twist", "nod", "look", "tilt", "forward", "aside", "lift", "yaw", "pitch", "roll")
# Of one side each: "left hip" or "right hip"; forward is positive, out is away from the body.
SIDE_CHANNELS = ("hip", "hip out", "knee", "foot", "shoulder", "shoulder out", "elbow", "elbow in")
CHANNELS = BODY_CHANNELS + tuple(f"{side} {name}" for side in SIDES for name in SIDE_CHANNELS)
Pose = dict[str, np.ndarray]


class Bones(NamedTuple):
    """The lengths of one person's bones, in body heights."""

    thigh: float = 0.245
    shank: float = 0.245
    trunk: float = 0.30
    upper_arm: float = 0.165
    forearm: float = 0.15
    shoulder: float = 0.108  # half the distance of the shoulder joints
    hip: float = 0.052  # half the distance of the hip joints
    neck: float = 0.055
    head: float = 0.125  # height of the head
    foot: float = 0.105


class Skeleton(NamedTuple):
    """A body in space over time."""

    at: dict[str, np.ndarray]  # joint -> (T, 3)
    turned: dict[str, np.ndarray]  # pelvis, chest, head -> (T, 3, 3): its columns are forward, up, left


def _rotation(kind: str, angle: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3): "pitch" takes up to forward, "yaw" forward to left, "roll" up to left."""
    c, s, o, e = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    rows = {
        "pitch": ((c, s, o), (-s, c, o), (o, o, e)),
        "yaw": ((c, o, -s), (o, e, o), (s, o, c)),
        "roll": ((e, o, o), (o, c, -s), (o, s, c)),
    }[kind]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _bone(length: float, forward: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The vector (T, 3) of a bone that hangs down at 0; positive ``out`` goes to the left."""
    flat = np.cos(out) * length
    return np.stack([flat * np.sin(forward), -flat * np.cos(forward), np.sin(out) * length], -1)


def _turned(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.einsum("tij,tj->ti", rotation, np.broadcast_to(vector, (len(rotation), 3)))


def _trunk(get, bones: Bones, at: dict, turned: dict) -> None:
    """Spine in two parts, so that a bent back is round; the head keeps half of the lean."""
    lean = get("lean")
    turned["pelvis"] = _rotation("roll", 0.4 * get("side")) @ _rotation("pitch", 0.6 * lean)
    twist = _rotation("yaw", get("twist")) @ _rotation("roll", get("side"))
    turned["chest"] = twist @ _rotation("pitch", 1.15 * lean)
    head = _rotation("yaw", get("twist") + get("look")) @ _rotation("roll", 0.3 * get("side") + get("tilt"))
    turned["head"] = head @ _rotation("pitch", 0.6 * lean + get("nod"))
    at["pelvis"] = np.zeros((len(lean), 3))
    at["waist"] = _turned(turned["pelvis"], np.array([0, 0.42 * bones.trunk, 0]))
    at["neck"] = at["waist"] + _turned(turned["chest"], np.array([0, 0.58 * bones.trunk, 0]))
    at["chest"] = at["neck"] + _turned(turned["chest"], np.array([0, -0.36 * bones.trunk, 0]))
    rise = bones.neck + 0.5 * bones.head
    at["head"] = at["neck"] + _turned(turned["head"], np.array([0.02, rise, 0]))


def _limbs(get, bones: Bones, at: dict, turned: dict) -> None:
    for name, sign in SIDES.items():
        hip, out, knee = (get(f"{name} {channel}") for channel in ("hip", "hip out", "knee"))
        shank_out = sign * out * (1 - np.minimum(np.abs(knee) / 1.5, 1))
        at[f"{name} hip"] = at["pelvis"] + _turned(turned["pelvis"], np.array([0, 0, sign * bones.hip]))
        at[f"{name} knee"] = at[f"{name} hip"] + _bone(bones.thigh, hip, sign * out)
        at[f"{name} ankle"] = at[f"{name} knee"] + _bone(bones.shank, hip - knee, shank_out)
        sole = np.pi / 2 + 0.55 * np.minimum(hip - knee, 0) + get(f"{name} foot")
        at[f"{name} toe"] = at[f"{name} ankle"] + _bone(bones.foot, sole, 0.2 * sign + 0 * sole)
        shoulder, arm_out, elbow = (get(f"{name} {channel}") for channel in ("shoulder", "shoulder out", "elbow"))
        joint = np.array([0, -0.035, sign * bones.shoulder])
        at[f"{name} shoulder"] = at["neck"] + _turned(turned["chest"], joint)
        # Arms hang from gravity, not from the chest: half of the lean moves them.
        carry = _rotation("yaw", get("twist")) @ _rotation("roll", get("side")) @ _rotation("pitch", 0.5 * get("lean"))
        upper = _bone(bones.upper_arm, shoulder, sign * (0.12 + arm_out))
        lower = _bone(bones.forearm, shoulder + elbow, sign * (0.04 + arm_out - get(f"{name} elbow in")))
        at[f"{name} elbow"] = at[f"{name} shoulder"] + _turned(carry, upper)
        at[f"{name} hand"] = at[f"{name} elbow"] + _turned(carry, lower)


def skeleton(pose: Pose, bones: Bones, frames: int, *, anchored: bool) -> Skeleton:
    """The joints of a body; what is lowest touches the ground (up = 0) unless the pose lifts it.

    Args:
        pose: channel -> (T,).
        frames: T.
        anchored: the feet stay in place and the hips move; else the other way round.
    """
    zero = np.zeros(frames)

    def get(name: str) -> np.ndarray:
        return pose.get(name, zero)

    at: dict[str, np.ndarray] = {}
    turned: dict[str, np.ndarray] = {}
    _trunk(get, bones, at, turned)
    _limbs(get, bones, at, turned)
    whole = _rotation("roll", get("roll")) @ _rotation("pitch", get("pitch"))
    at = {name: _turned(whole, place) for name, place in at.items()}
    # An ankle is 0.04 above its sole, a body that lies is 0.07 thick, and so on.
    thick = {"ankle": 0.04, "toe": 0.015, "knee": 0.045, "hand": 0.02, "elbow": 0.03, "pelvis": 0.08, "head": 0.07}
    thick |= {"chest": 0.08, "waist": 0.07, "neck": 0.05, "hip": 0.08, "shoulder": 0.05}
    lowest = np.min([place[:, 1] - thick[name.split()[-1]] for name, place in at.items()], axis=0)
    feet = np.mean([at[f"{name} ankle"] for name in SIDES], axis=0) if anchored else np.zeros((frames, 3))
    yaw = _rotation("yaw", get("yaw"))
    shift = np.stack([-feet[:, 0], get("lift") - lowest, -feet[:, 2]], -1)
    # forward and aside are measured along the first direction, not along the yaw of the moment
    travel = np.stack([get("forward"), zero, get("aside")], -1)
    at = {name: _turned(yaw, place + shift) + travel for name, place in at.items()}
    return Skeleton(at, {name: yaw @ whole @ rotation for name, rotation in turned.items()})


def placed(body: Skeleton, place: np.ndarray, heading: float, scale: float = 1.0) -> Skeleton:
    """The body in the world (x right, y up, z away): at ``place`` (3,), its first direction ``heading`` from x to z.

    Args:
        scale: height of the person; 1 is the usual one.
    """
    c, s = np.cos(heading), np.sin(heading)
    world = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])  # columns: forward, up, left
    at = {name: scale * joint @ world.T + place for name, joint in body.at.items()}
    return Skeleton(at, {name: world @ rotation for name, rotation in body.turned.items()})
