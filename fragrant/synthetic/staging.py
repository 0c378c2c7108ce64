"""Puts a figure into its place: where it moves, where the camera looks, what stands around it."""

import numpy as np

from fragrant.synthetic.additions import add_lampposts, add_occluders
from fragrant.synthetic.camera import view_of
from fragrant.synthetic.motions import Motion
from fragrant.synthetic.panorama import Panorama
from fragrant.synthetic.people import Person, draw_person
from fragrant.synthetic.places import Ground, draw_place, seat_for
from fragrant.synthetic.setting import Setting
from fragrant.synthetic.skeleton import Skeleton, placed

WIDEST = 3.0  # radians that a panorama may span


def across(setting: Setting) -> Setting:
    """The setting with the figure turned to one side of the picture, and the space before it in the middle."""
    side = 1.0 if np.cos(setting.heading) > 0 else -1.0
    heading = (0.0 if side > 0 else np.pi) + 0.5 * np.sin(3 * setting.heading)
    return setting._replace(heading=heading, aim=setting.aim._replace(column=-0.14 * side))


def body_in_place(setting: Setting, motion: Motion) -> tuple[Skeleton, np.ndarray]:
    """The figure in the world, and where it stands (3,); never too close to the camera."""
    body = motion.body(setting.person.bones)
    where = np.array([0.0, 0.0, setting.distance])
    near = float(placed(body, where, setting.heading, setting.person.scale).at["pelvis"][:, 2].min())
    if near < 0.75:  # it would walk into the camera: it starts further off, or comes by beside it
        aside = 0.4 if setting.aim.column >= 0 else -0.4
        passes = setting.moment < 0.2 and near > -1.5
        where = where + (np.array([aside, 0, 0]) if passes else np.array([0, 0, 0.75 - near]))
    return placed(body, where, setting.heading, setting.person.scale), where


def partner_in_place(rng, setting: Setting, motion: Motion, where: np.ndarray) -> tuple[Person, Skeleton]:
    """A second person, who faces the first."""
    assert motion.partner is not None
    person = draw_person(rng, setting.axes)
    body = motion.partner.body(person.bones)
    ahead = np.array([np.cos(setting.heading), 0, np.sin(setting.heading)])
    return person, placed(body, where + motion.distance * ahead, setting.heading + np.pi, person.scale)


def target_of(setting: Setting, body: Skeleton) -> np.ndarray:
    """What the camera aims at (T, 3)."""
    hips, scale = body.at["pelvis"], setting.person.scale
    target = hips + np.array([0, (setting.height - 0.53) * scale, 0])
    moment = int(setting.moment * (len(hips) - 1))
    if setting.aim.pan < 0.05:
        target = np.repeat(target[moment : moment + 1], len(hips), 0)
    return target


def corners(setting: Setting, body: Skeleton, size: tuple[int, int], rng, fps: float) -> np.ndarray:
    """The upper left corner of each picture in the panorama (T, 2); where the camera, as drawn, would lose the figure,
    it follows."""
    for aim in (setting.aim, setting.aim._replace(pan=0.9, tilt=0.8, lag=min(setting.aim.lag, 0.25))):
        held = setting._replace(aim=aim)
        looks = view_of(setting.camera, aim, target_of(held, body), size, rng, fps)
        away = np.abs(setting.camera.project(body.at["chest"])[:, :2] - looks) / size
        if np.mean((away < 0.46).all(1)) > 0.8:
            break
    widest = WIDEST * setting.camera.focal / 2
    looks[:, 0] = np.clip(looks[:, 0], -widest, widest)
    looks[:, 1] = np.clip(looks[:, 1], -1.2 * size[1], 1.2 * size[1])
    return looks - np.array(size) / 2


def seen_share(view: Panorama, body: Skeleton) -> float:
    """How much of the figure nothing stands before; what is outside of the pictures does not count."""
    hidden, total = 0, 1e-6
    for joint in ("head", "chest", "pelvis", "left knee", "right knee"):
        column, row, away = view.camera.project(body.at[joint]).T
        c, r = (column - view.left).astype(int), (row - view.top).astype(int)
        inside = (c >= 0) & (r >= 0) & (c < view.rho.shape[1]) & (r < view.rho.shape[0])
        hidden += (view.rho[r[inside], c[inside]] < away[inside]).sum()
        total += inside.sum()
    return 1 - hidden / total


def build_view(setting: Setting, seeds, corner: np.ndarray, size: tuple[int, int], body: Skeleton) -> tuple:
    """The place as the camera's panorama, and its lights; drawn anew while most of the figure is hidden."""
    left, top = np.floor(corner.min(0)).astype(int) - 1
    right, bottom = np.ceil(corner.max(0)).astype(int) + np.array(size) + 2
    way = np.array([np.cos(setting.heading), np.sin(setting.heading)])
    ground = Ground(np.array([0.0, setting.distance]), way, 0.35, setting.camera.height, setting.axes)
    for attempt in range(4):
        view = Panorama(setting.camera, left, top, right - left, bottom - top)
        kind = setting.place if attempt < 2 else "room"
        lights = draw_place(view, np.random.default_rng([*seeds, 2, attempt]), kind, ground, setting.axis)
        own = np.random.default_rng([*seeds, 7, attempt])
        if kind != "room":
            lights = lights._replace(lamps=lights.lamps + add_lampposts(view, own, ground))
        add_occluders(view, own, ground)
        if seen_share(view, body) > 0.75:
            break
    return view, lights


def put_seat(view: Panorama, rng, motion: Motion, body: Skeleton) -> None:
    """Puts a seat under a figure that sits."""
    if motion.seat <= 0.08:
        return
    lowest = int(np.argmin(body.at["pelvis"][:, 1]))
    forward = body.turned["pelvis"][lowest][:, 0] * [1, 0, 1]
    forward /= max(float(np.linalg.norm(forward)), 1e-6)
    middle = body.at["pelvis"][lowest] - 0.02 * forward
    seat_for(view, rng, (middle[0], middle[2]), (forward[0], forward[2]), max(middle[1] - 0.075, 0.03))
