"""What drawn videos bring along: a track, where the joints of their figure are in every frame and how it moves."""

import os
import zlib
from collections.abc import Sequence
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from fragrant.data.lists.records import RecordList
from fragrant.data.video.row_of_frames import VideoError
from fragrant.errors import UserError
from fragrant.synthetic.track import ENDING, JOINTS, MOTION


class Track(NamedTuple):
    """The figure in some frames.

    Attributes:
        joints: (T, 9, 2) columns and rows as shares of the frame; outside of 0 .. 1: not in it; NaN: nobody knows.
        motion: (T, 11) see ``synthetic.track.MOTION``; a mirrored frame has the same.
    """

    joints: Tensor
    motion: Tensor

    def at(self, rows: Sequence[int]) -> "Track":
        return Track(self.joints[rows], self.motion[rows])

    def mirrored(self) -> "Track":
        """The track of mirrored frames: left is right."""
        other = [JOINTS.index(_other_side(name)) for name in JOINTS]
        return self._replace(joints=(self.joints * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0]))[:, other])


def _other_side(name: str) -> str:
    side, _, joint = name.partition(" ")
    return {"left": f"right {joint}", "right": f"left {joint}"}.get(side, name)


def check_tracks(records: RecordList) -> None:
    """Checks that some of the videos have a track; real ones among them need none.

    Raises:
        UserError: none has.
    """
    if not any(os.path.exists(_track_of(record.path)) for record in records):
        raise UserError(
            f"TRAIN.OBJECTIVE figure: not one video of {records!r} has a track beside it "
            f"({_track_of(records[0].path)}); tools/make_videos.py writes such files, real videos have none: "
            "add drawn ones, or set TRAIN.OBJECTIVE classify"
        )


def _track_of(video: str) -> str:
    return video.rpartition(".")[0] + ENDING


def read_track(video: str, numbers: Sequence[int]) -> Track:
    """Reads the track of some frames of a video; of a video that has none, NaN.

    Raises:
        VideoError: what is there is no track, or not one of all frames; the video counts as unreadable.
    """
    path = _track_of(video)
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [str(name) for name in file["joint_names"]]
            joints = torch.from_numpy(file["joints"][:, [names.index(name) for name in JOINTS]][list(numbers)])
            motion = torch.from_numpy(file["motion"][list(numbers)])
    except FileNotFoundError:
        unknown = torch.full((len(numbers), len(JOINTS), 2), torch.nan)
        return Track(unknown, torch.full((len(numbers), len(MOTION)), torch.nan))
    except (OSError, ValueError, KeyError, IndexError, EOFError, TypeError, BadZipFile, zlib.error) as error:
        raise VideoError(f"'{path}' is no track of its video's figure: {error}") from error
    if joints.shape[1:] != (len(JOINTS), 2) or motion.shape[1:] != (len(MOTION),):
        raise VideoError(f"'{path}' is no track of its video's figure: sizes {joints.shape} and {motion.shape}")
    return Track(joints.float(), motion.float())
