"""Curves of several runs side by side, as a figure for a paper."""

from collections.abc import Sequence
from pathlib import Path

from fragrant.report.curves import LogError, curve, read_records
from fragrant.report.figure_style import (
    COLORS,
    LOOK,
    MARKERS,
    Look,
    figure_style,
    legend_columns,
    new_figure,
    refuse_unknown_kind,
    save_figure,
    shortened,
)
from fragrant.report.run_tables import names_of, run_names
from fragrant.report.strips import PictureError

__all__ = ["PANELS", "plot_runs", "run_names"]

PANELS = {  # name -> title, curves of SOURCES and how each is drawn
    "loss": ("training loss", [("loss", "-")]),
    "top-1": ("top-1 accuracy, % (dashed: training)", [("training top-1", "--"), ("validation top-1", "-")]),
    "map": ("mean average precision, %", [("validation mAP", "-")]),  # of videos with several labels
    "lr": ("learning rate", [("learning rate", "-")]),
}
MARKED = 10  # points of a curve, about: so that runs are told apart without colours, too
LEAST_WIDTH = 4.4  # centimetres of a panel that stands beside others


def plot_runs(
    folders: Sequence[str | Path],
    path: str | Path,
    *,
    names: Sequence[str] | None = None,
    look: Look = LOOK,
    panels: Sequence[str] | None = None,
) -> None:
    """Plots the curves of several runs, one panel per quantity, one colour per run; quantities that a run did not log
    are left out.

    Args:
        folders: the OUTPUT_DIRs, or ``metrics.jsonl`` files.
        panels: some of ``PANELS``; None = those that a run has logged.

    Raises:
        LogError: a log cannot be read, or holds no curve. PictureError: no matplotlib, or the picture cannot be
            written.
    """
    runs = [Path(folder) for folder in folders]
    refuse_unknown_kind(path)
    named = names_of(runs, names)
    logs = [read_records(folder / "metrics.jsonl" if folder.is_dir() else folder) for folder in runs]
    for folder, records in zip(runs, logs, strict=True):
        if not any(_has(records, panel) for panel in PANELS):
            raise LogError(f"log of '{folder}' has no training records; allowed: the OUTPUT_DIR of a training")
    shown = [panel for panel in panels or PANELS if any(_has(records, panel) for records in logs)]
    if not shown:
        raise LogError(f"no run has logged what --panels asks for: {', '.join(panels or ())}")
    with figure_style(look):
        figure = _draw(logs, named, shown, look)
        save_figure(path, figure, look)


def _has(records: Sequence[dict], panel: str) -> bool:
    return any(curve(records, source).epochs for source, _ in PANELS[panel][1])


def _draw(logs: Sequence[list[dict]], names: Sequence[str], panels: Sequence[str], look: Look):
    width = look.width or min(17.4, 6.2 * len(panels))
    beside = max(1, min(len(panels), int(width / LEAST_WIDTH)))
    below = -(-len(panels) // beside)
    look = look.sized(width, 4.9 * below + 0.5)
    figure = new_figure(look, layout="constrained")
    grid = figure.subplots(below, beside, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        title, lines = PANELS[panel]
        for number, records in enumerate(logs):
            for source, style in lines:
                _line(axes, curve(records, source), number, style, main=source == lines[-1][0])
        axes.set_title(title, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    _legend(figure, names, look)
    return figure


def _line(axes, points, number: int, style: str, *, main: bool) -> None:
    """One curve; a training curve is thinner than the validation over it."""
    axes.plot(
        points.epochs,
        points.values,
        color=COLORS[number % len(COLORS)],
        linestyle=style,
        marker=MARKERS[number % len(MARKERS)] if main else None,
        markevery=max(1, len(points.epochs) // MARKED),
        linewidth=1.2 if main else 0.8,
        zorder=3 if main else 2,
    )


def _legend(figure, names: Sequence[str], look: Look) -> None:
    """The runs by colour and mark, below all panels: also those that have no curve in some."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLORS[number % len(COLORS)], marker=MARKERS[number % len(MARKERS)])
        for number in range(len(names))
    ]
    shown = [shortened(name, 40) for name in names]
    figure.legend(handles, shown, loc="outside lower center", ncols=legend_columns(shown, look))


def refuse_unknown_panels(panels: Sequence[str] | None) -> None:
    """Refuses panels that there are not.

    Raises:
        PictureError: says which there are.
    """
    for panel in panels or ():
        if panel not in PANELS:
            raise PictureError(f"panel '{panel}' is not known; allowed: {', '.join(PANELS)}")
