"""Figures of frames with maps below, for papers: rows of frames at the same moments, a colour bar beside each map."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fragrant.report.figure_style import CM, INK, NAMED, SOFT, Look, figure_style, new_figure, save_figure
from fragrant.report.maps import FeatureMap, smooth
from fragrant.report.strips import PictureError, heat_colors, lift, overlay

MOST_FRAMES = 8  # of a row, unless more are asked for
EDGE, GAP, BAR = 0.08, 0.06, 0.22  # centimetres: around everything, between frames, of a colour bar
GREY = 102  # what the colour bar is laid over, as bright as a brightened frame
LETTER = 0.52  # width of a letter, of its height, on average


class Note(NamedTuple):
    """A text at the right end of a line, in its colour."""

    text: str
    color: str = INK


NO_NOTE = Note("")


class Row(NamedTuple):
    """A line of text, and the frames below it.

    Attributes:
        frames: (T, H, W, 3) uint8; no frame: the line alone.
        heat: laid over the frames. alone: the colours of the map without the frames.
        largest: what the hottest colour stands for; None: the largest value of the map.
    """

    title: str
    frames: Tensor
    heat: FeatureMap | None = None
    note: Note = NO_NOTE
    place: tuple[float, float, float] | None = None
    alone: bool = False
    largest: float | None = None


class Layout(NamedTuple):
    """Where everything is, in centimetres from the upper left corner.

    Attributes:
        frame: width and height of a frame. lines: lines of text of each row. line: height of one. tops: the upper edge
            of each row of frames. bar: room at the right for colour bars.
    """

    width: float
    height: float
    left: float
    frame: tuple[float, float]
    lines: list[list[str]]
    line: float
    tops: list[float]
    bar: float


def text_row(title: str, note: Note = NO_NOTE) -> Row:
    """A line of text without frames."""
    return Row(title, torch.empty(0, 1, 1, 3, dtype=torch.uint8), note=note)


def moments(count: int, must: float | None = None) -> list[float]:
    """The middles of ``count`` equal parts of a clip, as fractions of its length; the one nearest to ``must`` becomes
    it."""
    middles = [(number + 0.5) / count for number in range(count)]
    if must is not None:
        middles[min(range(count), key=lambda number: abs(middles[number] - must))] = must
    return middles


def frame_rows(frames: Tensor, maps: Sequence[FeatureMap], *, note: Note = NO_NOTE) -> list[Row]:
    """The rows of one method: the frames (T, H, W, 3) uint8 as the network gets them, brightened where they are dark,
    and every map over the brightened ones."""
    bright, gamma = lift(frames)
    place = next((place for one in maps if (place := one.fractions())), None)
    rows = [Row("as the network gets it", frames, place=place)]
    if gamma > 1:
        rows.append(Row(f"brightened with gamma {gamma:.1f}", bright, place=place))
    for one in maps:
        rows.append(
            Row(one.title + ("; ring: that place of the map" if one.place else ""), bright, one, place=one.fractions())
        )
    return [rows[0]._replace(note=note), *rows[1:]]


def save_map_figure(path: str | Path, rows: Sequence[Row], *, look: Look, frames: int | None = None) -> None:
    """Draws rows of frames below each other, every column one moment of the clip.

    Args:
        frames: columns; None = as many as there are frames, at most ``MOST_FRAMES``.

    Raises:
        PictureError: the rows do not fit into the size, there is no matplotlib, or the file cannot be written.
    """
    shown = [row for row in rows if len(row.frames)]
    least = min(len(row.frames) for row in shown)
    if frames is not None and not 1 <= frames <= 64:
        raise PictureError(f"--frames {frames} is out of range; allowed: 1 to 64")
    count = min(frames or MOST_FRAMES, least)
    must = next((row.place[0] for row in shown if row.place), None)
    with figure_style(look):
        layout = lay_out(rows, look, count)
        figure = new_figure(look._replace(width=layout.width, height=layout.height))
        _draw(figure, rows, layout, moments(count, must), look)
        save_figure(path, figure, look)


# --------------------------------------------------------------------------------------------------------------- layout
def lay_out(rows: Sequence[Row], look: Look, count: int) -> Layout:
    """Fits rows of ``count`` frames into the size asked for: the frames as large as they can be; without a height, the
    width decides."""
    shown = [row for row in rows if len(row.frames)]
    width, line = look.width or NAMED["text"], 1.35 * look.font * CM / 72
    bar = GAP + BAR + 4.8 * line * 0.62 + (line if any(row.heat and row.heat.unit for row in rows) else 0)
    bar = bar if any(row.heat for row in rows) else 0.0
    room = width - 2 * EDGE - bar - (count - 1) * GAP
    lines = [_wrapped(row, width - 2 * EDGE, look) for row in rows]
    texts = (sum(map(len, lines)) + 1) * line + len(rows) * GAP + 2 * EDGE
    aspect = max(row.frames.shape[1] / row.frames.shape[2] for row in shown)
    wide = room / count
    if look.height is not None:
        wide = min(wide, (look.height - texts) / len(shown) / aspect)
    if wide < 0.3:
        raise PictureError(
            f"{len(shown)} rows of {count} frames do not fit into {width:.3g}"
            + (f" x {look.height:.3g}" if look.height else "")
            + " cm; take a larger --size, fewer --frames or a smaller --font-size"
        )
    tall, tops, top = wide * aspect, [], EDGE
    height = look.height or texts + len(shown) * tall
    top += max(0.0, height - texts - len(shown) * tall) / 2
    for row, text in zip(rows, lines, strict=True):
        top += len(text) * line
        tops.append(top)
        top += (tall if len(row.frames) else 0) + GAP
    left = EDGE + (room - count * wide) / 2
    return Layout(width, height, left, (wide, tall), lines, line, tops, bar)


def _wrapped(row: Row, width: float, look: Look) -> list[str]:
    """The title in lines that leave room for the note at the right of the first."""
    letter = LETTER * look.font * CM / 72
    most = max(12, int(width / letter) - (len(row.note.text) + 2 if row.note.text else 0))
    return textwrap.wrap(row.title.replace(" %", "\u00a0%"), most, break_long_words=True) or (
        [""] if row.note.text else []
    )


# -------------------------------------------------------------------------------------------------------------- drawing
def _draw(figure, rows: Sequence[Row], layout: Layout, times: Sequence[float], look: Look) -> None:
    wide, tall = layout.frame
    for row, top, lines in zip(rows, layout.tops, layout.lines, strict=True):
        _texts(figure, row, top, lines, layout)
        marked = _column_of(row.place, times)
        for column, picture in enumerate(pictures(row, times, layout.frame, look) if len(row.frames) else ()):
            left = layout.left + column * (wide + GAP)
            axes = _axes(figure, left, top, wide, tall, layout)
            axes.imshow(picture, interpolation="none", aspect="auto", extent=(0, 1, 1, 0))
            axes.set_label(f"frame:{column}")
            if column == marked and row.place is not None:
                _ring(axes, row.place, look)
        if row.heat is not None:
            right = layout.left + len(times) * (wide + GAP)
            _color_bar(_axes(figure, right, top, BAR, tall, layout), row, look)
    length = {len(row.frames) for row in rows if len(row.frames)}
    if len(length) == 1:
        _times(figure, times, length.pop(), layout, look)


def _column_of(place: tuple[float, float, float] | None, times: Sequence[float]) -> int | None:
    """The column whose moment is that of the place."""
    if place is None:
        return None
    return min(range(len(times)), key=lambda number: abs(times[number] - place[0]))


def _axes(figure, left: float, top: float, wide: float, tall: float, layout: Layout):
    """Axes without lines at a place in centimetres."""
    box = (left / layout.width, 1 - (top + tall) / layout.height, wide / layout.width, tall / layout.height)
    axes = figure.add_axes(box)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def _texts(figure, row: Row, top: float, lines: Sequence[str], layout: Layout) -> None:
    edge = EDGE / layout.width
    for number, text in enumerate(lines):
        y = 1 - (top - (len(lines) - number - 0.72) * layout.line) / layout.height
        figure.text(edge, y, text, va="baseline")
        if number == 0 and row.note.text:
            right = {"ha": "right", "va": "baseline", "color": row.note.color}
            figure.text(1 - edge, y, row.note.text, **right)


def pictures(row: Row, times: Sequence[float], frame: tuple[float, float], look: Look) -> list[np.ndarray]:
    """The pictures of a row at these moments, as fine as they are printed: (H, W, 3) uint8 each."""
    width, height = (max(8, round(size / CM * look.dpi)) for size in frame)
    frames = [row.frames[int(time * len(row.frames))] for time in times]
    fine = torch.stack([_resized(one, width, height) for one in frames])  # (N, H, W, 3)
    if row.heat is not None:
        values = row.heat.values.float().cpu()
        shown = smooth(values[[int(time * len(values)) for time in times]], height, width)
        heat = shown / max(_largest(row), torch.finfo(torch.float32).tiny)
        fine = heat_colors(heat) if row.alone else overlay(fine, heat)
    return list(fine.numpy())


def _resized(frame: Tensor, width: int, height: int) -> Tensor:
    picture = Image.fromarray(frame.numpy()).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture))


def _largest(row: Row) -> float:
    assert row.heat is not None
    return row.heat.values.max().item() if row.largest is None else row.largest


def _ring(axes, place: tuple[float, float, float], look: Look) -> None:
    """Marks a place of a frame, on dark and on bright ground."""
    _, y, x = place
    size = 0.9 * look.font
    for color, line in (("black", 2.4), ("white", 1.1)):
        axes.plot([x], [y], "o", markersize=size, markerfacecolor="none", markeredgecolor=color, markeredgewidth=line)
    axes.set(xlim=(0, 1), ylim=(1, 0))


def _color_bar(axes, row: Row, look: Look) -> None:
    """The colours of a row as they are seen: laid over grey, as thickly as over the frames."""
    assert row.heat is not None
    ramp = torch.linspace(1, 0, 256)[None, :, None].expand(1, 256, 4)
    grey = torch.full((1, 256, 4, 3), GREY, dtype=torch.uint8)
    colors = heat_colors(ramp) if row.alone else overlay(grey, ramp)
    largest = _largest(row)
    top = largest if largest > 0 else 1.0
    axes.imshow(colors[0].numpy(), aspect="auto", extent=(0, 1, 0, top), interpolation="none")
    axes.yaxis.tick_right()
    axes.set_yticks([0, top / 2, top], [f"{value:.3g}" for value in (0, top / 2, top)])
    axes.tick_params(axis="y", length=1.5, pad=1.5, labelsize=max(look.font - 1.5, 3))
    labels = axes.get_yticklabels()
    labels[0].set_va("bottom")
    labels[-1].set_va("top")
    if row.heat.unit:
        axes.yaxis.set_label_position("right")
        axes.set_ylabel(row.heat.unit, fontsize=max(look.font - 1.5, 3), labelpad=2)
    axes.set_label("bar")


def _times(figure, times: Sequence[float], length: int, layout: Layout, look: Look) -> None:
    """The numbers of the frames below the last row, from 1."""
    wide, tall = layout.frame
    y = 1 - (layout.tops[-1] + tall + 0.85 * layout.line) / layout.height
    for column, time in enumerate(times):
        x = (layout.left + column * (wide + GAP) + wide / 2) / layout.width
        number = int(time * length) + 1
        words = f"frame {number}" if column == 0 and wide > 4.5 * look.font * CM / 72 else str(number)
        figure.text(x, y, words, ha="center", va="baseline", color=SOFT, fontsize=max(look.font - 1, 3))
