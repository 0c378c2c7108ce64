"""Draws one clip: somebody does an action somewhere, filmed in the dark.

Everything but the motion (person, place, light, camera, sensor) is drawn before the action is looked at, so that
nothing but the motion tells the actions apart."""

from typing import NamedTuple

import numpy as np

from fragrant.synthetic.actions import Action, motion_of
from fragrant.synthetic.axes import Axes, pick
from fragrant.synthetic.render import Actor, actor, passer_by, render
from fragrant.synthetic.sensor import record
from fragrant.synthetic.setting import draw_setting
from fragrant.synthetic.staging import across, body_in_place, build_view, corners, partner_in_place, put_seat
from fragrant.synthetic.track import track


class Drawn(NamedTuple):
    """A drawn clip.

    Attributes:
        pictures: (T, H, W, 3) uint8.
        crf: the quality to encode it with, of H.264.
        track: where its figure is and how it moves, see ``track``.
    """

    pictures: np.ndarray
    crf: int
    track: dict[str, np.ndarray]


def draw_clip(
    seeds: tuple[int, ...], action: Action, *, axes: Axes, frames: int, fps: float, size: tuple[int, int]
) -> Drawn:
    """Draws a clip.

    Args:
        seeds: numbers that the scene is drawn from; the variant of the action is drawn from these and its name.
        size: (width, height).
    """
    setting = draw_setting(np.random.default_rng([*seeds, 1]), axes, size)
    people_rng, sensor_rng, shake_rng = (np.random.default_rng([*seeds, k]) for k in (3, 4, 5))
    own = np.random.default_rng([*seeds, 6, *action.name.encode()])
    fps_drawn = fps * setting.blur
    time = np.arange(frames * setting.blur) / fps_drawn
    motion = motion_of(action, time, setting.style, own)
    if motion.partner is not None:  # two are seen from the side, or one hides the other
        setting = across(setting)
    body, where = body_in_place(setting, motion)
    corner = corners(setting, body, size, shake_rng, fps_drawn)
    view, lights = build_view(setting, seeds, corner, size, body)
    put_seat(view, own, motion, body)
    people: list[Actor] = [actor(setting.person, body, setting.camera, lights, motion.holds, setting.style.left_handed)]
    if motion.partner is not None:
        other, partner = partner_in_place(people_rng, setting, motion, where)
        people.append(actor(other, partner, setting.camera, lights))
    if setting.passing:
        people.append(passer_by(people_rng, setting, time, lights))
    others = np.random.default_rng([*seeds, 8])
    people += [passer_by(others, setting, time, lights, 0.3) for _ in range(round(pick(others, axes.people)))]
    clip = render(setting, view, lights, people, corner, size)
    if setting.blur > 1:
        clip = clip.reshape(frames, setting.blur, *clip.shape[1:]).mean(1)
    tracked = track(body, setting.camera, corner, size, setting.person.scale, fps_drawn)
    tracked |= {name: tracked[name][:: setting.blur] for name in ("joints", "motion")}
    return Drawn(record(sensor_rng, clip, axes, fps), setting.crf, tracked)
