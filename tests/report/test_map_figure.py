"""Figures of maps: rows and columns, the marked place, colour bars, all in centimetres."""

import numpy as np
import pytest
import torch

from fragrant.report import map_figure
from fragrant.report.figure_style import Look
from fragrant.report.map_figure import (
    BAR,
    EDGE,
    GAP,
    Note,
    Row,
    frame_rows,
    lay_out,
    moments,
    pictures,
    save_map_figure,
    text_row,
)
from fragrant.report.maps import FeatureMap
from fragrant.report.strips import PictureError

CLIP = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 16, 32, 3) * 4  # dark
LOOK = Look(12, dpi=50)


def a_map(place=None) -> FeatureMap:
    values = torch.zeros(4, 2, 2)
    values[1, 0, 1] = 3.0
    return FeatureMap("a map", values, unit="gain", place=place)


def test_moments_are_even():
    assert moments(4) == [0.125, 0.375, 0.625, 0.875]
    assert moments(4, must=0.7) == [0.125, 0.375, 0.7, 0.875]  # the nearest moves there
    assert moments(1, must=0.0) == [0.0]


def test_the_middle_of_a_place():
    assert a_map().fractions() is None and a_map((1, 0, 1)).fractions() == (0.375, 0.25, 0.75)


def test_rows_of_a_dark_and_of_a_bright_clip():
    titles = [row.title for row in frame_rows(CLIP, [a_map((1, 0, 1))])]
    assert titles[0] == "as the network gets it" and titles[1].startswith("brightened with gamma")
    assert titles[2] == "a map; ring: that place of the map"
    assert len(frame_rows(torch.full_like(CLIP, 180), [a_map()])) == 2  # bright enough: once


def test_columns_show_one_moment():
    frames, heat = Row("frames", CLIP), Row("map", CLIP, a_map())
    times = moments(4)
    shown = pictures(frames, times, (1.0, 0.5), Look(dpi=254))
    assert [picture[0, 0, 0] for picture in shown] == [4, 12, 20, 28] and shown[0].shape == (50, 100, 3)
    over = pictures(heat, times, (1.0, 0.5), Look(dpi=254))
    assert [bool((a == b).all()) for a, b in zip(shown, over, strict=True)] == [True, False, True, True]
    row = over[1][10, :, 0].astype(int)  # bilinear: no step from one column to the next is large
    assert np.abs(np.diff(row)).max() < 20 and row[-1] > 100 > row[0]


def test_a_layout_fills_the_width():
    rows = [text_row("x.mp4"), Row("frames", CLIP), Row("map", CLIP, a_map())]
    layout = lay_out(rows, LOOK, 4)
    wide, tall = layout.frame
    assert tall == pytest.approx(wide / 2) and layout.width == 12 and layout.left == EDGE
    assert layout.left + 4 * wide + 3 * GAP + layout.bar == pytest.approx(12 - EDGE)
    assert layout.tops[2] - layout.tops[1] == pytest.approx(tall + GAP + layout.line)
    assert layout.height > layout.tops[2] + tall
    fixed = lay_out(rows, Look(12, 4), 4)
    assert (fixed.width, fixed.height) == (12, 4) and fixed.frame[0] < wide and fixed.left > EDGE


def test_long_titles_take_more_lines():
    layout = lay_out([Row("a long title of a map " * 6, CLIP, note=Note("predicted: jump (97.3 %)"))], Look(6), 2)
    assert len(layout.lines[0]) >= 4 and all(len(line) < 40 for line in layout.lines[0])


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    seen, write = [], map_figure.save_figure
    monkeypatch.setattr(
        map_figure, "save_figure", lambda path, figure, look: (write(path, figure, look), seen.append(figure))
    )

    def draw(rows, **options):
        save_map_figure(tmp_path / "a.svg", rows, **({"look": LOOK} | options))
        return seen[0]

    return draw


def test_what_is_drawn(drawn):
    head = text_row("x.mp4; true class: jump", Note("predicted: run (61.0 %)", "#D55E00"))
    figure = drawn([head, *frame_rows(CLIP, [a_map((1, 0, 1))])], frames=4)
    parts = [axes for axes in figure.axes if axes.get_label().startswith("frame")]
    assert len(parts) == 3 * 4
    texts = [text.get_text() for text in figure.texts]
    assert texts[:2] == ["x.mp4; true class: jump", "predicted: run (61.0 %)"]
    assert figure.texts[1].get_color() == "#D55E00" and texts[-4:] == ["2", "4", "6", "8"] or texts[-4] == "frame 2"
    rings = [axes for axes in parts if axes.lines]
    assert [axes.get_label() for axes in rings] == ["frame:1"] * 3  # in every row
    assert rings[0].lines[0].get_xydata().tolist() == [[0.75, 0.25]]
    (bar,) = [axes for axes in figure.axes if axes.get_label() == "bar"]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["0", "1.5", "3"] and bar.get_ylabel() == "gain"
    width = figure.get_size_inches()[0] * 2.54
    assert width == pytest.approx(12) and bar.get_position().width * width == pytest.approx(BAR)
    frame, box = parts[8].get_position(), bar.get_position()
    assert (box.y0, box.height) == (pytest.approx(frame.y0), pytest.approx(frame.height))


def test_names_are_no_formulas(drawn):
    figure = drawn([text_row("x_{1}$2$.mp4"), Row("$frames", CLIP)])
    assert figure.texts[0].get_text() == "x_{1}$2$.mp4"


def test_what_does_not_fit(tmp_path):
    rows = frame_rows(CLIP, [a_map()])
    with pytest.raises(
        PictureError, match="3 rows of 8 frames do not fit into 2 cm; take a larger --size, fewer --frames"
    ):
        save_map_figure(tmp_path / "a.png", rows, look=Look(2))
    with pytest.raises(PictureError, match="do not fit into 17 x 2 cm"):
        save_map_figure(tmp_path / "a.png", rows, look=Look(17, 2))
    with pytest.raises(PictureError, match="--frames 0 is out of range; allowed: 1 to 64"):
        save_map_figure(tmp_path / "a.png", rows, look=Look(17), frames=0)
