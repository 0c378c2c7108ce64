"""Rows of a scoreboard: folds are pooled, runs are averaged, the interval is that of one run's videos."""

import pytest
import torch
from conftest import load_tool

from fragrant.metrics import ScoreError, share
from fragrant.scores import ScoreTable, grid_views, save_table
from fragrant.scores.scoreboard import markdown, pooled, row_of, rows_of


def table(paths: str, correct: str, labels=None) -> ScoreTable:
    """Videos of class 0, of which those in ``correct`` get the answer 0."""
    logits = torch.tensor([[[1.0, 0.0] if path in correct else [0.0, 1.0]] for path in paths])
    labels = torch.zeros(len(paths), dtype=torch.long) if labels is None else torch.tensor(labels)
    return ScoreTable.whole(paths, labels, logits, grid_views(1, 1))


def test_folds_are_pooled():
    row = row_of("folds", [[table("abc", "a"), table("de", "de")]])
    assert (row.share, len(row.runs)) == (share(3, 5), 1) and row.runs[0] == share(3, 5)


def test_runs_are_averaged_and_make_no_more_videos():
    row = row_of("seeds", [[table("abcd", "a")], [table("dcba", "abcd")], [table("ab", ""), table("cd", "d")]])
    assert [one.correct for one in row.runs] == [1, 4, 1]
    assert row.share[1:] == pytest.approx(share(2, 4)[1:])


def test_videos_of_unknown_class_do_not_count():
    assert pooled([table("abc", "ab", [0, -1, 0])]) == {"a": True, "c": False}


@pytest.mark.parametrize(
    "runs, message",
    [
        ([[table("ab", "a"), table("bc", "c")]], "'b' has two scores; each video is in one fold alone"),
        ([[table("aa", "a")]], "'a' has two scores"),
        ([[table("ab", "a")], [table("abc", "a")]], "its runs are of 2 and of 3 videos, not of the same"),
        ([[table("ab", "a", [-1, -1])]], "no video has a label"),
    ],
)
def test_what_is_no_row(runs, message):
    with pytest.raises(ScoreError, match=message):
        row_of("x", runs)


def test_the_command(tmp_path, capsys):
    for fold, some in enumerate([table("ab", "a"), table("cd", "cd")]):
        save_table(tmp_path / f"fold{fold}.npz", some)
    save_table(tmp_path / "seed.npz", table("abcd", "d"))
    tool = load_tool("scoreboard")
    assert tool.start([f"with folds={tmp_path}/fold?.npz", f"with folds = {tmp_path}/seed.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == ["| with folds | 4 | 2 | 50.00 % | 15.0 to 85.0 % | 75.0, 25.0 |"]
    assert "\n".join(lines) == markdown(
        rows_of([f"with folds={tmp_path}/fold?.npz", f"with folds={tmp_path}/seed.npz"])
    )
    for words, message in ((["x"], "'x' names no row"), ([f"x={tmp_path}/none.npz"], "none.npz")):
        assert tool.start(words) == 2
        assert message in (error := capsys.readouterr().err) and error.count("\n") == 1
