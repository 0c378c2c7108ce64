"""Actions as key poses, read from a yaml file: angles of joints at times, and what happens between them; or as a
recording that the file names.

docs/synthetic.md describes the format. A file is data: it is read by the reader of configs, which constructs and
executes nothing."""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fragrant.config.yaml_text import Setting, read_yaml
from fragrant.errors import UserError
from fragrant.registry import did_you_mean
from fragrant.synthetic.motions import Motion, Style, add, standing
from fragrant.synthetic.people import HOLDS
from fragrant.synthetic.recorded import Recording, recording
from fragrant.synthetic.settings import number_of
from fragrant.synthetic.skeleton import BODY_CHANNELS, SIDE_CHANNELS, SIDES, Pose

HANDS = ("main", "other", *SIDES)  # main: right, or left of a left-handed person
LENGTHS = ("forward", "aside", "lift")  # in body heights; all other channels are degrees
NAMES = {*BODY_CHANNELS, *SIDE_CHANNELS, *(f"{hand} {name}" for hand in HANDS for name in SIDE_CHANNELS)}
KEYS: tuple[str, ...] = (
    "action",
    "poses",
    "partner poses",
    "seconds",
    "repeat",
    "interpolation",
    "vary",
    "planted",
    "travel",
    "holds",
)
KEYS += ("partner", "seat", "recording", "from", "to")
RECORDED = ("action", "recording", "from", "to", "holds", "seat")  # what a file that names a recording may say


class ActionError(UserError):
    """A file of key poses that cannot be used: says where, what was found and what is allowed."""


class Poses(NamedTuple):
    """Channel -> its times (seconds of one round, of 1) and values there (radians or body heights)."""

    channels: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]
    seconds: float  # of one round, as written


class KeyPoses(NamedTuple):
    """An action that a file describes."""

    action: str
    poses: Poses
    partner_poses: Poses | None
    seconds: tuple[float, float]  # one round takes so long
    repeat: bool
    smooth: bool
    vary: float  # spread of angles, as a share
    planted: bool  # the feet stay, else the hips
    travel: float  # forward, body heights per second
    holds: str
    partner: float  # distance of a second person, 0 is none
    seat: float  # height of what is sat on, 0 is none


# ---- reading


def _range(setting: Setting, low: float, high: float) -> tuple[float, float]:
    given = setting.value if isinstance(setting.value, list) else [setting.value, setting.value]
    if len(given) != 2:
        raise ActionError(f"{setting.where}: {setting.key} has {len(given)} values; one number, or two: [low, high]")
    first, last = (number_of(setting, text, low, high, ActionError) for text in given)
    if first > last:
        raise ActionError(f"{setting.where}: {setting.key} is [{first:g}, {last:g}]; the lower number comes first")
    return first, last


def _choice(setting: Setting, allowed: tuple[str, ...]) -> str:
    if setting.value not in allowed:
        said = str(setting.value)[:60]
        hint = did_you_mean(said, allowed)
        raise ActionError(f"{setting.where}: {setting.key} is '{said}'; {hint}allowed: {', '.join(allowed)}")
    return str(setting.value)


def _poses(settings: list[Setting], block: str) -> Poses | None:
    """The settings ``<block>.<time>.<channel>``, by channel."""
    found: dict[str, list[tuple[float, float]]] = {}
    last = 0.0
    for setting in settings:
        if not setting.key.startswith(f"{block}."):
            continue
        time, _, channel = setting.key[len(block) + 1 :].rpartition(".")
        if channel not in NAMES:
            hint = did_you_mean(channel, sorted(NAMES))
            raise ActionError(
                f"{setting.where}: '{channel[:60]}' is no joint; {hint}known: {', '.join(BODY_CHANNELS)}; with or "
                f"without {', '.join(HANDS)} before: {', '.join(SIDE_CHANNELS)}"
            )
        at = number_of(setting._replace(key=f"the time of a pose of '{block}'"), time, 0, 60, ActionError)
        limit = 20 if channel in LENGTHS else 1080
        value = number_of(setting, setting.value, -limit, limit, ActionError)
        found.setdefault(channel, []).append((at, value if channel in LENGTHS else math.radians(value)))
        last = max(last, at)
    if not found:
        return None
    length = last or 1.0
    channels = {}
    for channel, keys in found.items():
        times, values = zip(*sorted(keys), strict=True)
        if len(set(times)) < len(times):
            raise ActionError(f"{settings[0].where.rpartition(':')[0]}: {block}: two poses at the same time")
        channels[channel] = (tuple(t / length for t in times), values)
    return Poses(channels, length)


def _known(settings: list[Setting], path: str) -> dict[str, Setting]:
    plain = {}
    for setting in settings:
        name = setting.key.split(".")[0]
        if name not in KEYS:
            hint = did_you_mean(name, KEYS)
            raise ActionError(f"{setting.where}: '{name[:60]}' is not known; {hint}known: {', '.join(KEYS)}")
        if name not in ("poses", "partner poses"):
            plain[setting.key] = setting
        elif setting.key == name:
            raise ActionError(f"{setting.where}: {name} is a block of times, each with its joints: 0.5: {{lean: 30}}")
    if "action" not in plain:
        raise ActionError(f"{path}: no line 'action: NAME', the class that the file is of")
    given, where = plain["action"].value, plain["action"].where
    letters = given.replace("_", "").replace("-", "") if isinstance(given, str) and len(given) <= 60 else ""
    if not letters.isalnum():
        raise ActionError(f"{where}: action is '{str(given)[:60]}'; a name of letters, digits, _ and - is expected")
    return plain


def _recording(settings: list[Setting], plain: dict[str, Setting], path: str, number) -> Recording:
    """The action of a file with the line ``recording: FILE``, a path from the folder of the yaml file."""
    for setting in settings:
        if setting.key.split(".")[0] not in RECORDED:
            raise ActionError(
                f"{setting.where}: beside 'recording' stand {', '.join(RECORDED)}; got '{setting.key[:60]}'"
            )
    where = os.path.join(os.path.dirname(path), os.path.expanduser(str(plain["recording"].value)))
    first, last = number("from", 0, 1e5, 0), number("to", 0, 1e5, -1)
    holds = _choice(plain["holds"], tuple(HOLDS)) if "holds" in plain else "nothing"
    part = (first, None if last < 0 else last)
    return recording(where, str(plain["action"].value), *part, holds, number("seat", 0, 0.6, 0))


def read_action(path: str | os.PathLike) -> KeyPoses | Recording:
    """Reads a file of key poses, or one that names a recording.

    Raises:
        ActionError: something in it is wrong or missing.
        RecordingError: the recording cannot be used.
        ConfigError: it cannot be read, or is no yaml.
    """
    path = os.fspath(path)
    settings = read_yaml(path)
    plain = _known(settings, path)

    def number(key: str, low: float, high: float, default: float) -> float:
        return number_of(plain[key], plain[key].value, low, high, ActionError) if key in plain else default

    if "recording" in plain:
        return _recording(settings, plain, path, number)
    poses = _poses(settings, "poses")
    if poses is None:
        raise ActionError(f"{path}: no block 'poses', the angles of the joints at times, and no line 'recording: FILE'")
    return _key_poses(settings, plain, poses, number)


def _key_poses(settings: list[Setting], plain: dict[str, Setting], poses: Poses, number) -> KeyPoses:
    def get(key: str, read, default):
        return read(plain[key]) if key in plain else default

    return KeyPoses(
        action=str(plain["action"].value),
        poses=poses,
        partner_poses=_poses(settings, "partner poses"),
        seconds=get("seconds", lambda setting: _range(setting, 0.1, 60), (poses.seconds, poses.seconds)),
        repeat=get("repeat", lambda setting: _choice(setting, ("yes", "no")), "no") == "yes",
        smooth=get("interpolation", lambda setting: _choice(setting, ("smooth", "linear")), "smooth") == "smooth",
        vary=number("vary", 0, 1, 0.12),
        planted=get("planted", lambda setting: _choice(setting, ("feet", "hips")), "feet") == "feet",
        travel=number("travel", -5, 5, 0),
        holds=get("holds", lambda setting: _choice(setting, tuple(HOLDS)), "nothing"),
        partner=number("partner", 0.2, 3, 0),
        seat=number("seat", 0, 0.6, 0),
    )


def built_in() -> dict[str, list[Path]]:
    """The files of the package by the name of their action."""
    found: dict[str, list[Path]] = {}
    for path in sorted((Path(__file__).parent / "poses").glob("*.yaml")):
        found.setdefault(path.stem.partition("-")[0], []).append(path)
    return found


# ---- moving


def _between(phase: np.ndarray, keys: tuple[tuple[float, ...], tuple[float, ...]], smooth: bool) -> np.ndarray:
    times, values = (np.array(column) for column in keys)
    if not smooth or len(times) < 2:
        return np.interp(phase, times, values)
    i = np.clip(np.searchsorted(times, phase, side="right") - 1, 0, len(times) - 2)
    share = np.clip((phase - times[i]) / (times[i + 1] - times[i]), 0, 1)
    return values[i] + (values[i + 1] - values[i]) * share * share * (3 - 2 * share)


def _posed(poses: Poses, phase: np.ndarray, form: KeyPoses, time, style: Style, rng: np.random.Generator) -> Pose:
    """Somebody who stands, with the angles of the key poses added."""
    main, other = ("left", "right") if style.left_handed else ("right", "left")
    changes: dict[str, np.ndarray] = {}
    for channel, keys in poses.channels.items():
        size = np.clip(1 + form.vary * rng.standard_normal(), 0.4, 1.6)
        hand, _, rest = channel.partition(" ")
        name = f"{main if hand == 'main' else other} {rest}" if hand in ("main", "other") else channel
        changes[name] = changes.get(name, 0) + size * _between(phase, keys, form.smooth)
    return add(standing(time, style), changes)


def program_of(form: KeyPoses):
    """The program (see motions.py) of an action of key poses."""

    def program(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
        length = rng.uniform(*form.seconds) / style.tempo
        end = time[-1] if len(time) > 1 else 1.0
        if form.repeat:
            phase = (style.phase + time / length) % 1
        else:  # once, all of it in the clip where it fits
            phase = np.clip((time - style.start / 0.65 * max(end - length, 0)) / length, 0, 1)
        pose = _posed(form.poses, phase, form, time, style, rng)
        if form.travel:
            pose = add(pose, {"forward": form.travel * style.tempo * (time - style.start / 0.65 * end)})
        partner = None
        if form.partner:
            other = style._replace(seed=style.seed + 1, look=-style.look, lean=0.5 * style.lean, left_handed=False)
            poses = form.partner_poses or form.poses
            partner = Motion(_posed(poses, phase, form, time, other, rng), form.planted)
        return Motion(pose, form.planted, form.seat, form.holds, partner, form.partner)

    return program
