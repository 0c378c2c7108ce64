"""Curves of several runs in one picture."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from fragrant.report import plot
from fragrant.report.curves import LogError
from fragrant.report.figure_style import Look
from fragrant.report.plot import plot_runs, run_names
from fragrant.report.strips import PictureError


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        records = [
            {"_type": "train_epoch", "epoch": f"{epoch}/3", "loss": 1 / epoch, "top1_err": 50.0} for epoch in (1, 2, 3)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folders


def test_an_svg_names_the_runs(runs, tmp_path):
    pytest.importorskip("matplotlib")
    plot_runs(runs, tmp_path / "new" / "curves.svg", names=["without FAM", "with FAM"])
    text = (tmp_path / "new" / "curves.svg").read_text()
    assert all(f"<!-- {words} -->" in text for words in ("without FAM", "with FAM", "training loss", "epoch"))


def test_a_png_of_a_log_file(runs, tmp_path):
    pytest.importorskip("matplotlib")
    plot_runs([runs[0] / "metrics.jsonl"], tmp_path / "curves.png")
    picture = Image.open(tmp_path / "curves.png").convert("RGB")
    colors = {color for _, color in picture.getcolors(2**22)}
    # two quantities were logged, 6.2 cm each; one run, one colour
    assert picture.width == int(2 * 6.2 / 2.54 * 300) and (0, 114, 178) in colors and (213, 94, 0) not in colors


def test_panels_stand_below_each_other_in_a_column(runs, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    seen, save = [], plot.save_figure
    monkeypatch.setattr(plot, "save_figure", lambda path, figure, look: (save(path, figure, look), seen.append(figure)))
    plot_runs(runs, tmp_path / "curves.svg", look=Look(8, dpi=50))
    loss, accuracy = (axes.get_position() for axes in seen[0].axes)
    assert loss.y0 > accuracy.y1 and loss.x0 == pytest.approx(accuracy.x0, abs=0.02)
    plot_runs(runs, tmp_path / "curves.svg", look=Look(16, 5, dpi=50), names=["a", "b"])
    loss, accuracy = (axes.get_position() for axes in seen[1].axes)
    assert loss.x1 < accuracy.x0 and [text.get_text() for text in seen[1].legends[0].texts] == ["a", "b"]
    assert [line.get_marker() for line in seen[1].axes[0].lines] == ["o", "s"]  # told apart without colours
    plot_runs(runs, tmp_path / "curves.svg", look=Look(dpi=50), panels=["top-1"])
    assert [axes.get_title(loc="left") for axes in seen[2].axes] == ["top-1 accuracy, % (dashed: training)"]


def test_wrong_panels(runs, tmp_path):
    with pytest.raises(PictureError, match="panel 'top1' is not known; allowed: loss, top-1, map, lr"):
        plot.refuse_unknown_panels(["loss", "top1"])
    with pytest.raises(LogError, match="no run has logged what --panels asks for: map"):
        plot_runs(runs, tmp_path / "curves.svg", panels=["map"])


def test_videos_with_several_labels_have_a_panel_more(runs, tmp_path):
    pytest.importorskip("matplotlib")
    with open(runs[1] / "metrics.jsonl", "a") as log:
        log.write(json.dumps({"_type": "val_epoch", "epoch": "3/3", "map": 40.0}) + "\n")
    plot_runs(runs, tmp_path / "curves.svg")
    assert "<!-- mean average precision, % -->" in (tmp_path / "curves.svg").read_text()


@pytest.mark.parametrize(
    "folders, names",
    [
        (["a/x", "a/y"], ["x", "y"]),
        (["a/x", "b/x"], ["a/x", "b/x"]),
        (["a/b/x", "c/b/x", "c/b/y"], ["a/b/x", "c/b/x", "c/b/y"]),
    ],
)
def test_run_names(folders, names):
    assert run_names([Path("/" + folder) for folder in folders]) == names
    assert run_names([Path("/same/x")] * 2) == ["//same/x"] * 2


def test_wrong_input(runs, tmp_path):
    with pytest.raises(PictureError, match="'curves.jpg' has no known ending; allowed: .png, .svg, .pdf"):
        plot_runs(runs, "curves.jpg")
    with pytest.raises(PictureError, match="1 names for 2 runs"):
        plot_runs(runs, "curves.png", names=["one"])
    with pytest.raises(LogError, match="cannot be read: No such file"):
        plot_runs([tmp_path / "nowhere"], "curves.png")
    (runs[0] / "metrics.jsonl").write_text('{"split": "test_final", "top1": 50.0}\n')
    with pytest.raises(LogError, match="has no training records; allowed: the OUTPUT_DIR of a training"):
        plot_runs(runs, "curves.png")


def test_without_matplotlib_the_extra_is_named(runs, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PictureError, match=r"figures need matplotlib: pip install -e '.\[report\]'"):
        plot_runs(runs, tmp_path / "curves.png")
