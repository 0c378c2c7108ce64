"""Figures of a test: what is drawn, and where."""

from pathlib import Path

import pytest
import torch
from small_test import NAMES, many_classes, small_scores

from fragrant.report import score_figures
from fragrant.report.figure_style import COLORS, Look
from fragrant.report.run_tables import RunScores, load_scores
from fragrant.report.score_figures import save_classes, save_confusion, save_illumination, shades
from fragrant.report.strips import PictureError
from fragrant.scores import ScoreTable, ensemble_views, grid_views, save_table

pytest.importorskip("matplotlib")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws a figure and keeps it: also writes it, so that its layout is done."""
    seen, write = [], score_figures.save_figure

    def keep(path, figure, look):
        write(path, figure, look)
        seen.append(figure)

    monkeypatch.setattr(score_figures, "save_figure", keep)

    def draw(save, runs, **options):
        save(tmp_path / "figure.svg", runs, **({"look": Look(dpi=50)} | options))
        return seen[-1]

    return draw


def one(name: str = "one", **options) -> RunScores:
    return RunScores(name, small_scores(**options))


def better() -> RunScores:
    """The same videos, all of them right."""
    scores = small_scores()
    return RunScores("better", scores._replace(scores=torch.eye(3)[scores.labels].double()))


def several_labels() -> RunScores:
    targets = torch.eye(3, dtype=torch.bool).repeat(2, 1)
    table = ScoreTable.whole(list("abcdef"), targets, torch.rand(6, 1, 3), grid_views(1, 1), class_names=NAMES)
    return RunScores("several", ensemble_views(table))


def test_a_matrix(drawn):
    figure = drawn(save_confusion, [one()])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    texts = {text.get_position(): text.get_text() for text in axes.texts}  # (column, row)
    assert texts == {(0, 0): "67", (1, 0): "33", (1, 1): "100", (0, 2): "75", (2, 2): "25"}
    cells = torch.as_tensor(axes.images[0].get_array())
    assert torch.allclose(cells[1, 1].float(), shades(torch.tensor(1.0), COLORS[0]).float(), atol=1e-6)
    assert torch.allclose(cells[2, 0].float(), shades(torch.tensor(0.75), COLORS[1]).float(), atol=1e-6)
    assert (cells[1, 0] == 1).all()  # nothing: white
    (bar,) = axes.child_axes
    assert bar.get_ylabel() == "share of the true class, %" and bar.images[0].get_extent()[2:] == [0, 100]
    box, side = axes.get_position(), bar.get_position()
    assert side.x0 > box.x1 and side.height == pytest.approx(box.height)  # beside the matrix, as tall


def test_counts_in_the_cells_or_nothing(drawn):
    counts = drawn(save_confusion, [one()], cells="count").axes[0]
    assert sorted(text.get_text() for text in counts.texts) == ["1", "1", "2", "3", "3"]
    assert not drawn(save_confusion, [one()], cells="none").axes[0].texts


def test_many_classes_have_no_names_but_the_most_confused(drawn):
    run = RunScores("many", many_classes(80, 4))
    assert not drawn(save_confusion, [run]).axes[0].get_xticklabels()
    few = drawn(save_confusion, [run], most=6).axes[0]
    assert len(few.get_yticklabels()) == 6
    assert few.get_xticklabels()[0].get_rotation() == 45 and few.get_xticklabels()[0].get_text().endswith("…")


def test_bars_of_two_runs(drawn):
    figure = drawn(save_classes, [one(), better()])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sit", "jump", "run"]  # the hardest first
    assert axes.get_ylim() == (2.6, -0.6)  # from top to bottom
    first, second = ([round(bar.get_width(), 1) for bar in group] for group in axes.containers[:3:2])
    assert first == [25.0, 66.7, 100.0] and second == [100.0] * 3
    (low, high) = axes.containers[1].lines[2][0].get_segments()[0][:, 0]  # whiskers of sit
    assert (low, high) == (pytest.approx(4.6, abs=0.05), pytest.approx(69.9, abs=0.05))  # Wilson
    (chance,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert chance.get_xdata()[0] == pytest.approx(100 / 3)
    assert [text.get_text() for text in figure.legends[0].texts] == ["one", "better", "chance, 33.3 %"]
    tops = [bar.get_y() for bar in axes.containers[0]]
    assert all(bar.get_y() > top for bar, top in zip(axes.containers[2], tops, strict=True))  # below, not over


def test_only_the_hardest(drawn):
    axes = drawn(save_classes, [one()], most=2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sit", "jump"]
    assert axes.get_title(loc="left") == "the 2 hardest of 3 classes"


def test_average_precision_where_videos_have_several_labels(drawn):
    axes = drawn(save_classes, [several_labels()]).axes[0]
    assert axes.get_xlabel() == "average precision, %" and not axes.lines and len(axes.containers) == 1


def test_illumination(drawn):
    axes = drawn(save_illumination, [one(), better()]).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "0.010–0.020\n2 videos" and labels[-1] == "0.090–0.100\n2 videos" and len(labels) == 4
    heights = [round(bar.get_height(), 1) for bar in axes.containers[0]]
    assert heights == [100.0, 66.7, 33.3, 50.0] and axes.get_ylim() == (0, 100)
    assert [bar.get_height() for bar in axes.containers[2]] == [100] * 4
    assert len(drawn(save_illumination, [one()], groups=2).axes[0].get_xticklabels()) == 2


@pytest.mark.parametrize("save", [save_confusion, save_classes, save_illumination])
def test_sizes_in_centimetres(save, drawn):
    figure = drawn(save, [one()], look=Look(12, 7, dpi=50, font=7))
    assert (figure.get_size_inches() * 2.54).tolist() == pytest.approx([12, 7])


@pytest.mark.parametrize(
    "save, runs, message",
    [
        (save_confusion, [one("a"), one("b")], "a confusion matrix is of one run, got 2; draw one for each"),
        (save_confusion, [several_labels()], "'several': videos have several labels, so there is no confusion matrix"),
        (save_illumination, [several_labels()], "videos have several labels, so there is no accuracy by illumination"),
        (save_illumination, [one("dim", luma=False)], "run 'dim': the score table holds no mean luma of the videos"),
    ],
)
def test_what_cannot_be_drawn(save, runs, message, tmp_path):
    with pytest.raises(PictureError, match=message):
        save(tmp_path / "a.svg", runs, look=Look())


def test_scores_of_run_folders(tmp_path):
    from small_test import small_table

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_table(tmp_path / name / "scores.npz", small_table())
    runs = load_scores([tmp_path / "a", tmp_path / "b/scores.npz"], names=None, rule=None)
    assert [run.name for run in runs] == ["a", "b"] and len(runs[0].scores.paths) == 10
    with pytest.raises(PictureError, match="1 names for 2 runs"):
        load_scores([tmp_path / "a", tmp_path / "b"], names=["x"], rule=None)
    other = small_table()
    other.header.clear()
    save_table(Path(tmp_path / "b/scores.npz"), ScoreTable(**{**vars(other), "class_names": ("x", "y", "z")}))
    with pytest.raises(PictureError, match="runs 'a' and 'b' have other classes"):
        load_scores([tmp_path / "a", tmp_path / "b"], names=None, rule=None)
