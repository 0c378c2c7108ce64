"""The picture of a learning-rate range test: losses over rates, and the rates that it suggests."""

import math
from collections.abc import Sequence
from pathlib import Path

from fragrant.files import written_whole
from fragrant.optim.range_test import Suggestion
from fragrant.report.strips import PictureError


def plot_range(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], found: Suggestion, path: Path
) -> None:
    """Draws a PNG.

    Raises:
        PictureError: no matplotlib, or it cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # not pyplot: no window, no global state
    except ImportError as error:
        raise PictureError("pictures need matplotlib: pip install -e '.[report]'") from error
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color="#a9bdd1", linewidth=1.0, label="loss of a step")
    axes.plot(rates, smoothed, color="#2f6fab", linewidth=2.0, label="smoothed")
    for rate, style, name in (
        (found.steepest, "-", "falls fastest"),
        (found.tenth, ":", "a tenth of the lowest"),
    ):
        if rates[0] <= rate <= rates[-1]:
            axes.axvline(rate, color="#c2502e", linestyle=style, label=f"{rate:.2e}: {name}")
    low = min(loss for loss in (*smoothed, *losses) if math.isfinite(loss))
    start = max(smoothed[: max(len(smoothed) // 4, 1)])
    room = 0.15 * max(start - low, 1e-6 + 0.02 * abs(start))
    axes.set_ylim(low - room, max(start + 3 * room, low + 2 * (start - low)))  # what broke away needs no room
    axes.set_xscale("log")
    axes.set_xlabel("SOLVER.BASE_LR")
    axes.set_ylabel("training loss")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            figure.savefig(file, dpi=150, format="png")
    except OSError as error:
        raise PictureError(f"picture '{path}' cannot be written: {error.strerror or error}") from error
