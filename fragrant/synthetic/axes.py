"""The axes on which drawn clips differ, each a named range; a recipe file may narrow or widen any of them."""

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Axes:
    """Ranges are uniform between their ends, those that say "log" evenly in the logarithm; chances are 0 .. 1."""

    # framing
    figure: Range = (0.22, 1.8)  # log; height of a standing figure, in picture heights
    close_up: float = 0.55  # chance that it is 0.85 or more
    lens: Range = (42.0, 75.0)  # degrees of the picture's width
    camera_height: Range = (0.45, 1.1)  # body heights
    off_centre: float = 0.14  # spread of the figure's place, in picture widths
    still_camera: float = 0.45  # chance
    shake: Range = (0.0005, 0.012)  # log; radians
    lag: Range = (0.02, 0.6)  # seconds that a following camera is late
    drift: float = 0.02  # spread of slow pans, radians per second
    yaw: float = 0.3  # spread of headings across the picture, radians; 0 is the exact side view
    # people
    stature: Range = (0.9, 1.1)  # 1 is the usual height
    girth: Range = (0.85, 1.2)  # 1 is the usual thickness
    dark_clothes: float = 0.5  # chance of each garment
    trousers: float = 0.7  # weights
    shorts: float = 0.2
    skirts: float = 0.1
    jackets: float = 0.2  # chance of an open one
    prints: float = 0.35  # chance of one on the chest
    bags: float = 0.06  # chance of one on the back
    tempo: Range = (0.82, 1.2)  # 1 is the usual number of steps per second
    reach: Range = (0.75, 1.2)  # 1 is the usual swing of arms and legs
    lean: Range = (-0.02, 0.16)  # radians that the upper body hangs forward
    sway: Range = (0.3, 1.5)  # 1 is the usual unrest of somebody who stands
    start: Range = (0.05, 0.6)  # of a single motion (sits down, jumps once), as a share of the clip
    length: Range = (0.7, 1.5)  # of a single motion, in seconds
    phase: Range = (0.0, 1.0)  # of the first step
    # places
    rooms: float = 0.35  # weights
    yards: float = 0.25
    paths: float = 0.2
    streets: float = 0.2
    sideways: float = 0.5  # chance of a heading across the picture; else along the place, or any
    passers_by: float = 0.12  # chance of a second person
    people: Range = (0.0, 0.0)  # number of further ones, who stand or walk about
    clutter: Range = (0.0, 8.0)  # things that stand about
    occluders: Range = (0.0, 0.0)  # posts and low walls before the figure
    windows: Range = (0.0, 5.0)  # windows, doors and posters on each wall of a room
    lit_windows: float = 0.3  # chance that one of them is bright
    texture: Range = (1.0, 1.0)  # contrast of surfaces, 1 is the usual one
    ambient: Range = (0.004, 0.12)  # log; light from everywhere, beside that of the lamps
    lamps: Range = (0.5, 1.5)  # strength, 1 is the usual one
    street_lamps: Range = (0.0, 0.0)  # number of lampposts, outdoors
    shadow: Range = (0.2, 0.75)  # depth of the shadow below people
    wet: float = 0.15  # chance of a ground that mirrors lamps
    # the camera's sensor
    luma: Range = (0.028, 0.13)  # log; mean of the picture, of 1
    gamma: Range = (1.2, 2.2)
    crush: Range = (0.0, 0.4)  # light that is lost in the shadows, of the median
    black: Range = (0.003, 0.018)  # raised black level
    saturation: Range = (0.25, 0.9)  # of colours, 1 is all of it
    cast: float = 0.045  # spread of the colour cast
    photon_noise: Range = (0.0005, 0.012)  # log; of light 1
    read_noise: Range = (0.0003, 0.004)  # log
    denoise: Range = (0.3, 1.6)  # pixels; how smooth the noise and the picture are
    defocus: Range = (0.1, 0.6)  # pixels
    sharpen: Range = (-0.3, 1.2)  # by the camera, negative is none
    hot_pixels: float = 0.1  # chance
    banding: float = 0.1  # chance
    rolling_gain: float = 0.5  # chance that the exposure follows the picture
    vignette: Range = (0.0, 0.5)
    motion_blur: float = 0.25  # chance
    noise_reduction: float = 0.5  # chance of smoothing over time
    crf: Range = (15.0, 25.0)  # quality of H.264, higher is worse


# What a recipe may say for each axis.
KINDS: dict[str, tuple[float, float]] = {
    "figure": (0.05, 5),
    "lens": (10, 110),
    "stature": (0.4, 1.6),
    "girth": (0.5, 2),
    "tempo": (0.2, 3),
    "reach": (0.1, 2),
    "lean": (-0.5, 1),
    "sway": (0, 5),
    "start": (0, 0.9),
    "length": (0.2, 10),
    "phase": (0, 1),
    "yaw": (0, 1.5),
    "clutter": (0, 60),
    "people": (0, 12),
    "occluders": (0, 8),
    "windows": (0, 20),
    "texture": (0, 3),
    "street_lamps": (0, 10),
    "ambient": (1e-4, 3),
    "lamps": (0, 20),
    "camera_height": (0.05, 4),
    "off_centre": (0, 0.4),
    "shake": (1e-6, 0.1),
    "lag": (0, 5),
    "drift": (0, 0.5),
    "luma": (0.005, 0.8),
    "gamma": (1, 3),
    "crush": (0, 2),
    "black": (0, 0.2),
    "saturation": (0, 1.5),
    "cast": (0, 0.5),
    "photon_noise": (1e-7, 0.1),
    "read_noise": (1e-7, 0.1),
    "denoise": (0, 3),
    "defocus": (0, 3),
    "sharpen": (-1, 3),
    "crf": (0, 45),
}
_SHARES = (
    "close_up still_camera rooms yards paths streets sideways passers_by hot_pixels banding "
    "rolling_gain vignette dark_clothes shadow wet motion_blur noise_reduction "
    "trousers shorts skirts jackets prints bags lit_windows"
)
KINDS |= dict.fromkeys(_SHARES.split(), (0, 1))


def pick(rng: np.random.Generator, ends: Range, log: bool = False) -> float:
    """A number between two, evenly, or evenly in the logarithm."""
    if log:
        return float(np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]))))
    return float(rng.uniform(*ends))
