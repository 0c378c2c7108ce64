"""Recorded motion in the place of a drawn pose: bodies read from BVH files, the form in which CMU's, LAFAN1's,
Bandai-Namco's and other motion capture is found.

A BVH file is a tree of joints, each with an offset from its parent and channels (Biovision's format, as described by
Meredith and Maddock, "Motion Capture File Formats Explained", 2001): a joint's place is its parent's, moved by the
offset and turned by the parent's rotations in the order of their channels."""

import hashlib
import io
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fragrant.errors import UserError
from fragrant.files import open_plain
from fragrant.synthetic.motions import Motion, Style, standing
from fragrant.synthetic.skeleton import SIDES, Bones, Skeleton

# What an hour of motion capture with fingers and faces stays below; a file of more could take all of the memory.
MOST_BYTES = 256e6
MOST_JOINTS = 2000
MOST_PLACES = 3e7  # joints on the way to ours, times frames
MOST_LINES, LONGEST_LINE = 2_000_000, 1_000_000  # letters in a line
FARTHEST = 100.0  # body heights from the pelvis to another joint
BLOCK = 256  # frames that are turned at once
# The names that recordings have for our joints, the likelier first: letters alone, without their side.
NAMES = {
    "neck": ("neck", "neckbase", "lowerneck"),
    "head": ("head",),
    "hip": ("upleg", "thigh", "upperleg", "hip"),
    "knee": ("lowleg", "lowerleg", "leg", "shin", "calf", "knee"),
    "ankle": ("foot", "ankle"),
    "toe": ("toebase", "toe", "ball", "toes"),
    "shoulder": ("uparm", "upperarm", "arm", "shoulder"),
    "elbow": ("forearm", "lowarm", "lowerarm", "elbow"),
    "hand": ("hand", "wrist"),
}
LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "hand")


class RecordingError(UserError):
    """A recording that cannot be used: says where, what was found and what is allowed."""


class Joint(NamedTuple):
    name: str
    parent: int  # -1 of the root
    offset: tuple[float, float, float]
    channels: tuple[str, ...]


class Recording(NamedTuple):
    """A part of a BVH file that is an action."""

    action: str
    path: str
    digest: str  # of the file: sets know what they were made with, wherever it lies
    first: float  # seconds
    last: float | None
    holds: str = "nothing"
    seat: float = 0.0


# ---- reading


def _number(word: str, where: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise RecordingError(f"{where}: '{word[:40]}' stands where a number is expected")
    return value


def _offset(words: list[str], where: str) -> tuple[float, float, float]:
    if len(words) != 4:
        raise RecordingError(f"{where}: OFFSET has {len(words) - 1} numbers; three are expected")
    x, y, z = (_number(word, where) for word in words[1:])
    return x, y, z


def _channels(words: list[str], where: str) -> tuple[str, ...]:
    found = tuple(word.lower() for word in words[2:])
    if words[1:2] != [str(len(found))] or not all(re.fullmatch("[xyz](position|rotation)", name) for name in found):
        raise RecordingError(f"{where}: '{' '.join(words)[:60]}'; CHANNELS, their number, and Xposition .. Zrotation")
    return found


def _hierarchy(lines: list[str], path: str) -> tuple[list[Joint], int]:
    """The joints, parents first, and the number of the line MOTION."""
    joints: list[Joint] = []
    open_joints: list[int] = []
    for number, line in enumerate(lines):
        words, where = line.split(), f"{path}:{number + 1}"
        match words[:1]:
            case ["MOTION"]:
                return joints, number
            case ["ROOT" | "JOINT" | "End"]:
                joints.append(Joint(" ".join(words[1:]), open_joints[-1] if open_joints else -1, (0, 0, 0), ()))
            case ["{"] if joints:
                open_joints.append(len(joints) - 1)
            case ["}"] if open_joints:
                open_joints.pop()
            case ["OFFSET"] if open_joints:
                joints[open_joints[-1]] = joints[open_joints[-1]]._replace(offset=_offset(words, where))
            case ["CHANNELS"] if open_joints:
                joints[open_joints[-1]] = joints[open_joints[-1]]._replace(channels=_channels(words, where))
            case [] | ["HIERARCHY"]:
                pass
            case _:
                raise RecordingError(f"{where}: '{line.strip()[:60]}' is nothing that the tree of a BVH file has")
        if len(joints) > MOST_JOINTS:
            raise RecordingError(f"{where}: more than {MOST_JOINTS} joints")
    raise RecordingError(f"{path}: no line MOTION; a BVH file (HIERARCHY, MOTION) is expected")


def _motion(lines: list[str], first: int, columns: int, path: str) -> tuple[np.ndarray, float]:
    """The channels (T, columns), and the seconds between two frames."""
    head = " ".join(lines[first : first + 2])
    found = re.fullmatch(r"\s*Frames:\s*(\d{1,9})\s+Frame Time:\s*(\S+)\s*", head)
    if not found:
        raise RecordingError(f"{path}:{first + 1}: 'Frames: N' and 'Frame Time: SECONDS' are expected below MOTION")
    frames, seconds = int(found[1]), _number(found[2], f"{path}:{first + 2}")
    parts = []
    try:
        for at in range(
            first + 2, len(lines), BLOCK
        ):  # the words of all of them would take the size of the file thirty times
            parts.append(np.array(" ".join(lines[at : at + BLOCK]).split(), dtype=np.float64))
    except ValueError as error:
        raise RecordingError(f"{path}: something below MOTION is no number") from error
    values = np.concatenate([np.empty(0), *parts])
    if frames < 2 or not 1e-4 <= seconds <= 1 or not columns or len(values) != frames * columns:
        raise RecordingError(
            f"{path}: {len(values)} numbers, {frames} frames of {seconds:g} s; two frames or more, 0.0001 to 1 s, and "
            f"{columns or 'one or more'} numbers in each are expected"
        )
    if not np.isfinite(values).all():
        raise RecordingError(f"{path}: numbers below MOTION are not finite")
    return values.reshape(frames, columns), seconds


def _turns(axis: str, degrees: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) about a coordinate axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.zeros((len(degrees), 3, 3))
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out[:, range(3), range(3)] = 1
    out[:, a, a] = out[:, b, b] = c
    out[:, a, b], out[:, b, a] = -s, s
    return out


def _ways(joints: list[Joint], wanted: Iterable[int]) -> list[int]:
    """The wanted joints and those on their ways to the root, parents first."""
    found: set[int] = set()
    for i in wanted:
        while i >= 0 and i not in found:
            found.add(i)
            i = joints[i].parent
    return sorted(found)


def _places(joints: list[Joint], values: np.ndarray, wanted: Iterable[int], path: str) -> dict[int, np.ndarray]:
    """Where the wanted joints and those on their ways are, (T, 3) of each, in the file's lengths and axes."""
    ways = _ways(joints, wanted)
    if len(ways) * len(values) > MOST_PLACES:
        raise RecordingError(
            f"{path}: {len(values)} frames of {len(ways)} joints; their product is at most {MOST_PLACES:.0f}: cut it"
        )
    blocks = [_places_of_block(joints, values[at : at + BLOCK], ways) for at in range(0, len(values), BLOCK)]
    return {i: np.concatenate([block[i] for block in blocks]) for i in ways}


def _places_of_block(joints: list[Joint], values: np.ndarray, ways: list[int]) -> dict[int, np.ndarray]:
    columns = np.cumsum([0, *(len(joint.channels) for joint in joints)])
    places: dict[int, np.ndarray] = {}
    turned: dict[int, np.ndarray] = {}
    for i in ways:
        joint = joints[i]
        moved, own = np.tile(np.array(joint.offset, dtype=float), (len(values), 1)), np.eye(3)[None]
        for column, name in enumerate(joint.channels, columns[i]):
            if name.endswith("rotation"):
                own = own @ _turns(name[0], values[:, column])
            else:  # of the root it is the place, of others it stands for the offset
                moved[:, "xyz".index(name[0])] = values[:, column]
        if joint.parent < 0:
            places[i], rotation = moved, own
        else:
            before = turned[joint.parent]
            places[i] = places[joint.parent] + (before @ moved[..., None])[..., 0]
            rotation = before @ own
        turned[i] = np.broadcast_to(rotation, (len(values), 3, 3))
    return places


# ---- our joints in theirs


def _plain(name: str) -> str:
    return re.sub("[^a-z]", "", name.rpartition(":")[2].lower())


def _index(numbers: dict[str, int], ours: str, side: str) -> int | None:
    for name in NAMES[ours]:
        for mark in (side, side[:1]) if side else ("",):
            there = [numbers[word] for word in (mark + name, name + mark) if word in numbers]
            if there:
                return min(there)
    return None


def _mapping(joints: list[Joint], path: str) -> dict[str, int | None]:
    """Our joints' numbers in the file; toes alone may be missing."""
    numbers: dict[str, int] = {}  # the first of each name
    for i, joint in enumerate(joints):
        numbers.setdefault(_plain(joint.name), i)
    found: dict[str, int | None] = {"pelvis": 0}
    found |= {name: _index(numbers, name, "") for name in ("neck", "head")}
    for side in SIDES:
        found |= {f"{side} {name}": _index(numbers, name, side) for name in (*LIMBS, "toe")}
    missing = [name for name, i in found.items() if i is None and not name.endswith("toe")]
    if missing:
        there = ", ".join(joint.name for joint in joints if joint.channels)
        raise RecordingError(f"{path}: no joint that could be the {', the '.join(missing)}; there: {there[:300]}")
    return found


def _along(joints: list[Joint], places: dict[int, np.ndarray], last: int, share: float) -> np.ndarray:
    """The point (T, 3) at a share of the way along the bones from the root to the joint ``last``."""
    chain = [last]
    while joints[chain[-1]].parent >= 0:
        chain.append(joints[chain[-1]].parent)
    points = np.stack([places[i] for i in chain[::-1]], 1)
    lengths = np.linalg.norm(np.diff(points, axis=1), axis=-1).mean(0)
    way = np.concatenate([[0], np.cumsum(lengths)])
    at = share * way[-1]
    i = min(int(np.searchsorted(way, at, side="right")) - 1, len(lengths) - 1)
    part = (at - way[i]) / max(lengths[i], 1e-9)
    return points[:, i] * (1 - part) + points[:, i + 1] * part


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _upright(at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The joints with the second axis up: files have the second or the third one so, here and there turned over."""
    rise = np.median(at["head"] - 0.5 * (at["left ankle"] + at["right ankle"]), axis=0)
    up = int(np.argmax(np.abs(rise)))
    turn = np.roll(np.eye(3), 1 - up, axis=0)
    if rise[up] < 0:
        turn = np.diag([-1.0, -1.0, 1.0]) @ turn
    return {name: place @ turn.T for name, place in at.items()}


@lru_cache(maxsize=32)
def read_recording(path: str) -> tuple[dict[str, np.ndarray], float]:
    """The joints of a BVH file: name -> (T, 3) with the second axis up, in body heights above the ground, and the
    seconds between two frames.

    Raises:
        RecordingError: it cannot be read, is no BVH file, or lacks a joint.
    """
    lines = _lines(path)
    joints, motion = _hierarchy(lines, path)
    mapping = _mapping(joints, path)
    values, seconds = _motion(lines, motion + 1, sum(len(joint.channels) for joint in joints), path)
    with np.errstate(all="ignore"):  # numbers beyond reason are found by what comes of them
        return _body(joints, mapping, values, path), seconds


def _lines(path: str) -> list[str]:
    try:
        with open_plain(path) as file:
            content = file.read(int(MOST_BYTES) + 1)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise RecordingError(f"{path}: {reason}") from error
    if len(content) > MOST_BYTES:
        raise RecordingError(f"{path}: more than {MOST_BYTES / 1e6:.0f} MB")
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="replace")
    lines = list(islice(text, MOST_LINES + 1))
    if len(lines) > MOST_LINES:
        raise RecordingError(f"{path}: more than {MOST_LINES} lines")
    for number, line in enumerate(lines):
        if len(line) > LONGEST_LINE:
            raise RecordingError(f"{path}:{number + 1}: a line of {len(line)} letters; at most {LONGEST_LINE}")
    return lines


def _body(joints: list[Joint], mapping: dict[str, int | None], values: np.ndarray, path: str) -> dict[str, np.ndarray]:
    there = {name: i for name, i in mapping.items() if i is not None}
    places = _places(joints, values, there.values(), path)
    at = {name: places[i] for name, i in there.items()}
    assert mapping["neck"] is not None  # _mapping has seen to it
    at["waist"] = _along(joints, places, mapping["neck"], 0.42)
    return _in_body_heights(_upright(at), path)


def _in_body_heights(at: dict[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    usual = Bones()
    leg = np.mean(
        [
            np.linalg.norm(at[f"{side} hip"] - at[f"{side} knee"], axis=-1).mean()
            + np.linalg.norm(at[f"{side} knee"] - at[f"{side} ankle"], axis=-1).mean()
            for side in SIDES
        ]
    )
    if not 1e-6 < leg < 1e6:
        raise RecordingError(f"{path}: a leg is {leg:g} long")
    at = {name: place * (usual.thigh + usual.shank) / leg for name, place in at.items()}
    for name, place in at.items():
        away = float(np.abs(place - at["pelvis"]).max())
        if not (away <= FARTHEST and np.isfinite(place).all()):
            raise RecordingError(f"{path}: its {name} is {away:.3g} body heights from the pelvis; at most {FARTHEST:g}")
    ground = np.percentile([at[f"{side} ankle"][:, 1] for side in SIDES], 1) - 0.04
    return {name: place - [0, ground, 0] for name, place in at.items()}


# ---- moving


def _facing(at: dict[str, np.ndarray]) -> np.ndarray:
    """Forward (3,), level, in the first picture."""
    left = at["left hip"][0] - at["right hip"][0]
    forward = np.cross(left, [0, 1, 0])
    return _unit(forward) if np.linalg.norm(forward) > 1e-6 else np.array([1.0, 0, 0])


def _mirrored(at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    other = {"left": "right", "right": "left"}
    return {" ".join(other.get(word, word) for word in name.split()): place * [1, 1, -1] for name, place in at.items()}


def _frame(up: np.ndarray, left: np.ndarray) -> np.ndarray:
    """(T, 3, 3) with the columns forward, up, left."""
    up = _unit(up)
    left = _unit(left - (left * up).sum(-1, keepdims=True) * up)
    return np.stack([np.cross(up, left), up, left], -1)


def body_of(at: dict[str, np.ndarray]) -> Skeleton:
    """A body as ``skeleton`` makes it, from the joints of a recording (T, 3) in its axes (forward, up, left)."""
    bones = Bones()
    hips, shoulders = (at[f"left {name}"] - at[f"right {name}"] for name in ("hip", "shoulder"))
    turned = {"pelvis": _frame(at["waist"] - at["pelvis"], hips), "chest": _frame(at["neck"] - at["waist"], shoulders)}
    turned["head"] = _frame(at["head"] - at["neck"], shoulders)  # it looks where the chest does
    at = dict(at)
    at["chest"] = at["neck"] + 0.36 / 0.58 * (at["waist"] - at["neck"])
    at["head"] = at["neck"] + (bones.neck + 0.5 * bones.head) * turned["head"][:, :, 1]
    for side in SIDES:
        if f"{side} toe" not in at:
            ahead = turned["pelvis"][:, :, 0] * [1, 0, 1]
            at[f"{side} toe"] = at[f"{side} ankle"] + bones.foot * _unit(ahead) - [0, 0.025, 0]
    return Skeleton(at, turned)


def program_of(form: Recording):
    """The program (see motions.py) of a recorded action: a part of it as long as the clip, begun at a drawn moment, or
    all of it with its first and last pose held; half of the videos show it mirrored."""

    def program(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
        joints, seconds = read_recording(form.path)
        length = (len(joints["pelvis"]) - 1) * seconds
        last = length if form.last is None else min(form.last, length)
        clip = (time[-1] if len(time) > 1 else 0.0) * style.tempo
        spare = (last - form.first) - clip
        begin = form.first + (rng.uniform() * spare if spare > 0 else style.start / 0.65 * spare)
        moments = np.clip(begin + time * style.tempo, form.first, last)
        stamps = np.arange(len(joints["pelvis"])) * seconds
        at = {
            name: np.stack([np.interp(moments, stamps, place[:, k]) for k in range(3)], -1)
            for name, place in joints.items()
        }
        forward = _facing(at)
        axes = np.stack([forward, [0, 1, 0], np.cross([0, 1, 0], forward)])  # rows: forward, up, left
        start = at["pelvis"][0] * [1, 0, 1]
        at = {name: (place - start) @ axes.T for name, place in at.items()}
        body = body_of(_mirrored(at) if rng.random() < 0.5 else at)
        return Motion(standing(time, style), False, form.seat, form.holds, recorded=body)

    return program


def recording(path: str, action: str, first: float, last: float | None, holds: str, seat: float) -> Recording:
    """A recorded action; its file is read, so that what is wrong with it is said before anything is drawn.

    Raises:
        RecordingError: the file cannot be used, or the part is not in it.
    """
    joints, seconds = read_recording(path)
    length = (len(joints["pelvis"]) - 1) * seconds
    if not first < min(last if last is not None else length, length):
        raise RecordingError(f"{path}: it is {length:.2f} s long; the part from {first:g} to {last or length:g} is not")
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return Recording(action, path, digest, first, last, holds, seat)
