"""Draws the clips of the demo set as an infrared camera beside the other one sees them: the same room, person and
motion, by temperature.

A figure is warm, skin most of all; what the light does, the lamp itself, shadows and prints on cloth, is not seen. The
sensor is a small one: few pixels, each with an error of its own that stays, noise, and some memory of the frame
before."""

from collections.abc import Sequence

import numpy as np

from fragrant.synthetic.encoding import FPS
from fragrant.synthetic.figure import ACTIONS
from fragrant.synthetic.scene import (
    LAMP,
    LUMA,
    Scene,
    draw_room,
    draw_scene,
    draw_seat_and_figure,
    figure_in_space,
    shifted,
    sway,
)

COARSE = 3  # pixels of the picture along one of the sensor
KEPT = 0.3  # share of a frame that stays in the next
BLACK, WHITE = 16.0, 235.0  # of 255, the values of temperatures 0 and 1
COOL = 0.08  # temperature of a lamp that is of diodes, and of nothing else


def temperatures(rng: np.random.Generator, scene: Scene) -> Scene:
    """The scene with temperatures, 0 cold .. 1 warm, in the place of colours."""
    around = rng.uniform(0.2, 0.35)
    shirt, trousers = rng.uniform(0.5, 0.75, 2)
    drawn = {
        "seat": around + rng.uniform(-0.04, 0.08),
        "shirt": shirt,
        "print": shirt,
        "trousers": trousers,
        "skin": rng.uniform(0.85, 0.95),
        "hair": rng.uniform(0.5, 0.7),
        "shoes": rng.uniform(0.35, 0.5),
        "around": around,
    }
    return scene._replace(colors={name: np.full(3, value, np.float32) for name, value in drawn.items()})


def room_by_temperature(rng: np.random.Generator, room: np.ndarray, around: float) -> np.ndarray:
    """The room (H, W, 3) of a scene, whose materials are told apart by little more than their names."""
    bright = np.log(room @ LUMA + 1e-3)
    return (around + rng.uniform(0.02, 0.05) * (bright - bright.mean()))[..., None].repeat(3, 2).astype(np.float32)


def coarse(picture: np.ndarray) -> np.ndarray:
    """(H, W) as a sensor of fewer pixels sees it: their means, each spread over its place."""
    height, width = picture.shape
    rows, columns = (-(-size // COARSE) for size in (height, width))
    padded = np.pad(picture, ((0, rows * COARSE - height), (0, columns * COARSE - width)), mode="edge")
    return padded.reshape(rows, COARSE, columns, COARSE).mean((1, 3))


def recorded(rng: np.random.Generator, clip: np.ndarray) -> np.ndarray:
    """What the sensor records of temperatures (T, H, W): (T, H, W, 3) uint8, gray."""
    height, width = clip.shape[1:]
    seen = np.stack([coarse(frame) for frame in clip])  # (T, h, w)
    for at in range(1, len(seen)):
        seen[at] = (1 - KEPT) * seen[at] + KEPT * seen[at - 1]
    noise, fixed = np.exp(rng.uniform(np.log(0.03), np.log(0.08))), rng.uniform(0.01, 0.03)
    seen += fixed * (rng.standard_normal(seen.shape[1:]) + rng.standard_normal((1, seen.shape[2])))
    seen += noise * rng.standard_normal(seen.shape)
    gray = np.clip(BLACK + (WHITE - BLACK) * seen, 0, 255).round().astype(np.uint8)
    whole = gray.repeat(COARSE, 1).repeat(COARSE, 2)[:, :height, :width]
    return whole[..., None].repeat(3, 3)


def draw_thermal(
    where: Sequence[int], action: str, exposures: Sequence[float] = (), *, frames: int, height: int, width: int
) -> np.ndarray:
    """Draws the infrared video beside that of ``demo_set.draw`` with the same arguments: (T, H, W, 3) uint8.

    Temperatures follow from ``where`` alone, as the scene does: nothing but the motion tells the classes apart.

    Args:
        exposures: those of the visible videos: with them a strip light is in the picture.
    """
    scene_rng, noise_rng = np.random.default_rng(where), np.random.default_rng([*where, ACTIONS.index(action), 1])
    warm_rng = np.random.default_rng([*where, len(ACTIONS), 1])
    scene_rng.uniform()  # for the brightness of the visible video
    scene = draw_scene(scene_rng, height, width)
    room = draw_room(scene_rng, scene, height, width)
    scene = temperatures(warm_rng, scene)
    room = room_by_temperature(warm_rng, room, float(scene.colors["around"][0]))
    time = np.arange(frames) / FPS
    figure = figure_in_space(scene, action, time, time[-1])
    clip = np.empty((frames, height, width), dtype=np.float32)
    for at, offset in enumerate(sway(scene, time)):
        picture = shifted(room, offset, height, width)
        camera = scene.camera._replace(column=scene.camera.column + offset[0], horizon=scene.camera.horizon + offset[1])
        draw_seat_and_figure(picture, scene, camera, {name: place[at] for name, place in figure.items()})
        clip[at] = picture[..., 0]
    if exposures:
        top, bottom = (round(share * height) for share in LAMP)
        clip[:, top:bottom] = COOL
    return recorded(noise_rng, clip)
