"""What people look like: sizes, clothes, hair; and how one is painted.

A person is a set of round parts that hang on the joints. Colours are linear light, 0 black .. 1 white."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fragrant.synthetic.axes import Axes, pick
from fragrant.synthetic.camera import Camera
from fragrant.synthetic.raster import paint_ellipsoid, paint_limb, prepared
from fragrant.synthetic.skeleton import SIDES, Bones, Skeleton


class Person(NamedTuple):
    bones: Bones
    scale: float  # 1 is the usual height
    girth: float  # 1 is the usual thickness
    colors: dict[str, np.ndarray]
    sleeves: str  # long or short
    legs: str  # trousers, shorts or skirt
    long_hair: bool
    open_jacket: bool
    print: float  # half width of a print on the chest, 0 is none
    bag: bool
    hem: float  # how far the shirt hangs over the hips, 0 is tucked in


class Part(NamedTuple):
    """A stick from one joint to another, or an ellipsoid (frame of ``turned``, half axes) at ``start``."""

    start: np.ndarray  # (T, 3) in pictures: column, row, distance
    end: np.ndarray
    radii: tuple[float, float]  # in body heights
    color: np.ndarray | Callable  # as paint_ellipsoid takes it
    shape: np.ndarray | None = None  # (T, 14) of an ellipsoid, as raster.py prepares it
    near: float = 0.0  # painted as if so much nearer


def tint(rng: np.random.Generator, bright: float, hue: float) -> np.ndarray:
    """A colour of a brightness; ``hue`` 0 is grey, 1 may be pure."""
    color = 1 + hue * rng.uniform(-1, 1, 3)
    return (bright * color / color.mean()).astype(np.float32)


def cloth(rng: np.random.Generator, dark: float) -> np.ndarray:
    """Colour of a garment: black or dark with the chance ``dark``, else white, grey or coloured."""
    kind = rng.random()
    if kind < dark:
        return tint(rng, rng.uniform(0.012, 0.06), 0.25)
    if kind < dark + 0.4 * (1 - dark):
        return tint(rng, rng.uniform(0.4, 0.8), 0.1)
    return tint(rng, rng.uniform(0.08, 0.35), rng.choice([0.15, 0.5]))


def draw_person(rng: np.random.Generator, axes: Axes) -> Person:
    usual = Bones()
    bones = Bones(*(length * rng.uniform(0.93, 1.07) for length in usual))
    skin = rng.uniform(0.1, 0.5) * np.array([1.3, 0.95, 0.75], dtype=np.float32)
    colors = {
        "shirt": cloth(rng, axes.dark_clothes),
        "inner": cloth(rng, 0.2),
        "trousers": cloth(rng, min(1.2 * axes.dark_clothes, 1)),
        "skin": skin,
        "hair": tint(rng, rng.uniform(0.008, 0.05) if rng.random() < 0.9 else rng.uniform(0.1, 0.4), 0.2),
        "shoes": cloth(rng, axes.dark_clothes),
        "print": tint(rng, rng.uniform(0.2, 0.8), 0.6),
        "bag": cloth(rng, 0.6),
    }
    weights = np.array([axes.trousers, axes.shorts, axes.skirts])
    legs = str(rng.choice(["trousers", "shorts", "skirt"], p=weights / weights.sum()))
    return Person(
        bones=bones,
        scale=pick(rng, axes.stature),
        girth=pick(rng, axes.girth),
        colors=colors,
        sleeves=str(rng.choice(["long", "short"])),
        legs=legs,
        long_hair=bool(rng.random() < (0.8 if legs == "skirt" else 0.2)),
        open_jacket=bool(rng.random() < axes.jackets),
        print=float(rng.uniform(0.1, 0.35) if rng.random() < axes.prints else 0),
        bag=bool(rng.random() < axes.bags),
        hem=float(rng.uniform(0.01, 0.06)) if rng.random() < 0.75 else 0.0,
    )


# ---- surfaces with several colours: (forward, up, left) on the unit sphere -> colours


def head_paint(person: Person):
    skin, hair = person.colors["skin"], person.colors["hair"]
    low = -0.9 if person.long_hair else -0.35

    def paint(f: np.ndarray, u: np.ndarray, s: np.ndarray) -> np.ndarray:
        is_hair = ((u > 0.45 - 0.25 * (f < 0.6)) | (f < -0.05) & (u > low) | (f < 0.35) & (u > -0.1))[..., None]
        features = (f > 0.3) & (np.abs(u - 0.12) < 0.12) & (np.abs(np.abs(s) - 0.38) < 0.17)  # eyes, glasses
        face = np.where((features | ((f > 0.5) & (np.abs(u + 0.55) < 0.08) & (np.abs(s) < 0.3)))[..., None], 0.45, 1)
        return np.where(is_hair, hair, skin * face.astype(np.float32))

    return paint


def chest_paint(person: Person):
    shirt, inner = person.colors["shirt"], person.colors["inner"]
    if not (person.open_jacket or person.print):
        return shirt
    if person.open_jacket:
        return lambda f, u, s: np.where(((f > 0.2) & (np.abs(s) < 0.3))[..., None], inner, shirt)
    mark, half = person.colors["print"], person.print

    def paint(f: np.ndarray, u: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.where(((f > 0.2) & (np.abs(s) < half) & (np.abs(u - 0.1) < 0.8 * half))[..., None], mark, shirt)

    return paint


# ---- the parts


def _ellipsoids(person: Person, body: Skeleton) -> list[tuple]:
    """(joint or place (T, 3), frame, half axes, colour, near)."""
    g, c, at, turned = person.girth, person.colors, body.at, body.turned
    low = c["shirt"] if person.open_jacket else c["trousers"]
    belly = 0.072 * (1 + 1.6 * max(g - 1, 0))
    parts = [
        (at["pelvis"], "pelvis", (0.078 * g, 0.1, 0.097 * g), low, 0.0),
        (at["waist"], "pelvis", (belly * g, 0.15, 0.093 * g), c["shirt"], 0.005),
        (at["chest"], "chest", (0.076 * g, 0.17, 0.122 * g), chest_paint(person), 0.01),
        (at["head"], "head", (0.059, 0.072, 0.05), head_paint(person), 0.04),
    ]
    if person.long_hair:
        back = np.einsum("tij,j->ti", turned["head"], np.array([-0.04, -0.07, 0]) * person.scale)
        parts.append((at["head"] + back, "head", (0.032, 0.13, 0.058), c["hair"], 0.0))
    if person.bag:
        back = np.einsum("tij,j->ti", turned["chest"], np.array([-0.12, -0.03, 0]) * person.scale)
        parts.append((at["chest"] + back, "chest", (0.06, 0.13, 0.1), c["bag"], 0.0))
    return parts


Stick = tuple[str, str, float, float, float, float, str]


def _sticks(person: Person) -> list[Stick]:
    """(from, to, share of the way to start at, and to end at, radii, colour)."""
    g, shirt, skin, legs = person.girth, "shirt", "skin", "trousers"
    sticks: list[Stick] = [
        ("left shoulder", "right shoulder", 0, 1, 0.044 * g, 0.044 * g, shirt),
        ("left hip", "right hip", 0, 1, 0.074 * g, 0.074 * g, legs),
        ("neck", "head", 0, 0.6, 0.034, 0.034, skin),
    ]
    bare = {"trousers": 1.0, "shorts": 0.85, "skirt": 0.3}[person.legs]
    for side in SIDES:
        hip, knee, ankle, toe = (f"{side} {name}" for name in ("hip", "knee", "ankle", "toe"))
        shoulder, elbow, hand = (f"{side} {name}" for name in ("shoulder", "elbow", "hand"))
        sticks += [
            (hip, shoulder, 0.1, 0.97, 0.06 * g, 0.046 * g, shirt),
            (hip, knee, 0, bare, 0.068 * g, 0.05 * g, legs),
            (hip, knee, bare, 1, 0.05 * g, 0.042 * g, skin),
            (knee, ankle, 0, 1, 0.045 * g, 0.028 * g, legs if bare == 1 else skin),
            (ankle, toe, 0, 1, 0.034, 0.026, "shoes"),
            (shoulder, elbow, 0, 1 if person.sleeves == "long" else 0.6, 0.04 * g, 0.033 * g, shirt),
            (shoulder, elbow, 0.6, 1, 0.032 * g, 0.028 * g, shirt if person.sleeves == "long" else skin),
            (elbow, hand, 0, 0.9, 0.031 * g, 0.023 * g, shirt if person.sleeves == "long" else skin),
            (elbow, hand, 0.92, 1.2, 0.025, 0.02, skin),
        ]
    return [stick for stick in sticks if stick[2] < stick[3]]


def parts_of(person: Person, body: Skeleton, camera: Camera, light: np.ndarray) -> list[Part]:
    """All parts of a person over time, as the camera sees them in ``light`` (T, 4)."""
    at, parts = body.at, []
    centre = at["pelvis"]
    angle = np.arctan2(centre[:, 0], centre[:, 2])
    zero, one = np.zeros_like(angle), np.ones_like(angle)
    right, front = (
        np.stack([np.cos(angle), zero, -np.sin(angle)], -1),
        np.stack([-np.sin(angle), zero, -np.cos(angle)], -1),
    )
    view = np.stack([right, np.stack([zero, -one, zero], -1), front], -2)  # (T, 3, 3): world -> right, down, front
    for place, frame, half, color, near in _ellipsoids(person, body):
        axes = view @ body.turned[frame] * (np.array(half) * person.scale)
        seen = camera.project(place)
        shape = prepared(axes * (camera.focal / seen[:, 2])[:, None, None], light)
        parts.append(Part(seen, seen, (0, 0), color, shape, near))
    for start, end, first, last, thick, thin, color in _sticks(person):
        way = at[end] - at[start]
        ends = camera.project(at[start] + first * way), camera.project(at[start] + last * way)
        near = 0.03 if start == "neck" else -0.03 if "shoulder" in end else 0.0
        parts.append(Part(*ends, (thick * person.scale, thin * person.scale), person.colors[color], None, near))
    if person.hem:  # a shirt that hangs over the hips
        up = np.einsum("tij,j->ti", body.turned["pelvis"], np.array([0, 0.05 - person.hem, 0]) * person.scale)
        ends = camera.project(at["left hip"] + up), camera.project(at["right hip"] + up)
        thick = 0.079 * person.girth * person.scale
        parts.append(Part(*ends, (thick, thick), person.colors["shirt"], None, 0.02))
    if person.legs == "skirt":
        knees = 0.5 * (at["left knee"] + at["right knee"])
        start = at["pelvis"] + 0.1 * (knees - at["pelvis"])
        ends = camera.project(start), camera.project(at["pelvis"] + 1.05 * (knees - at["pelvis"]))
        parts.append(Part(*ends, (0.085 * person.scale, 0.12 * person.scale), person.colors["trousers"], None, 0.06))
    return parts


# What is held in a hand: length, half width in body heights
HOLDS = {"nothing": (0.0, 0.0), "cup": (0.05, 0.03), "bottle": (0.11, 0.025), "phone": (0.07, 0.018)}
HOLDS |= {"ball": (0.01, 0.06), "bag": (0.22, 0.07)}


def held_thing(person: Person, body: Skeleton, camera: Camera, holds: str, side: str) -> Part:
    """A thing in one hand, across the forearm: upright where the forearm is level."""
    hand, elbow = body.at[f"{side} hand"], body.at[f"{side} elbow"]
    along = (hand - elbow) / np.linalg.norm(hand - elbow, axis=1, keepdims=True)
    up = np.array([0, 1.0, 0]) - along[:, 1:2] * along + 1e-3 * body.turned["chest"][:, :, 0]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    long, half = HOLDS[holds]
    down = -1.0 if holds == "bag" else 1.0
    middle = hand + 0.02 * along
    ends = camera.project(middle - 0.3 * long * down * up), camera.project(middle + 0.7 * long * down * up)
    return Part(*ends, (half, 0.8 * half), person.colors["bag"] + np.float32(0.1), None, 0.03)


def paint_person(canvas, parts: list[Part], i: int, offset: np.ndarray, focal: float, light: np.ndarray, open_at):
    """Paints the person of frame ``i``, far parts first.

    Args:
        offset: (2,) column and row of the picture's corner.
        light: (4,) as the painters of raster.py take it.
        open_at: (H, W) how far the scene is.
    """
    for part in sorted(parts, key=lambda part: part.near - 0.5 * (part.start[i, 2] + part.end[i, 2])):
        (x0, y0, z0), (x1, y1, z1) = part.start[i], part.end[i]
        start = (x0 - offset[0], y0 - offset[1])
        if part.shape is not None:
            paint_ellipsoid(canvas, start, part.shape[i], part.color, light[0], z0, open_at)
        else:
            assert isinstance(part.color, np.ndarray), "sticks have one colour"
            radii = (part.radii[0] * focal / z0, part.radii[1] * focal / z1)
            end = (x1 - offset[0], y1 - offset[1])
            paint_limb(canvas, (start, end), radii, part.color, light, 0.5 * (z0 + z1), open_at)
