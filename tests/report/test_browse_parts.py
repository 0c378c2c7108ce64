"""The parts of the page of a data set: previews, histograms, which videos are picked."""

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from fragrant.data.clips import ClipDataset
from fragrant.data.lists.records import RecordList, VideoRecord
from fragrant.data.transforms.view_transforms import TrainTransform
from fragrant.data.video.frames import open_frames
from fragrant.data.views import train_plan
from fragrant.layers.normalize import ClipNormalize
from fragrant.report.browse.augmented import as_pixels, draws_of, one_draw
from fragrant.report.browse.histogram import by_kind, histogram, round_step
from fragrant.report.browse.look import look_at, look_at_all, shown_of, some_of
from fragrant.report.browse.preview import preview, preview_numbers


def picture_of(src: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(src.removeprefix("data:image/jpeg;base64,"))))


@pytest.mark.parametrize(
    "num_frames, fps, expected",
    [
        (300, 30.0, [122 + 5 * at for at in range(12)]),  # two seconds from the middle
        (300, None, [122 + 5 * at for at in range(12)]),
        (48, 25.0, [1 + 4 * at for at in range(12)]),  # all that there are
        (10, 30.0, list(range(10))),  # too short for its own speed
        (30, 60.0, [round(at * 29 / 11) for at in range(12)]),
        (1, 30.0, [0]),
        (12, 2.0, list(range(12))),
    ],
)
def test_frames_of_a_preview(num_frames, fps, expected):
    found = preview_numbers(num_frames, fps)
    assert found == expected and 0 <= found[0] and found[-1] < num_frames


def test_a_preview_is_a_row_of_small_brightened_frames():
    frames = torch.full((5, 120, 160, 3), 18, dtype=torch.uint8)
    frames[3] = 30
    found = preview(frames, seconds=1.234)
    picture = picture_of(found.src)
    assert (found.frames, found.width, found.height, found.seconds) == (5, 112, 84, 1.23)
    assert picture.size == (5 * 112, 84)
    pixels = np.asarray(picture)
    assert found.gamma == 2.5 or found.gamma == 3.0
    assert abs(int(pixels[40, 50, 0]) - 255 * (18 / 255) ** (1 / found.gamma)) < 4
    # what the page's filter makes of it is as dark as the video
    assert 255 * (int(pixels[40, 3 * 112 + 50, 0]) / 255) ** found.gamma == pytest.approx(30, abs=2)


@pytest.mark.parametrize("size, expected", [((200, 1000), (32, 160)), ((40, 30), (40, 30)), ((500, 100), (84, 17))])
def test_size_of_a_preview(size, expected):
    found = preview(torch.zeros(2, *size, 3, dtype=torch.uint8), seconds=1)
    assert (found.height, found.width) == expected and found.gamma <= 5


@pytest.mark.parametrize(
    "span, count, step", [(10, 20, 0.5), (100, 20, 5), (1, 20, 0.05), (7, 20, 0.5), (3000, 20, 200)]
)
def test_round_step(span, count, step):
    assert round_step(span, count) == pytest.approx(step)


def test_histogram():
    bars = histogram([1.0, 1.2, 2.6, 9.0], [0, 1, 0, 1], 2)
    assert sum(sum(bar.counts) for bar in bars) == 4
    assert bars[0].counts == [1, 1] and bars[0].label == "1 – 1.5" and bars[-1].counts == [0, 1]
    assert bars[3].counts == [1, 0] and bars[3].label == "2.5 – 3"


def test_histogram_with_one_far_away():
    bars = histogram([*(1 + at / 1000 for at in range(1000)), 500.0], [0] * 1001, 1)
    assert len(bars) <= 21 and bars[-1].label.startswith("from ") and sum(bar.counts[0] for bar in bars) == 1001


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [3, 3, 3], [1e-9, 2e-9], [240.0] * 4])
def test_histogram_of_equal_values(values):
    bars = histogram(values, [0] * len(values), 1)
    assert len(bars) == 1 and bars[0].counts == [len(values)]
    assert histogram([], [], 1) == []


def test_histogram_of_whole_numbers():
    assert [bar.label for bar in histogram([3, 4, 6], [0] * 3, 1, whole=True)] == ["3", "4", "5", "6"]
    assert histogram([0, 200], [0] * 2, 1, whole=True)[0].label == "0 – 9"


def test_kinds():
    assert by_kind(["a", "b", "a"], [0, 1, 1], 2) == [("a", [1, 1]), ("b", [0, 1])]
    many = by_kind([*map(str, range(15)), "3"], [0] * 16, 1)
    assert len(many) == 11 and many[0] == ("3", [2]) and many[-1] == ("5 others", [5])


def records_of(*labels) -> RecordList:
    return RecordList([VideoRecord(f"{at}.mp4", label) for at, label in enumerate(labels)], source="x.csv")


def test_some_of_a_list_are_of_every_class():
    records = records_of(*[0] * 90, *[1] * 9, 2)
    some = some_of(records, 20)
    assert [int((some.labels == k).sum()) for k in range(3)] == [18, 1, 1]
    assert some.where(0) == "x.csv:1" and some_of(records, 0) is records and some_of(records, 100) is records


def test_which_have_a_preview():
    assert shown_of([records_of(0, 0, 0, 0, 0, 1)], 2) == {"0.mp4", "4.mp4", "5.mp4"}
    assert shown_of([records_of((0, 1), 0), records_of(-1)], 1) == {"0.mp4"}  # the same path in both lists
    assert shown_of([records_of(0)], 0) == set()


def test_a_look_at_what_cannot_be_read(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((6, 20, 30, 3), np.uint8))
    (tmp_path / "b.mp4").write_text("no video")
    paths = [str(tmp_path / name) for name in ("a.npy", "b.mp4", "c.mp4")]
    seen = look_at_all(paths, set(paths), workers=1, open_frames=open_frames)
    assert seen[paths[0]].preview.frames == 6 and seen[paths[0]].probe.frames == 6
    assert all(seen[path].preview is None and seen[path].probe.error for path in paths[1:])
    assert look_at((paths[0], False), open_frames=open_frames).preview is None


def test_draws_are_the_clips_of_the_training(tmp_path):
    frames = np.random.RandomState(0).randint(0, 90, (12, 20, 30, 3)).astype(np.uint8)
    np.save(tmp_path / "a.npy", frames)
    records = RecordList([VideoRecord(str(tmp_path / "gone.npy"), 1), VideoRecord(str(tmp_path / "a.npy"), 0)])
    transform = TrainTransform(crop_size=16, jitter_scales=(16, 24), gamma=(1.0, 3.0))
    how = {"seed": 5, "replace": True, "hand_over": math.inf}
    dataset = ClipDataset(records, train_plan(length=4, stride=2), transform, **how)
    normalize = ClipNormalize([0.2] * 3, [0.1] * 3, reverse_channels=True)
    seen = []

    def prepare(clips, keys):
        seen.append((clips, keys))
        return normalize(clips)

    found = draws_of((1, "sit"), dataset=dataset, count=2, prepare=prepare, normalizations=[normalize])
    assert [draw.epoch for draw in found.draws] == [1, 2] and found.label == "sit" and found.original.frames == 4
    for epoch, (clips, keys) in enumerate(seen):
        assert torch.equal(clips[0], dataset.clips_of((epoch, 1)).clips[0].permute(3, 0, 1, 2))
        assert keys == [f"5-{epoch}-1-0-erase"]
    assert found.draws[0].mean == [round(float(normalize(seen[0][0]).mean()), 2)]
    lost = draws_of((0, "run"), dataset=dataset, count=2, prepare=prepare, normalizations=[normalize])
    assert not lost.draws and "cannot be read" in lost.why
    assert one_draw(dataset[(0, 1)], dataset, prepare, [normalize], 0) == found.draws[0]


def test_pixels_of_every_stream_come_back():
    normalizations = [ClipNormalize([0.2] * 3, [0.1] * 3), ClipNormalize([0.5] * 3, [0.3] * 3, reverse_channels=True)]
    clips = torch.randint(256, (1, 3, 2, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    prepared = torch.cat([normalize(clips) for normalize in normalizations], 1)
    for pixels in as_pixels(prepared, normalizations):
        assert torch.equal(pixels, clips[0].permute(1, 2, 3, 0))
