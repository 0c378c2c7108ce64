"""The folds of a list as one result: every video once, nothing missing, nothing of another draw."""

import re

import pytest
import torch
from conftest import load_tool

from fragrant.metrics import ScoreError
from fragrant.scores import ScoreTable, grid_views
from fragrant.scores.pool import load_folds, pooled
from fragrant.scores.table import load_table, save_table

ensemble = load_tool("ensemble")


def fold(tmp_path, number: int, *, right: int, of: int = 4, folds: int = 3, **header) -> str:
    """A table of ``of`` videos of which the first ``right`` are recognised."""
    labels = torch.arange(of) % 2
    logits = torch.nn.functional.one_hot(labels, 2).float()
    logits[right:] = logits[right:].flip(1)
    facts = {"fold": number, "folds": folds, "group_by": "arid", "seed": 1}
    head = {"fold": facts, "checkpoint_hash": f"h{number}", "rule": "sum-logits", "num_videos": of} | header
    paths = [f"fold{number}/{at}.mp4" for at in range(of)]
    table = ScoreTable.whole(paths, labels, logits[:, None], grid_views(1, 1, ""), header=head, class_names=("a", "b"))
    path = tmp_path / f"{number}-{len(list(tmp_path.iterdir()))}.npz"
    save_table(path, table)
    return str(path)


def test_every_video_counts_once(tmp_path, capsys):
    files = [fold(tmp_path, number, right=right) for number, right in ((2, 4), (0, 1), (1, 3))]
    out = tmp_path / "pooled.npz"
    assert ensemble.start([*files, "--pool", "--out", str(out), "--json", str(tmp_path / "pooled.json")]) == 0
    told = capsys.readouterr().out
    assert "top-1 66.67 % [39.1, 86.2] (8 of 12)" in told  # Wilson, of all videos together
    assert "fold 0: top-1 25.00 % [4.6, 69.9] (1 of 4)" in told
    assert "top-1 of a fold: mean 66.67 %, standard deviation 38.19" in told
    assert "sum-logits, 3 folds pooled, every one of 12 videos once:" in told
    assert len(load_table(out)) == 12 and ensemble.start([str(out)]) == 0
    assert "(8 of 12)" in capsys.readouterr().out


def test_the_numbers_of_each_fold(tmp_path):
    _, summary = pooled([fold(tmp_path, number, right=2, of=2) for number in range(3)])
    assert summary["top1"]["correct"] == 6 and [own["fold"] for own in summary["folds"]] == [0, 1, 2]


def test_parts_of_one_fold_are_one(tmp_path):
    whole = load_table(fold(tmp_path, 0, right=3))
    for name, rows in (("a", [0, 1]), ("b", [2, 3])):
        save_table(tmp_path / f"part-{name}.npz", whole.rows(rows))
    others = [fold(tmp_path, number, right=4) for number in (1, 2)]
    _, summary = pooled([str(tmp_path / "part-*.npz"), *others])
    assert (summary["top1"]["correct"], summary["top1"]["total"]) == (11, 12)


def test_a_note_on_a_fold_stays(tmp_path):
    files = [fold(tmp_path, number, right=1, protocol="optimistic: so") for number in range(3)]
    lines, summary = pooled(files)
    assert summary["protocol"] == "optimistic: so" and "optimistic: so" in lines


@pytest.mark.parametrize(
    "more, told",
    [
        ([dict(number=1, right=1)], "1 folds or videos are missing; --allow-missing goes on without; fold 2"),
        ([dict(number=1, right=1, of=3, num_videos=4)], "fold 1: video 3 of the list"),
        (
            [dict(number=1, right=1, folds=4)],
            "is of other folds, folds 4, group_by 'arid', seed 1, than the tables bef",
        ),
        ([dict(number=0, right=1, checkpoint_hash="x")], "fold 0 was tested with several networks: "),
        ([dict(number=1, right=1, fold={})], "is not of a fold; --pool takes the scores of tests with DATA.FOLDS"),
    ],
)
def test_what_cannot_be_pooled(tmp_path, more, told):
    with pytest.raises(ScoreError, match=re.escape(told)):
        pooled([fold(tmp_path, 0, right=1), *(fold(tmp_path, **one) for one in more)])


def test_missing_folds_can_be_accepted(tmp_path):
    lines, summary = pooled([fold(tmp_path, 0, right=1), fold(tmp_path, 2, right=1)], allow_missing=True)
    assert "missing: fold 1" in lines and summary["videos"] == 8


def test_a_video_of_two_folds(tmp_path):
    first = load_table(fold(tmp_path, 0, right=1))
    twice = {**first.header, "fold": {**first.header["fold"], "fold": 1}, "checkpoint_hash": "x"}
    for number, header in enumerate((first.header, twice)):
        again = ScoreTable.whole(first.paths, first.labels, first.logits, first.views, header=header)
        save_table(tmp_path / f"same{number}.npz", again)
    with pytest.raises(ScoreError, match="'fold0/0.mp4' was tested in fold 0 and in fold 1; every video counts once"):
        pooled([str(tmp_path / "same*.npz")], allow_missing=True)
    assert [run.name for run in load_folds([str(tmp_path / "same*.npz")])] == ["fold 0", "fold 1"]
