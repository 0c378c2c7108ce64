"""Figures of scored tests for papers: the confusion matrix, accuracy by class and by illumination."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fragrant.metrics import Share, by_quantile, confusion_matrix, predicted, share
from fragrant.report.figure_style import (
    COLORS,
    INK,
    LINE,
    NAMED,
    RIGHT,
    SOFT,
    WRONG,
    Look,
    figure_style,
    legend_columns,
    new_figure,
    refuse_unknown_kind,
    save_figure,
    shortened,
)
from fragrant.report.run_tables import RunScores, class_names
from fragrant.report.strips import PictureError
from fragrant.scores.summary import LUMA_GROUPS, summarise

MOST_NAMED = 60  # classes of a matrix that still get their names
LONGEST = 28  # letters of a class name
CELLS = ("percent", "count", "none")
POINT = 0.0353  # centimetres
LIGHTEST = 0.10  # of the colour, in a cell with one video of very many


# --------------------------------------------------------------------------------------------------------------- matrix
def save_confusion(
    path: str | Path, runs: Sequence[RunScores], *, look: Look, most: int = 0, cells: str = "percent"
) -> None:
    """Draws the confusion matrix of one run: row = true class, column = predicted class.

    Args:
        most: only the classes that are confused most often, so many; 0 = all.
        cells: what stands in the cells: percent of the row, the count of videos, or none.

    Raises:
        PictureError: there are several runs, or videos have several labels.
    """
    refuse_unknown_kind(path)
    if len(runs) != 1:
        raise PictureError(f"a confusion matrix is of one run, got {len(runs)}; draw one for each")
    scores = _of_one_label(runs[0], "confusion matrix").scores
    names = class_names(scores)
    counts = confusion_matrix(predicted(scores.scores), scores.labels, len(names))
    kept = _most_confused(counts, most) if 0 < most < len(names) else list(range(len(names)))
    with figure_style(look):
        figure = _matrix(counts, kept, [names[number] for number in kept], look, cells)
        save_figure(path, figure, look)


def _of_one_label(run: RunScores, what: str) -> RunScores:
    if run.scores.labels.ndim > 1:
        raise PictureError(
            f"run '{run.name}': videos have several labels, so there is no {what}; allowed: classes, curves"
        )
    return run


def _most_confused(counts: Tensor, most: int) -> list[int]:
    """The classes of the most frequent confusions, in list order."""
    wrong = counts.clone().fill_diagonal_(0)
    chosen: list[int] = []
    for place in wrong.flatten().argsort(descending=True, stable=True).tolist():
        for number in divmod(place, len(counts)):
            if number not in chosen and len(chosen) < most:
                chosen.append(number)
        if len(chosen) == most:
            break
    return sorted(chosen)


def shades(part: Tensor, color: str) -> Tensor:
    """From white to a colour by a share: (...) of 0..1 -> (..., 3) of 0..1; never quite white above 0."""
    full = torch.tensor([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    strength = torch.where(part > 0, LIGHTEST + (1 - LIGHTEST) * part, part)[..., None]
    return 1 - strength * (1 - full)


def _matrix(counts: Tensor, kept: Sequence[int], names: Sequence[str], look: Look, cells: str):
    few = len(kept) <= 12
    width = look.width or (NAMED["column"] if few else NAMED["text"])
    figure = new_figure(look.sized(width, width * (0.86 if few else 0.92)), layout="constrained")
    axes = figure.subplots()
    shares = (counts.double() / counts.sum(1, keepdim=True).clamp(min=1))[kept][:, kept]  # of all videos of the row
    diagonal = torch.eye(len(kept), dtype=torch.bool)[..., None]
    axes.imshow(torch.where(diagonal, shades(shares, RIGHT), shades(shares, WRONG)).numpy(), interpolation="none")
    axes.set(xlabel="predicted class", ylabel="true class")
    # a cell has about so many points, what the names leave
    points = 0.7 * min(look.width or width, look.height or width) / POINT / len(kept)
    _name_cells(axes, names, points, look)
    if cells != "none" and points >= 2.2 * min(look.font, 6):
        _fill_cells(axes, shares, counts[kept][:, kept], cells, min(look.font, points / 2.2))
    axes.set_xticks([at - 0.5 for at in range(1, len(kept))], minor=True)
    axes.set_yticks([at - 0.5 for at in range(1, len(kept))], minor=True)
    axes.tick_params(which="minor", length=0)
    if points > 6:
        axes.grid(which="minor", color="white", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(True)
    axes.spines[:].set_color(LINE)
    _two_bars(axes)
    return figure


def _name_cells(axes, names: Sequence[str], points: float, look: Look) -> None:
    """Names at both sides, upright or slanted below where they are wider than a cell; none where there is no room."""
    if len(names) > MOST_NAMED:
        axes.set(xticks=[], yticks=[], xlabel=f"predicted class (of {len(names)})", ylabel="true class")
        return
    shown = [shortened(name, LONGEST) for name in names]
    size = max(3.0, min(look.font - 1, 0.9 * points))
    wide = max(map(len, shown)) * 0.58 * size > points
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if wide else {}
    axes.set_xticks(range(len(names)), shown, fontsize=size, **turned)
    axes.set_yticks(range(len(names)), shown, fontsize=size)
    axes.tick_params(length=0)


def _fill_cells(axes, shares: Tensor, counts: Tensor, cells: str, size: float) -> None:
    for row, column in counts.nonzero().tolist():
        part = float(shares[row, column])
        text = f"{100 * part:.0f}" if cells == "percent" else str(int(counts[row, column]))
        dark = part > (0.5 if row == column else 0.6)
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if dark else INK)


def _two_bars(axes) -> None:
    """Two thin colour bars beside the matrix, with one scale: what is recognised, and what is mistaken."""
    side = axes.inset_axes((1.04, 0, 0.05, 1))
    ramp = torch.linspace(0, 1, 256)
    both = torch.stack([shades(ramp, RIGHT), shades(ramp, WRONG)], 1)  # (256, 2, 3)
    side.imshow(both.numpy(), extent=(0, 2, 0, 100), aspect="auto", origin="lower", interpolation="none")
    side.set(xticks=[], yticks=[0, 25, 50, 75, 100], ylabel="share of the true class, %")
    side.yaxis.set_label_position("right")
    side.yaxis.tick_right()
    side.spines[:].set_visible(False)


# -------------------------------------------------------------------------------------------------------------- classes
def save_classes(path: str | Path, runs: Sequence[RunScores], *, look: Look, most: int = 0) -> None:
    """Draws the accuracy of every class as bars with 95 % intervals, the hardest of the first run on top; where videos
    have several labels, the average precision.

    Args:
        most: only the hardest classes, so many; 0 = all.

    Raises:
        PictureError: the file cannot be written, or there is no matplotlib.
    """
    refuse_unknown_kind(path)
    several = runs[0].scores.labels.ndim > 1
    rows = [_per_class(run) for run in runs]
    order = sorted(
        (number for number, row in enumerate(rows[0]) if row is not None),
        key=lambda number: (rows[0][number].percent, number),  # type: ignore[union-attr]
    )
    kept = order[:most] if most else order
    names = [shortened(class_names(runs[0].scores)[number], LONGEST) for number in kept]
    with figure_style(look):
        line = 0.30 + 0.16 * len(runs)  # centimetres of a class
        height = 1.6 + max(len(kept) * line, 1.5) + 0.4 * (len(runs) > 1)
        look = look.sized(NAMED["column"], min(height, 110))
        figure = new_figure(look, layout="constrained")
        axes = figure.subplots()
        drawn = [[row[number] for number in kept] for row in rows]
        _grouped_bars(axes, drawn, across=True)
        axes.set_yticks(range(len(kept)), names)
        axes.set(ylim=(len(kept) - 0.4, -0.6), xlim=(0, 100))
        axes.set_xlabel("average precision, %" if several else "accuracy, %")
        if len(kept) < len(order):
            axes.set_title(f"the {len(kept)} hardest of {len(order)} classes", loc="left")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        _keys(figure, axes, [run.name for run in runs], None if several else 100 / len(rows[0]), look, across=True)
        save_figure(path, figure, look)


def _per_class(run: RunScores) -> list[Share | None]:
    """Accuracy of each class, or its average precision with an interval of no length; None where it has no video."""
    summary = summarise(run.scores)
    if run.scores.labels.ndim > 1:
        return [None if value is None else Share(0, 0, value, value, value) for value in summary["average_precision"]]
    return [
        Share(**{name: row[name] for name in Share._fields}) if row["total"] else None for row in summary["per_class"]
    ]


def _fill(number: int) -> tuple[float, float, float]:
    """The colour of the bars of a run, a little lighter than its lines: whiskers are read over it."""
    red, green, blue = shades(torch.tensor(0.75), COLORS[number % len(COLORS)]).tolist()
    return red, green, blue


def _grouped_bars(axes, rows: Sequence[Sequence[Share | None]], *, across: bool) -> None:
    """Bars of several runs beside each other at 0, 1, ..., with whiskers from low to high."""
    thick = 0.78 / len(rows)
    for number, row in enumerate(rows):
        places = [at - 0.39 + thick * (number + 0.5) for at, value in enumerate(row) if value is not None]
        known = [value for value in row if value is not None]
        percents = [value.percent for value in known]
        whiskers = [[v.percent - v.low for v in known], [v.high - v.percent for v in known]]
        has = any(v.high > v.low for v in known)
        style = {"color": _fill(number), "linewidth": 0}
        mark = {"ecolor": INK, "elinewidth": 0.8, "capsize": min(2.0, 6 * thick), "fmt": "none", "capthick": 0.8}
        if across:
            axes.barh(places, percents, height=thick * 0.94, **style)
            if has:
                axes.errorbar(percents, places, xerr=whiskers, **mark)
        else:
            axes.bar(places, percents, width=thick * 0.94, **style)
            if has:
                axes.errorbar(places, percents, yerr=whiskers, **mark)


def _keys(figure, axes, names: Sequence[str], chance: float | None, look: Look, *, across: bool) -> None:
    """The line of chance, and the legend: the runs where there are several."""
    from matplotlib.patches import Patch

    handles = [
        Patch(color=_fill(number), linewidth=0, label=shortened(name, 30))
        for number, name in enumerate(names)
        if len(names) > 1
    ]
    if chance is not None:
        draw = axes.axvline if across else axes.axhline
        handles.append(draw(chance, color=SOFT, linestyle="--", linewidth=0.9, label=f"chance, {chance:.3g} %"))
    if handles:
        columns = legend_columns([str(handle.get_label()) for handle in handles], look)
        figure.legend(handles=handles, loc="outside upper right", ncols=columns)


# --------------------------------------------------------------------------------------------------------- illumination
def save_illumination(path: str | Path, runs: Sequence[RunScores], *, look: Look, groups: int = LUMA_GROUPS) -> None:
    """Draws the accuracy in groups of equally many videos from the darkest to the brightest, with 95 % intervals.

    The groups are those of all videos together, so that runs on the same or other videos share them.

    Raises:
        PictureError: videos have several labels, or no mean luma.
    """
    refuse_unknown_kind(path)
    luma: dict[str, float] = {}
    for run in runs:
        scores = _of_one_label(run, "accuracy by illumination").scores
        if bool(scores.luma.isnan().all()):
            raise PictureError(f"run '{run.name}': the score table holds no mean luma of the videos; test again")
        luma |= dict(zip(scores.paths, scores.luma.tolist(), strict=True))
    every = torch.tensor(list(luma.values()))
    bounds = [(group.low, group.high) for group in by_quantile(every, every > 0, groups=groups)]
    rows = [[_within(run, low, high) for low, high in bounds] for run in runs]
    with figure_style(look):
        look = look.sized(NAMED["column"], 6.0)
        figure = new_figure(look, layout="constrained")
        axes = figure.subplots()
        _grouped_bars(axes, rows, across=False)
        counts = [row.total if row else 0 for row in rows[0]]
        same = all([row.total if row else 0 for row in other] == counts for other in rows)
        labels = [
            f"{low:.3f}–{high:.3f}" + (f"\n{count} videos" if same else "")
            for (low, high), count in zip(bounds, counts, strict=True)
        ]
        axes.set_xticks(range(len(bounds)), labels)
        axes.set(ylim=(0, 100), xlim=(-0.6, len(bounds) - 0.4))
        axes.set(ylabel="top-1 accuracy, %", xlabel="mean luma of the video (0 black, 1 white)")
        axes.grid(axis="y")
        axes.tick_params(axis="x", length=0)
        _keys(figure, axes, [run.name for run in runs], 100 / runs[0].scores.scores.shape[1], look, across=False)
        save_figure(path, figure, look)


def _within(run: RunScores, low: float, high: float) -> Share | None:
    """The accuracy on the videos of a range of luma; None where the run has none."""
    luma, right = run.scores.luma.double(), predicted(run.scores.scores) == run.scores.labels
    inside = (luma >= low) & (luma <= high)
    return share(int(right[inside].sum()), int(inside.sum())) if bool(inside.any()) else None
