"""The one style of figures for papers: lengths, type, colours that colour-blind readers tell apart, and the file."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fragrant.files import written_whole
from fragrant.report.strips import PictureError
from fragrant.texts import printable

CM = 2.54  # centimetres of an inch
UNITS = {"cm": 1.0, "mm": 0.1, "in": CM, "pt": CM / 72.27}  # a point of TeX, as \the\columnwidth says it
NAMED = {"column": 3.25 * CM, "text": 6.875 * CM}  # CVPR, ICCV: a column, the whole width
SMALLEST, LARGEST = 2.0, 120.0  # centimetres
MOST_PIXELS = 100_000_000
KINDS = (".png", ".svg", ".pdf")

# Okabe and Ito's colours (Color Universal Design, 2008) without the yellow, too pale for lines on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # so that runs are told apart without colours, too
RIGHT, WRONG, INK, SOFT, LINE = COLORS[0], COLORS[1], "#1f2933", "#5f6c7b", "#d9dfe6"


class Look(NamedTuple):
    """How a figure is set: width and height in centimetres (None: what it needs), pixels per inch, type in points."""

    width: float | None = None
    height: float | None = None
    dpi: float = 300.0
    font: float = 8.0
    latex: bool = False

    def sized(self, width: float, height: float) -> "Look":
        """The look with its own width and height where given, else these."""
        return self._replace(width=self.width or width, height=self.height or height)


LOOK = Look()


def centimetres(text: str, what: str) -> float:
    """Reads a length: ``"17cm"``, ``"3.25in"``, ``"240pt"``, ``"17"`` (cm), ``"column"``.

    Raises:
        PictureError: it is none, or too small or large.
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?(cm|mm|in|pt)?", text.strip(), re.ASCII)
    if text not in NAMED and match is None:
        units, names = ", ".join(UNITS), ", ".join(NAMED)
        raise PictureError(f"{what} '{printable(text)}' is no length; allowed: a number with {units}, or {names}")
    value = NAMED[text] if match is None else float(match[1]) * UNITS[match[2] or "cm"]
    if not SMALLEST <= value <= LARGEST:
        raise PictureError(f"{what} '{text}' is {value:.4g} cm; allowed: {SMALLEST:g} to {LARGEST:g} cm")
    return value


def look_of(arguments) -> Look:
    """The look that the arguments of ``figure_arguments`` ask for.

    Raises:
        PictureError: one of them is out of range.
    """
    width = height = None
    if arguments.size is not None:
        match = re.fullmatch(r"([^x]+)x([^x]+?)", arguments.size.strip())
        if match is None:
            raise PictureError(
                f"--size '{printable(arguments.size)}' is no size; allowed: WxH as in 17x6cm or 6.9x2.5in"
            )
        unit = re.search(r"(cm|mm|in|pt)$", match[2])
        first = match[1] + (unit[0] if unit and match[1][-1].isdigit() else "")
        width, height = centimetres(first, "--size, width"), centimetres(match[2], "--size, height")
    elif arguments.width is not None:
        width = centimetres(arguments.width, "--width")
    for name, value, low, high in (("--dpi", arguments.dpi, 30, 1200), ("--font-size", arguments.font_size, 3, 40)):
        if not low <= value <= high:
            raise PictureError(f"{name} {value:g} is out of range; allowed: {low} to {high}")
    return Look(width, height, arguments.dpi, arguments.font_size, arguments.latex)


def shortened(text: str, most: int) -> str:
    """A name for a figure: one line of at most ``most`` letters."""
    text = printable(text)
    return text if len(text) <= most else text[: max(most - 1, 1)] + "…"


def legend_columns(names: Sequence[str], look: Look) -> int:
    """How many entries of a legend fit beside each other, by the usual width of letters."""
    entry = (max(map(len, names), default=1) * 0.53 + 5) * (look.font - 1) * CM / 72
    return max(1, min(len(names), int((look.width or NAMED["text"]) / entry)))


def _rules(look: Look) -> dict[str, Any]:
    family = (
        {"font.family": "STIXGeneral", "mathtext.fontset": "stix"} if look.latex else {"font.family": "DejaVu Sans"}
    )
    small = max(look.font - 1, 3)
    return family | {
        "font.size": look.font,
        "axes.titlesize": look.font,
        "axes.labelsize": look.font,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": SOFT,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "grid.color": LINE,
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "legend.frameon": False,
        "figure.constrained_layout.h_pad": 0.045,
        "figure.constrained_layout.w_pad": 0.045,
        "text.parse_math": False,  # a $ in a name is a $
        "pdf.fonttype": 42,  # TrueType, embedded: what publishers ask for, text stays text
        "svg.fonttype": "path",  # outlines: the same on every machine
        "svg.hashsalt": "fragrant",  # the same figure, the same bytes
    }


@contextmanager
def figure_style(look: Look) -> Iterator[None]:
    """Sets the style while a figure is drawn and saved, whatever the user's own settings of matplotlib are.

    Raises:
        PictureError: there is no matplotlib.
    """
    try:
        import matplotlib.figure  # not pyplot: no window, no global state
        import matplotlib.style
    except ImportError as error:
        raise PictureError("figures need matplotlib: pip install -e '.[report]'") from error
    with matplotlib.style.context(["default", _rules(look)]):
        yield


def new_figure(look: Look, **options):
    """An empty figure of the exact size of ``look``; within ``figure_style``.

    Raises:
        PictureError: it would have more than ``MOST_PIXELS`` pixels.
    """
    from matplotlib.figure import Figure

    width, height = look.width or NAMED["text"], look.height or NAMED["column"]
    if width * height * (look.dpi / CM) ** 2 > MOST_PIXELS:
        raise PictureError(
            f"figure of {width:.4g} x {height:.4g} cm at --dpi {look.dpi:g} is too large; take fewer dpi"
        )
    return Figure(figsize=(width / CM, height / CM), dpi=look.dpi, **options)


def refuse_unknown_kind(path: str | Path) -> None:
    """Refuses a picture that is neither PNG nor SVG nor PDF, before anything is computed for it."""
    if Path(path).suffix.lower() not in KINDS:
        raise PictureError(f"picture '{path}' has no known ending; allowed: {', '.join(KINDS)}")


def save_figure(path: str | Path, figure, look: Look) -> None:
    """Writes a figure in the format of the file's ending; within ``figure_style``.

    Raises:
        PictureError: the ending is not known, or the folder cannot be written.
    """
    refuse_unknown_kind(path)
    path = Path(path)
    kind = path.suffix[1:].lower()
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": None}[kind]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            figure.savefig(file, dpi=look.dpi, format=kind, metadata=undated)
    except OSError as error:
        raise PictureError(f"picture '{path}' cannot be written: {error.strerror or error}") from error
