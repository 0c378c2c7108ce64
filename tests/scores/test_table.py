"""Score tables on disk and put together: shards, clips, duplicates, what is missing, files that are none."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_runs import golden_table

import fragrant.scores.table as table_file
from fragrant.metrics import ScoreError
from fragrant.scores import ScoreTable, ViewName, grid_views, load_table, merge, missing_views, pick_views, save_table

TABLE = golden_table(
    luma=torch.rand(40), class_names=tuple("abcdefg"), header={"checkpoint_hash": "1", "num_videos": 40}
)


def same(one: ScoreTable, other: ScoreTable) -> None:
    for name in ("ids", "labels", "logits", "present", "luma"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0, equal_nan=True)
    assert (one.paths, one.views, one.class_names, one.header) == (
        other.paths,
        other.views,
        other.class_names,
        other.header,
    )


def test_view_names_follow_the_plan_of_a_test():
    assert grid_views(2, 1) == (ViewName(0, "centre"), ViewName(1, "centre"))
    assert [str(view) for view in grid_views(2, 3)[2:4]] == ["clip 0 right", "clip 1 left"]


@pytest.mark.parametrize(
    "table", [TABLE, replace(TABLE, class_names=None, header={}), TABLE.rows([])], ids=["full", "bare", "no rows"]
)
def test_round_trip(table, tmp_path):
    save_table(tmp_path / "new" / "scores.npz", table)
    same(load_table(tmp_path / "new" / "scores.npz"), table)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scores.npz"]


def test_several_labels_of_a_video_round_trip(tmp_path):
    table = replace(TABLE, labels=torch.rand(40, 7) > 0.5)
    save_table(tmp_path / "scores.npz", table)
    same(load_table(tmp_path / "scores.npz"), table)


def test_no_pickle_is_in_the_file(tmp_path):
    save_table(tmp_path / "scores.npz", TABLE)
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        assert file["crop"].tolist()[:3] == ["left", "centre", "right"] and '"checkpoint_hash": "1"' in str(
            file["header"]
        )


@pytest.mark.parametrize("parts", [2, 3, 7, 40])
def test_shards_merge_exactly(parts):
    shards = [TABLE.rows(range(number, 40, parts)) for number in reversed(range(parts))]
    same(merge(shards), TABLE)
    same(merge([*shards, TABLE.rows([])]), TABLE)


def test_clips_and_crops_merge_to_the_whole_test():
    clips = [pick_views(TABLE, clips=[number]) for number in range(4)]
    same(merge(clips), TABLE)
    crops = merge([pick_views(TABLE, crops=[crop]) for crop in ("left", "centre", "right")])
    assert set(crops.views) == set(TABLE.views) and bool(crops.present.all())
    same(pick_views(crops, clips=[2], crops=["right"]), pick_views(TABLE, clips=[2], crops=["right"]))


def test_duplicates_are_dropped_and_contradictions_are_errors():
    noisy = replace(TABLE.rows([3, 4]), logits=TABLE.logits[[3, 4]] + 5e-4)
    same(merge([TABLE, noisy]), TABLE)
    other = replace(TABLE.rows([3, 4]), logits=TABLE.logits[[3, 4]] + 5e-3)
    with pytest.raises(
        ScoreError, match=re.escape("B: clip 0 left of 'videos/03.mp4' was scored twice with different logits")
    ):
        merge([TABLE, other], names=["A", "B"])


def test_what_is_missing_is_named():
    assert missing_views(TABLE) == []
    part = merge([TABLE.rows(range(38)), pick_views(TABLE.rows([38]), clips=[0, 1], crops=["centre"])])
    lines = missing_views(part)
    assert lines[0] == "video 39 of the list" and len(lines) == 2
    assert lines[1].startswith("'videos/38.mp4': clip 0 left, clip 0 right, clip 1 left")
    assert not part.present[38, 0] and part.logits[38, 0].isnan().all() and part.present[38, 1]


WRONG = [
    (
        lambda: merge([TABLE, replace(TABLE, class_names=tuple("abdcefg"))]),
        "class 2 is 'c' in table 1, but 'd' in table 2",
    ),
    (lambda: merge([TABLE, replace(TABLE, labels=TABLE.labels.flip(0))]), "table 2: label of 'videos/00.mp4' differs"),
    (lambda: merge([TABLE, TABLE.rows([1, 1])]), "table 2 has the same video twice"),
    (
        lambda: merge([TABLE, replace(TABLE, logits=TABLE.logits[:, :, :3], class_names=None)]),
        "table 1 has 7 classes, table 2 3",
    ),
    (
        lambda: pick_views(TABLE, clips=[9], crops=["left"]),
        "no view has clip 9; crop left; there are clip 0 left, clip 0 centre",
    ),
    (
        lambda: replace(TABLE, luma=torch.rand(3)),
        "score table of logits (40, 12, 7) (videos, views, classes) does not fit luma 3",
    ),
]


@pytest.mark.parametrize("compute, message", WRONG, ids=[message[:20] for _, message in WRONG])
def test_what_does_not_belong_together(compute, message):
    with pytest.raises(ScoreError, match=re.escape(message)):
        compute()


def test_files_that_are_no_score_table(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "pickle.npz", paths=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("no numpy file")
    np.save(tmp_path / "array.npy", np.ones(3))
    save_table(tmp_path / "whole.npz", TABLE)
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:2000])
    for name in ("other.npz", "pickle.npz", "text.npz", "array.npy", "half.npz"):
        with pytest.raises(ScoreError, match=re.escape(f"'{tmp_path / name}' is no score table")):
            load_table(tmp_path / name)
    with pytest.raises(ScoreError, match="cannot be read: No such file"):
        load_table(tmp_path / "nowhere.npz")


def test_a_table_that_would_grow_to_fill_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "scores.npz"
    np.savez_compressed(path, ids=np.zeros(4_000_000))
    monkeypatch.setattr(table_file, "MOST_UNPACKED", 1_000_000)
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ScoreError, match="is damaged"):
        load_table(path)
