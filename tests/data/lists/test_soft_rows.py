"""Lists with probabilities as targets: what is read, what is written, what every error says."""

import json

import pytest
import torch

from fragrant.data.clips import ClipDataset, make_batch
from fragrant.data.lists.pseudo import clips_behind
from fragrant.data.lists.records import (
    ListError,
    RecordList,
    VideoRecord,
    format_list,
    read_list,
    read_list_and_faults,
    read_unlabelled,
)
from fragrant.data.transforms.view_transforms import EvaluationTransform
from fragrant.data.views import evaluation_plan


def write(tmp_path, text, name="soft.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "path,p0,p1,p2\n/x/a, b.mp4,0.2,0.7,0.1\n/x/c.mp4,1,0,0\n",
        "# made\n'/x/a, b.mp4',0.2,0.7,0.1\n/x/c.mp4,1,0,0\n",
        json.dumps(
            [
                {"path": "/x/a, b.mp4", "probabilities": [0.2, 0.7, 0.1]},
                {"path": "/x/c.mp4", "probabilities": [1, 0, 0]},
            ]
        ),
    ],
    ids=["header", "without", "json"],
)
def test_each_form_reads_alike(tmp_path, text):
    records = read_list(write(tmp_path, text), num_classes=3)
    assert [record.path for record in records] == ["/x/a, b.mp4", "/x/c.mp4"]
    assert records.labels.tolist() == [1, 0] and records.soft == [0, 1]
    assert records.target(0) == pytest.approx((0.2, 0.7, 0.1))
    assert records.pick([1]).target(0) == (1.0, 0.0, 0.0) and len(records[0]) == 3


def test_what_is_written_is_read_back(tmp_path):
    records = [VideoRecord("/x/#a.mp4", 1), VideoRecord("#b.mp4", 0), VideoRecord("/x/c,d.mp4", 1)]
    text = format_list(records, [(0.25, 0.75), None, None])
    back = read_list(write(tmp_path, text), prefix="/y")
    assert [record.path for record in back] == ["/x/#a.mp4", "/y/#b.mp4", "/x/c,d.mp4"]
    assert back.targets == [(0.25, 0.75), (1.0, 0.0), (0.0, 1.0)]
    odd = [VideoRecord("/x/run,0.5", 1), VideoRecord("/x/run,1", 1), VideoRecord("/x/blank ", 1)]  # folders of frames
    text = format_list(odd, [(0.25, 0.75)] * 3)
    assert [record.path for record in read_list(write(tmp_path, text))] == [record.path for record in odd]
    assert format_list(records[:1]) == "/x/#a.mp4 1\n" and RecordList(records).targets == []


@pytest.mark.parametrize(
    "row, told",
    [
        ("/x/b.mp4,0.5,0.3", "the 2 probabilities add up to 0.8; allowed: 1"),
        ("/x/b.mp4,0.5,nan", "p1 is nan; allowed: a number from 0 to 1"),
        ("/x/b.mp4,1.5,-0.5", "p0 is 1.5; allowed"),
        ("/x/b.mp4,1.0", "1 probabilities, in this list every row has 2"),
        ("/x/b.mp4,0.5,0.25,0.25", "3 probabilities, in this list every row has 2"),
        ("/x/b.mp4 3", "0 probabilities, in this list every row has 2"),
        (",0.5,0.5", "no path before the probabilities"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, told):
    path = write(tmp_path, f"path,p0,p1\n/x/a.mp4,0.5,0.5\n{row}\n")
    with pytest.raises(ListError) as caught:
        read_list(path)
    assert str(caught.value).startswith(f"{path}:3: {told}"), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text, told",
    [
        ("path,p1,p0\n/x/a.mp4,0.5,0.5\n", ":1: columns of probabilities must be p0, p1, ... in this order"),
        ('[{"path": "a", "probabilities": 3}]', ":1: entry 1: probabilities is no list of numbers"),
        ('[{"path": "a", "probabilities": [0.5, "x"]}]', ":1: entry 1: p1 is x; allowed"),
        ('[{"probabilities": [0.5, 0.5]}]', "entry 1 has neither vid_name and label"),
        ("path,p0,p1\n", "has no rows"),
    ],
)
def test_a_wrong_list_is_named(tmp_path, text, told):
    with pytest.raises(ListError) as caught:
        read_list(write(tmp_path, text))
    assert told in str(caught.value), caught.value


def test_the_number_of_classes_and_several_labels(tmp_path):
    path = write(tmp_path, "path,p0,p1\n/x/a.mp4,0.5,0.5\n")
    _, faults = read_list_and_faults(path, num_classes=3)
    assert "2 probabilities; allowed: one for each of the 3 classes (MODEL.NUM_CLASSES)" in faults[2]
    with pytest.raises(ListError, match="DATA.MULTI_LABEL True, but this list has probabilities of one class"):
        read_list(path, multi_label=True)


def test_where_nobody_asks_for_labels_they_are_not_read(tmp_path):
    path = write(tmp_path, "path,p0,p1\n/x/a.mp4,0.5,0.5\n")
    records, labelled = read_unlabelled(path)
    assert records == [VideoRecord("/x/a.mp4", -1)] and labelled == 1
    assert read_list(path, label_free=True) == [VideoRecord("/x/a.mp4", 0)]
    assert read_list(path, label_free=True).soft == [] != read_list(path).soft


class Frames:
    """Eight grey frames of any path."""

    fps = 30.0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __len__(self):
        return 8

    def read(self, numbers):
        return torch.full((len(numbers), 16, 16, 3), 99, dtype=torch.uint8)


def test_a_batch_of_both_kinds_has_a_target_for_each():
    hard = RecordList([VideoRecord("a", 2)], source="hard.csv", lines=[7])
    both = hard.followed_by(
        RecordList([VideoRecord("b", 0)], source="soft.csv", lines=[2], targets=[(0.75, 0.25, 0.0)])
    )
    assert both.soft == [1] and both.where(1) == "soft.csv:2" and both.sources == ["hard.csv", "soft.csv"]
    plan = evaluation_plan(length=2, stride=1, mode="dense", run=1, target_fps=None, clips=1, crops=1, offset=False)
    dataset = ClipDataset(
        both,
        plan,
        EvaluationTransform(crop_size=16, short_side=16),
        seed=0,
        open_frames=lambda path: Frames(),
        soft_of=3,
    )
    batch = make_batch([dataset.clips_of((0, 0)), dataset.clips_of((0, 1))])
    assert batch.labels.tolist() == [[0.0, 0.0, 1.0], [0.75, 0.25, 0.0]] and batch.labels.dtype == torch.float32


def test_the_clips_behind_a_list(tmp_path):
    path = write(tmp_path, "path,p0,p1\n/x/a.mp4,0.5,0.5\n")
    assert clips_behind(read_list(path)) == ["/x/a.mp4"]
    about = write(tmp_path, '{"seen": ["/x/b.mp4", "/x/a.mp4"]}', "soft.about.json")
    lit = RecordList([VideoRecord("/x/lit.mp4", 0)], source="lit.csv")
    assert clips_behind(lit.followed_by(read_list(path))) == ["/x/a.mp4", "/x/b.mp4"]
    assert clips_behind(lit) == []
    seen_by_two = RecordList([VideoRecord("/x/c.mp4", 0)], targets=[(0.5, 0.5)], partners=["/y/c.mp4"])
    assert clips_behind(seen_by_two) == ["/x/c.mp4", "/y/c.mp4"]
    for text in ("{}", "[", '{"seen": 3}'):
        about.write_text(text)
        with pytest.raises(ListError, match="soft.about.json, which says what the pseudo-labels are made of, cannot"):
            clips_behind(read_list(path))


def test_a_header_tells_whatever_form_other_lists_have(tmp_path):
    path = write(tmp_path, "path,p0,p1\n/x/a.mp4,0.5,0.5\n")
    assert read_list(path, form="path label").soft == [0]
