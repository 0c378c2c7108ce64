"""A timeline of one video: classes over time and the brightness beneath, as an HTML page or a picture."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from fragrant.files import save_file, written_whole
from fragrant.report.figure_style import KINDS
from fragrant.report.page import filled_page, part
from fragrant.report.strips import TARGET_LUMA, PictureError

MOST_ROWS = 8  # classes that have a row
PAGE = (".html", ".htm")


class Piece(NamedTuple):
    """What is said of a part of a video: its time in seconds, a probability for each class, the brightness 0..1 (NaN:
    not measured)."""

    start: float
    end: float
    probs: Sequence[float]
    luma: float


class Segment(NamedTuple):
    """Neighbouring pieces with the same most probable class, and its mean probability."""

    start: float
    end: float
    number: int
    prob: float


def parted(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces that do not overlap: each has the time that lies nearest to its middle; the first and the last reach to
    their ends."""
    middles = [(piece.start + piece.end) / 2 for piece in pieces]
    borders = [(one + other) / 2 for one, other in zip(middles, middles[1:], strict=False)]
    starts, ends = [pieces[0].start, *borders], [*borders, pieces[-1].end]
    return [piece._replace(start=a, end=b) for piece, a, b in zip(pieces, starts, ends, strict=True)]


def segments_of(pieces: Sequence[Piece]) -> list[Segment]:
    """Joins neighbouring pieces (``parted``) with the same best class."""
    found: list[Segment] = []
    counts: list[int] = []
    for piece in pieces:
        number = max(range(len(piece.probs)), key=piece.probs.__getitem__)
        prob = float(piece.probs[number])
        if found and found[-1].number == number:
            counts[-1] += 1
            mean = found[-1].prob + (prob - found[-1].prob) / counts[-1]
            found[-1] = found[-1]._replace(end=piece.end, prob=mean)
        else:
            found.append(Segment(piece.start, piece.end, number, prob))
            counts.append(1)
    return found


def shown_classes(pieces: Sequence[Piece], most: int = MOST_ROWS) -> list[int]:
    """The classes that have a row: those that are the most probable ones anywhere, then the largest ones."""
    peaks = [max(piece.probs[number] for piece in pieces) for number in range(len(pieces[0].probs))]
    best = {segment.number for segment in segments_of(pieces)}
    order = sorted(range(len(peaks)), key=lambda number: (number not in best, -peaks[number]))
    return order[:most]


def save_timeline(
    path: str | Path, video: str | Path, pieces: Sequence[Piece], class_names: Sequence[str], *, subtitle: str = ""
) -> None:
    """Writes the timeline of a video in the format of the file's suffix.

    Args:
        path: .html, .png, .svg or .pdf.
        video: its file, to which the page leads.
        pieces: its parts in their order.

    Raises:
        PictureError: another suffix, no matplotlib for a picture, or it cannot be written.
    """
    check_suffix(path)
    path = Path(path)
    pieces = parted(pieces)
    if path.suffix.lower() in PAGE:
        save_file(path, _page(path, Path(video), pieces, class_names, subtitle), PictureError)
        return
    figure = _figure(Path(video).name, pieces, class_names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            figure.savefig(file, dpi=150, format=path.suffix[1:].lower())
    except OSError as error:
        raise PictureError(f"picture '{path}' cannot be written: {error.strerror or error}") from error


def check_suffix(path: str | Path) -> None:
    """Checks the suffix of a timeline.

    Raises:
        PictureError: it is of no kind that can be written.
    """
    if Path(path).suffix.lower() not in (*PAGE, *KINDS):
        raise PictureError(f"timeline '{path}' has no known ending; allowed: .html, {', '.join(KINDS)}")


# ----------------------------------------------------------------------------------------------------------------- page
def _page(path: Path, video: Path, pieces: Sequence[Piece], names: Sequence[str], subtitle: str) -> str:
    relative = os.path.relpath(video.resolve(), path.parent.resolve())
    segments = segments_of(pieces)
    numbers = shown_classes(pieces)
    lumas = [piece.luma for piece in pieces if not math.isnan(piece.luma)]
    mean = sum(lumas) / len(lumas) if lumas else TARGET_LUMA
    content = {
        "name": video.name,
        "video": "./" + quote(os.fsencode(relative.replace(os.sep, "/")), safe="/"),
        "subtitle": subtitle,
        "end": pieces[-1].end,
        "brighten": round(min(max(TARGET_LUMA / max(mean, 1e-3), 1.5), 8), 2),
        "left_out": len(names) - len(numbers),
        "rows": [
            {
                "name": names[number],
                "points": [[piece.start, piece.end, round(float(piece.probs[number]), 4)] for piece in pieces],
                "on": [[segment.start, segment.end] for segment in segments if segment.number == number],
            }
            for number in numbers
        ],
        "luma": [[piece.start, piece.end, round(piece.luma, 4)] for piece in pieces if not math.isnan(piece.luma)],
        "segments": [segment._asdict() | {"name": names[segment.number]} for segment in segments],
    }
    styles = [part("page.css"), part("timeline.css")]
    scripts = [part("timeline.js"), part("timeline_page.js").replace('"use strict";\n', "")]
    sources = "img-src data:; media-src 'self' file:"
    return filled_page(f"{video.name} over time", content, styles=styles, scripts=scripts, sources=sources)


# -------------------------------------------------------------------------------------------------------------- picture
BLUE, GRAY, INK, PALE = "#2f6fab", "#5f6c7b", "#1f2933", "#d9dfe6"


def _figure(title: str, pieces: Sequence[Piece], names: Sequence[str]):
    try:
        from matplotlib.figure import Figure  # not pyplot: no window, no global state
    except ImportError as error:
        raise PictureError("pictures of timelines need matplotlib: pip install -e '.[report]'") from error
    numbers, segments = shown_classes(pieces), segments_of(pieces)
    light = not all(math.isnan(piece.luma) for piece in pieces)
    figure = Figure(figsize=(8, 0.9 + 0.55 * (len(numbers) + light)), layout="constrained")
    rows = figure.subplots(len(numbers) + light, 1, sharex=True, squeeze=False)[:, 0]
    edges = [pieces[0].start, *(piece.end for piece in pieces)]
    for axes, number in zip(rows, numbers, strict=False):
        axes.stairs([float(piece.probs[number]) for piece in pieces], edges, fill=True, color=BLUE, alpha=0.8)
        for segment in segments:
            if segment.number == number:
                axes.plot([segment.start, segment.end], [0, 0], color=INK, linewidth=3, solid_capstyle="butt")
        axes.set_ylim(0, 1)
        axes.set_ylabel(names[number], rotation=0, ha="right", va="center", fontsize=9)
    if light:
        lumas = [0.0 if math.isnan(piece.luma) else piece.luma for piece in pieces]
        rows[-1].stairs(lumas, edges, fill=True, color=GRAY, alpha=0.7)
        most = max(*lumas, 0.01)
        rows[-1].set_ylim(0, most)
        text = f"brightness\nto {most:.2g}"
        rows[-1].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9, color=GRAY)
    for axes in rows:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(PALE)
        axes.tick_params(bottom=axes is rows[-1])
        axes.set_yticks([])
        axes.set_xlim(edges[0], edges[-1])
        axes.tick_params(labelsize=8)
    rows[0].set_title(title, loc="left", fontsize=10)
    rows[-1].set_xlabel("seconds", fontsize=9)
    return figure
