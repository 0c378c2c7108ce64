"""Tracks of drawn figures: through the crops of training clips, their files, their messages."""

import random

import numpy as np
import pytest
import torch

from fragrant.data.clips import VideoFrames, make_batch
from fragrant.data.figures import Track, check_tracks, read_track
from fragrant.data.lists.records import RecordList, VideoRecord
from fragrant.data.transforms.view_transforms import TrainTransform
from fragrant.data.video.row_of_frames import VideoError
from fragrant.data.views import View
from fragrant.errors import UserError
from fragrant.synthetic.track import ENDING, JOINTS, MOTION, write_track

WAYS = {
    "jittered": dict(crop_size=48, jitter_scales=(50, 90)),
    "gamma": dict(crop_size=48, jitter_scales=(50, 90), gamma=(0.5, 2.0)),
    "resized": dict(crop_size=64, jitter_scales=(0, 0), areas=(0.3, 1.0), aspects=(0.7, 1.4)),
    "resized after a short side": dict(
        crop_size=40, jitter_scales=(0, 0), areas=(0.3, 1.0), aspects=(0.7, 1.4), short_side=50
    ),
    "scales": dict(crop_size=32, jitter_scales=(0, 0), scales=(1.0, 0.75), flip=False),
}


def spot(column: float, row: float, height: int = 72, width: int = 96) -> torch.Tensor:
    """A frame that is bright at one place, (1, H, W, 3)."""
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    away = (columns - column * width).square() + (rows - row * height).square()
    return (255 * torch.exp(-away / 12)).to(torch.uint8)[None, :, :, None].repeat(1, 1, 1, 3)


@pytest.mark.parametrize("way", WAYS)
def test_points_go_where_their_pixels_go(way):
    transform, moved, seen = TrainTransform(**WAYS[way]), [], set()
    for seed in range(40):
        frames, point = spot(0.4, 0.55), torch.tensor([0.4, 0.55])
        clip = transform(transform.prepare(frames), None, random.Random(seed))[0, :, :, 0].float()
        (column, row), mirrored = transform.traced((72, 96), point, random.Random(seed))
        column = 1 - column if mirrored else column
        seen.add(mirrored)
        side = transform.crop_size
        if not (0.2 < column < 0.8 and 0.2 < row < 0.8):
            continue
        weight = clip / clip.sum()
        found_row = float((weight.sum(1) * (torch.arange(side) + 0.5)).sum()) / side
        found_column = float((weight.sum(0) * (torch.arange(side) + 0.5)).sum()) / side
        assert abs(found_row - row) < 0.02 and abs(found_column - column) < 0.02
        moved.append((float(column), float(row)))
    assert len(set(moved)) > 5 and seen == ({False, True} if transform.flip else {False})


def test_left_is_right_in_a_mirror():
    joints = torch.rand(2, len(JOINTS), 2)
    track = Track(joints, torch.rand(2, len(MOTION)))
    mirrored = track.mirrored()
    left, right = JOINTS.index("left hand"), JOINTS.index("right hand")
    assert torch.equal(mirrored.joints[:, left, 1], joints[:, right, 1])
    torch.testing.assert_close(mirrored.joints[:, left, 0], 1 - joints[:, right, 0])
    torch.testing.assert_close(mirrored.joints[:, 0, 0], 1 - joints[:, 0, 0])
    torch.testing.assert_close(mirrored.mirrored().joints, joints)


def test_a_clip_has_the_track_of_its_frames():
    track = Track(torch.full((3, len(JOINTS), 2), 0.5), torch.arange(3.0)[:, None].repeat(1, len(MOTION)))
    frames = torch.zeros(3, 40, 40, 3, dtype=torch.uint8)
    video = VideoFrames(frames, [4, 7, 9], [View((9, 4), None)], "seed", 1, 0, figure=track)
    transform = TrainTransform(crop_size=32, jitter_scales=(40, 40))
    batch = make_batch([video.clips(transform), video.clips(transform)])
    assert batch.figures.motion.shape == (2, 1, 2, len(MOTION))
    assert batch.figures.motion[0, 0, :, 0].tolist() == [2.0, 0.0]
    assert batch.to(torch.device("cpu")).figures.joints.shape == (2, 1, 2, len(JOINTS), 2)


@pytest.fixture()
def track_of_a_video(tmp_path):
    joints = np.random.rand(5, len(JOINTS), 2).astype(np.float32)
    motion = np.random.rand(5, len(MOTION)).astype(np.float32)
    names = {"joint_names": np.array(JOINTS), "motion_names": np.array(MOTION)}
    write_track(tmp_path / "a.mp4", {"joints": joints, "motion": motion, **names})
    return tmp_path / "a.mp4", joints


def test_what_is_drawn_can_be_read(track_of_a_video):
    video, joints = track_of_a_video
    assert np.array_equal(read_track(str(video), [3, 0]).joints.numpy(), joints[[3, 0]])


@pytest.mark.parametrize("damage", ["cut", "short", "pickle", "other"])
def test_a_bad_track_is_one_line(track_of_a_video, damage):
    video, joints = track_of_a_video
    path = video.with_suffix(ENDING)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "pickle":
        np.savez(path, joint_names=np.array([{}], dtype=object), joints=joints, motion=joints)
    elif damage == "other":
        np.savez(path, joint_names=np.array(JOINTS), joints=joints[:, :, :1], motion=joints[:, :2, 0])
    with pytest.raises(VideoError, match=r"a\.figure\.npz") as error:
        read_track(str(video), [0, 99] if damage == "short" else [0, 1])
    assert "\n" not in str(error.value)


def test_a_video_without_a_track_is_unknown(tmp_path, track_of_a_video):
    video, _ = track_of_a_video
    assert read_track(str(tmp_path / "real.mp4"), [0, 1]).joints.isnan().all()
    real, drawn = VideoRecord(str(tmp_path / "real.mp4"), 0), VideoRecord(str(video), 0)
    check_tracks(RecordList([real, drawn]))
    with pytest.raises(UserError, match="not one video of <1 records> has a track"):
        check_tracks(RecordList([real]))
