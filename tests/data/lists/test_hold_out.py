"""A held-out part of the training list: a share of every class, the same every time, disjoint from what is trained
on."""

import re
from pathlib import Path

import pytest

from fragrant.config import load_cfg
from fragrant.data import build_loader, build_records
from fragrant.data.lists.hold_out import hold_out
from fragrant.data.lists.records import ListError

LABELS = [0] * 10 + [1] * 5 + [2] * 2 + [3]


@pytest.mark.parametrize(
    "share, held", [(0.2, (2, 1, 1, 0)), (0.5, (5, 2, 1, 0)), (0.001, (1, 1, 1, 0)), (0.99, (9, 4, 1, 0))]
)
def test_a_share_of_every_class_but_never_all(share, held):
    train, val = hold_out(LABELS, share, seed=1)
    assert sorted(train + val) == list(range(len(LABELS))) and train == sorted(train) and val == sorted(val)
    assert tuple(sum(LABELS[i] == label for i in val) for label in range(4)) == held


def test_videos_of_unknown_class_stay():
    assert not set(hold_out([-1, 0, -1, 0], 0.5, seed=1)[1]) & {0, 2}


def test_it_follows_from_the_seed():
    assert hold_out(LABELS, 0.3, seed=1) == hold_out(LABELS, 0.3, seed=1) != hold_out(LABELS, 0.3, seed=2)


@pytest.fixture
def lists(tmp_path):
    for name in ("t", "a", "b", *range(12)):
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "train.csv").write_text("".join(f"{number}.mp4 {number % 3}\n" for number in range(12)))
    (tmp_path / "test.csv").write_text("t.mp4 0\n")
    return ["DATA.PATH_TO_DATA_DIR", str(tmp_path), "MODEL.NUM_CLASSES", "3", "TRAIN.BATCH_SIZE", "2"]


def names(records) -> set[str]:
    return {Path(record.path).name for record in records}


def test_the_training_list_serves_for_both(lists):
    cfg = load_cfg(None, [*lists, "DATA.HOLD_OUT", "0.25"])
    train, val, test = (build_records(cfg, split).records for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (9, 3, 1) and not names(train) & names(val)
    assert names(train) | names(val) == {f"{number}.mp4" for number in range(12)}
    number = int(Path(val[2].path).stem)
    assert val.where(2).endswith(f"train.csv:{number + 1}")  # errors still name the line
    assert names(build_loader(cfg, "val").dataset.records) == names(val)


def test_without_it_there_must_be_a_list(lists):
    with pytest.raises(ListError, match="no val list"):
        build_records(load_cfg(None, lists), "val")


def test_nothing_to_hold_out(lists, tmp_path):
    (tmp_path / "train.csv").write_text("a.mp4 0\nb.mp4 1\n")
    with pytest.raises(ListError, match=re.escape("DATA.HOLD_OUT 0.5 holds out no video: no class of <2 records of")):
        build_records(load_cfg(None, [*lists, "DATA.HOLD_OUT", "0.5"]), "train")


def test_another_split_can_get_the_views_of_validation(lists):
    loader = build_loader(load_cfg(None, [*lists, "TEST.NUM_ENSEMBLE_VIEWS", "4"]), "test", views_of="val")
    assert names(loader.dataset.records) == {"t.mp4"} and loader.num_views == 1 and loader.batches.batch_size == 2
