"""What only the drawing knows: where the joints of a figure are in every picture, and how it moves in space.

A network that has to tell both while it learns an action looks at the figure and not at the place; real videos need
none of it."""

from pathlib import Path

import numpy as np

from fragrant.files import written_whole
from fragrant.synthetic.camera import Camera
from fragrant.synthetic.skeleton import Skeleton

ENDING = ".figure.npz"
JOINTS = (
    *("head", "chest", "pelvis", "left hand", "right hand"),
    *("left knee", "right knee", "left ankle", "right ankle"),
)
# Lengths in body heights, each as large as the others on average, and the same for a mirrored picture.
MOTION = (
    *("height of the pelvis", "rise of the pelvis", "speed over ground", "speed away from the camera"),
    *("speed of turning", "distance of the ankles", "head above the pelvis", "higher hand above the pelvis"),
    *("facing the camera or away", "speed of the left hand", "speed of the left ankle"),
)
BESIDE = 0.1  # seconds before and after a picture that its speeds are measured over


def _speed(values: np.ndarray, fps: float) -> np.ndarray:
    """Change per second (T, ...)."""
    reach, at = max(1, round(BESIDE * fps)), np.arange(len(values))
    before, after = np.maximum(at - reach, 0), np.minimum(at + reach, len(values) - 1)
    seconds = np.maximum(after - before, 1) / fps
    return (values[after] - values[before]) / seconds.reshape(-1, *[1] * (values.ndim - 1))


def _moves(body: Skeleton, scale: float, fps: float) -> np.ndarray:
    """MOTION of every picture: (T, 11)"""
    at, facing = body.at, body.turned["pelvis"][:, :, 0]
    pelvis, hands = at["pelvis"], np.stack([at["left hand"], at["right hand"]])
    moved, yaw = _speed(pelvis, fps), np.unwrap(np.arctan2(facing[:, 2], facing[:, 0]))

    def against_pelvis(joint: str) -> np.ndarray:
        return np.linalg.norm(_speed(at[joint], fps) - moved, axis=-1)

    return np.stack(
        [
            4 * pelvis[:, 1] / scale - 1.5,
            2 * moved[:, 1],
            np.hypot(moved[:, 0], moved[:, 2]),
            moved[:, 2],
            np.abs(_speed(yaw, fps)),
            2 * np.abs(at["left ankle"] - at["right ankle"]).sum(-1),
            4 * (at["head"] - pelvis)[:, 1] - 1,
            3 * (hands - pelvis)[:, :, 1].max(0),
            2 * np.abs(facing[:, 2]) - 1,
            against_pelvis("left hand"),
            against_pelvis("left ankle"),
        ],
        axis=1,
    )


def track(
    body: Skeleton, camera: Camera, corner: np.ndarray, size: tuple[int, int], scale: float, fps: float
) -> dict[str, np.ndarray]:
    """The track of a figure.

    Args:
        corner: (T, 2) where the pictures' upper left corners look, as ``Camera.project`` counts.
        size: (width, height) of the pictures.
        scale: height of the figure, 1 is the usual one.
        fps: bodies per second.

    Returns:
        "joints" (T, 9, 2), columns and rows as shares of the picture, outside of 0 .. 1 where a joint is not in it;
        "motion" (T, 11); and the names of both.
    """
    world = np.stack([body.at[name] for name in JOINTS], 1)
    joints = (camera.project(world)[..., :2] - corner[:, None]) / np.array(size)
    motion = np.clip(_moves(body, scale, fps), -4, 4)
    return {
        "joint_names": np.array(JOINTS),
        "joints": np.clip(joints, -9, 9).astype(np.float32),
        "motion_names": np.array(MOTION),
        "motion": motion.astype(np.float32),
    }


def write_track(video: Path, tracked: dict[str, np.ndarray]) -> None:
    """Writes a track beside its video."""
    with written_whole(video.with_suffix(ENDING), own_name="track", durable=False) as file:
        np.savez(file, allow_pickle=False, **tracked)
