"""One video: its clips, its batch, what happens when it cannot be read."""

import math
import random

import pytest
import torch
from make_video import decode_all, encode

from fragrant.data.clips import Batch, ClipDataset, Skipped, Unreadable, VideoClips, collate, mean_luma
from fragrant.data.lists.records import VideoRecord, read_list
from fragrant.data.transforms.view_transforms import EvaluationTransform, TrainTransform
from fragrant.data.video.frames import open_frames
from fragrant.data.views import View, evaluation_plan, train_plan

CROP = EvaluationTransform(crop_size=48, short_side=48)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, num_frames in (("long.mp4", 60), ("short.mp4", 5), ("tall.mp4", 20)):
        size = {"height": 64, "width": 48} if name == "tall.mp4" else {}
        encode(folder / name, num_frames, options={"g": "12"}, **size)
    (folder / "list.txt").write_text("long.mp4 2\nshort.mp4 0\ntall.mp4 1\n")
    return folder


def dataset_of(folder, plan, transform=CROP, seed=0, **options):
    return ClipDataset(read_list(folder / "list.txt"), plan, transform, seed=seed, **options)


def test_test_views_are_crops_of_the_right_frames(videos):
    dataset = dataset_of(videos, evaluation_plan(length=4, stride=4, clips=2, crops=3, offset=True))
    clips, views, label, video_id, *_ = dataset[(0, 0)]
    assert (label, video_id) == (2, 0)
    assert views == (0, 1, 2, 3, 4, 5) and clips.shape == (6, 4, 48, 48, 3) and clips.dtype == torch.uint8
    frames = torch.from_numpy(decode_all(videos / "long.mp4"))  # (60, 48, 64, 3)
    for row, (numbers, left) in enumerate([(n, x) for n in ([0, 5, 10, 15], [44, 49, 54, 59]) for x in (0, 8, 16)]):
        assert torch.equal(clips[row], frames[numbers, :, left : left + 48]), row


def test_tall_videos_are_cropped_from_top_to_bottom(videos):
    clips = dataset_of(videos, evaluation_plan(length=2, stride=2, crops=3))[(0, 2)].clips
    frames = torch.from_numpy(decode_all(videos / "tall.mp4"))
    assert all(torch.equal(clips[row], frames[[0, 3], top : top + 48]) for row, top in enumerate((0, 8, 16)))


def test_a_short_video_repeats_its_last_frame(videos):
    clips = dataset_of(videos, evaluation_plan(length=4, stride=4))[(0, 1)].clips
    frames = torch.from_numpy(decode_all(videos / "short.mp4"))
    assert torch.equal(clips[0], frames[[0, 4, 4, 4], :, 8:56])


def test_a_video_is_opened_once_and_the_union_of_its_frames_decoded_once(videos, monkeypatch):
    asked = []

    def watched(path):
        frames = open_frames(path)
        read = frames.read
        monkeypatch.setattr(frames, "read", lambda numbers: asked.append(list(numbers)) or read(numbers))
        return frames

    dataset_of(videos, evaluation_plan(length=4, stride=10, clips=3, crops=3, offset=True), open_frames=watched)[(0, 0)]
    assert asked == [[0, 10, 13, 20, 23, 26, 33, 36, 39, 46, 49, 59]]


def test_frames_that_a_view_repeats_are_transformed_once(videos):
    seen = []

    class Watched(EvaluationTransform):
        def __call__(self, frames, where, rng):
            seen.append(len(frames))
            return super().__call__(frames, where, rng)

    clips = dataset_of(videos, evaluation_plan(length=8, stride=8), Watched(crop_size=48, short_side=48))[(0, 1)].clips
    assert seen == [2] and clips.shape[1] == 8


TRAIN = TrainTransform(crop_size=32, jitter_scales=(36, 48))


def test_random_clips_depend_on_seed_epoch_id_and_view_alone(videos):
    plan = train_plan(length=4, stride=4, views=2)
    dataset = dataset_of(videos, plan, TRAIN)
    first = dataset[(3, 0)].clips
    dataset[(0, 1)], random.random(), torch.rand(3)  # whatever happens in between
    assert torch.equal(first, dataset[(3, 0)].clips)
    assert torch.equal(first, dataset_of(videos, plan, TRAIN)[(3, 0)].clips)
    others = [dataset[(4, 0)].clips, dataset_of(videos, plan, TRAIN, seed=1)[(3, 0)].clips, first.flip(0)]
    assert not any(torch.equal(first, other) for other in others)


def test_a_view_keeps_its_crop_when_others_are_added(videos):
    """Crops are drawn per view: NUM_SAMPLE or another plan does not shift them."""

    def plan(views):
        return lambda num_frames, rng, *, fps=None: [View((0, 2), None)] * views

    one, three = (dataset_of(videos, plan(views), TRAIN)[(0, 0)].clips for views in (1, 3))
    assert torch.equal(one[0], three[0]) and not torch.equal(three[0], three[1])


def test_clips_may_be_float_and_not_rounded(videos):
    transform = EvaluationTransform(crop_size=32, short_side=32, dtype=torch.float32)
    clips = dataset_of(videos, evaluation_plan(length=2, stride=2), transform)[(0, 0)].clips
    assert clips.dtype == torch.float32 and (clips != clips.round()).any() and clips.max() > 1


def test_seconds_instead_of_frames(tmp_path):
    encode(tmp_path / "fast.mp4", 60, fps=60)
    dataset = ClipDataset(
        [VideoRecord(str(tmp_path / "fast.mp4"), 0)], evaluation_plan(length=3, stride=4, target_fps=30), CROP, seed=0
    )
    frames = torch.from_numpy(decode_all(tmp_path / "fast.mp4"))
    assert torch.equal(dataset[(0, 0)].clips[0], frames[[0, 11, 23], :, 8:56])


def test_an_unreadable_video_is_a_value_that_says_where(tmp_path):
    (tmp_path / "list.txt").write_text("# ours\ngone.mp4 0\n")
    item = dataset_of(tmp_path, evaluation_plan(length=2, stride=2))[(0, 0)]
    reason, where = "video 'gone.mp4' cannot be read: no such file", f"{tmp_path / 'list.txt'}:2"
    assert item == Unreadable((Skipped(0, reason, where),))
    assert item.message == f"{reason} ({where})" and item.reason == reason


def test_views_of_a_short_video_that_are_the_same_are_made_once(videos):
    made = []

    class Watched(EvaluationTransform):
        def __call__(self, frames, where, rng):
            made.append(where)
            return super().__call__(frames, where, rng)

    plan = evaluation_plan(length=8, stride=8, clips=4, crops=3)
    item = dataset_of(videos, plan, Watched(crop_size=48, short_side=48))[(0, 1)]  # 5 frames: all clips begin at 0
    assert made == [0, 0.5, 1] and len(item.clips) == 3 and item.views == (0, 1, 2) * 4
    made.clear()
    dataset_of(videos, plan, Watched(crop_size=40, short_side=48))[(0, 0)]
    assert len(made) == 3  # 60 frames, the clips span 64


# ---------------------------------------------------------------------------------------------------------- replacement
@pytest.fixture
def partly_broken(tmp_path):
    """Videos 0, 2, 4, 6 of class 0, of which 2 and 4 are broken; 1, 3, 5, 7 of class 1."""
    for number in range(8):
        encode(tmp_path / f"{number}.mp4", 12, seed=number)
    for number in (2, 4):
        (tmp_path / f"{number}.mp4").write_bytes(b"nothing")
    (tmp_path / "list.txt").write_text("".join(f"{number}.mp4 {number % 2}\n" for number in range(8)))
    return tmp_path


def test_another_of_its_class_takes_the_place_of_an_unreadable_video(partly_broken):
    plan = train_plan(length=4, stride=2)
    dataset = dataset_of(partly_broken, plan, TRAIN, replace=True)
    seen = set()
    for epoch in range(12):
        got = dataset[(epoch, 4)]
        assert got.label == 0 and got.id in (0, 6) and got.skipped[0].id == 4
        assert {skipped.id for skipped in got.skipped} <= {2, 4}
        assert got.skipped[0].message.endswith(
            f"Invalid data found when processing input ({partly_broken / 'list.txt'}:5)"
        )
        again = dataset_of(partly_broken, plan, TRAIN, replace=True)[(epoch, 4)]
        assert again.id == got.id and torch.equal(again.clips, got.clips)
        seen.add((got.id, len(got.skipped)))
    assert {video_id for video_id, _ in seen} == {0, 6} and {count for _, count in seen} == {1, 2}
    assert dataset[(0, 3)].skipped == () and dataset[(0, 3)].id == 3


def test_the_clip_of_a_replacement_is_of_the_video_that_it_names(partly_broken):
    """Its pixels, its id and its label belong together."""
    dataset = dataset_of(partly_broken, evaluation_plan(length=2, stride=2), replace=True)
    got = dataset[(0, 4)]
    assert torch.equal(got.clips, dataset[(0, got.id)].clips)


def test_a_class_that_cannot_be_read_at_all(tmp_path):
    (tmp_path / "list.txt").write_text("a.mp4 0\nb.mp4 0\nc.mp4 1\n")
    got = dataset_of(tmp_path, train_plan(length=2, stride=2), TRAIN, replace=True)[(0, 0)]
    assert isinstance(got, Unreadable) and [skipped.id for skipped in got.skipped] == [0, 1]


# ----------------------------------------------------------------------------------------------------------- brightness
def test_mean_luma_is_that_of_the_pixels():
    frames = torch.zeros(2, 4, 6, 3, dtype=torch.uint8)
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        frames.zero_()[..., channel] = 255
        assert mean_luma(frames) == pytest.approx(weight)
    frames = torch.randint(0, 256, (3, 5, 7, 3), dtype=torch.uint8)
    by_hand = (frames.double() / 255 * torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)).sum(-1).mean().item()
    assert mean_luma(frames) == pytest.approx(by_hand, abs=1e-12)


def test_luma_is_of_the_whole_decoded_frames_before_any_transform(videos):
    class Brighter(EvaluationTransform):
        def prepare(self, frames):
            return super().prepare(frames).fill_(255)

    records, plan = read_list(videos / "list.txt"), evaluation_plan(length=4, stride=4, clips=2)
    transform = Brighter(crop_size=48, short_side=48)
    measured, plain = (
        ClipDataset(records, plan, transform, seed=0, measure_luma=luma)[(0, 0)] for luma in (True, False)
    )
    with open_frames(records[0].path) as frames:
        views = plan(len(frames), random.Random())
        used = frames.read(sorted({number for view in views for number in view.frames}))
    assert measured.luma == mean_luma(used) < 0.9 and math.isnan(plain.luma)
    assert collate([measured, plain]).batch.luma[0].item() == pytest.approx(measured.luma)


# -------------------------------------------------------------------------------------------------------------- batches
def item(video_id, label=1, views=(0, 1, 2)):
    return VideoClips(torch.randint(0, 256, (max(views) + 1, 4, 6, 6, 3), dtype=torch.uint8), views, label, video_id)


def test_a_batch_is_channels_last_without_a_copy():
    items = [item(5), item(2, label=0)]
    batch, skipped, incomplete = collate(items)
    assert not skipped and not incomplete
    assert batch.clips.shape == (2, 3, 3, 4, 6, 6)
    assert batch.labels.tolist() == [1, 0] and batch.ids.tolist() == [5, 2]
    flat = batch.clips.flatten(0, 1)
    assert flat.data_ptr() == batch.clips.data_ptr()
    assert flat.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(batch.clips[1, 2], items[1].clips[2].permute(3, 0, 1, 2))


def test_views_that_show_the_same_share_a_clip():
    few, many = item(0, views=(0, 0, 1)), item(1)
    batch = collate([few, many]).batch
    assert batch.clips.shape[:2] == (2, 3) and batch.views.tolist() == [[0, 0, 1], [0, 1, 2]]
    shown = batch.clips.take_along_dim(batch.views[:, :, None, None, None, None], dim=1).permute(0, 1, 3, 4, 5, 2)
    assert torch.equal(shown[0], few.clips[[0, 0, 1]]) and torch.equal(shown[1], many.clips)
    assert collate([few]).batch.clips.shape[:2] == (1, 2)


def test_unreadable_videos_are_left_out_of_the_batch():
    first, second = Skipped(3, "first"), Skipped(4, "second")
    batch, skipped, incomplete = collate([Unreadable((first,)), item(0), item(1)._replace(skipped=(second,))])
    assert batch.ids.tolist() == [0, 1] and skipped == [first, second] and incomplete
    assert not collate([item(1)._replace(skipped=(second,))]).incomplete
    assert collate([Unreadable((first, second))]) == (None, [first, second], True)


def test_several_labels_are_a_row_of_yes_and_no(videos):
    records = [record._replace(label=record.label or (0, 3)) for record in read_list(videos / "list.txt")]
    records.append(records[0]._replace(label=-1))
    dataset = ClipDataset(records, evaluation_plan(length=2, stride=2), CROP, seed=0, several_of=4)
    batch = collate([dataset[(0, i)] for i in range(4)]).batch
    assert batch.labels.dtype == torch.bool
    assert batch.labels.int().tolist() == [[0, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_moving_a_batch_keeps_its_layout():
    moved = collate([item(0)]).batch.to(torch.device("cpu"))
    assert isinstance(moved, Batch)
    assert moved.clips.flatten(0, 1).is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.cuda
def test_a_pinned_batch_keeps_its_layout_on_the_gpu():
    batch = collate([item(0), item(1)]).batch
    pinned = batch.pin_memory()
    moved = pinned.to(torch.device("cuda"))
    assert pinned.clips.is_pinned() and moved.clips.is_cuda
    for clips in (pinned.clips, moved.clips):
        assert clips.flatten(0, 1).is_contiguous(memory_format=torch.channels_last_3d)
        assert torch.equal(clips.cpu(), batch.clips)
