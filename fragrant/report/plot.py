"""Curves of several runs side by side, as a PNG or SVG."""

from collections.abc import Sequence
from pathlib import Path

from fragrant.files import written_whole
from fragrant.report.curves import LogError, curve, read_records
from fragrant.report.strips import PictureError

PANELS = (  # title, curves of SOURCES and how each is drawn
    ("training loss", [("loss", "-")]),
    ("top-1 accuracy, % (dashed: training)", [("training top-1", "--"), ("validation top-1", "-")]),
    ("learning rate", [("learning rate", "-")]),
)
SEVERAL_LABELS = ("mean average precision, %", [("validation mAP", "-")])  # before the last panel, where it was logged
KINDS = (".png", ".svg", ".pdf")


def run_names(folders: Sequence[Path]) -> list[str]:
    """Short distinct names for the runs: the last part of each path, or as many parts as are needed."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return names


def plot_runs(folders: Sequence[str | Path], path: str | Path, *, names: Sequence[str] | None = None) -> None:
    """Plots the curves of several runs, one panel per quantity, one colour per run; quantities that a run did not log
    are left out.

    Args:
        folders: the OUTPUT_DIRs, or ``metrics.jsonl`` files.

    Raises:
        LogError: a log cannot be read, or holds no curve. PictureError: no matplotlib, or the picture cannot be
            written.
    """
    runs, path = [Path(folder) for folder in folders], Path(path)
    if path.suffix.lower() not in KINDS:
        raise PictureError(f"picture '{path}' has no known ending; allowed: {', '.join(KINDS)}")
    if names is not None and len(names) != len(runs):
        raise PictureError(f"{len(names)} names for {len(runs)} runs; allowed: one for each, in the same order")
    logs = [read_records(folder / "metrics.jsonl" if folder.is_dir() else folder) for folder in runs]
    for folder, records in zip(runs, logs, strict=True):
        if not any(curve(records, name).epochs for _, lines in PANELS for name, _ in lines):
            raise LogError(f"log of '{folder}' has no training records; allowed: the OUTPUT_DIR of a training")
    names = names or run_names([folder if folder.is_dir() else folder.parent for folder in runs])
    figure = _draw(logs, names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            figure.savefig(file, dpi=150, format=path.suffix[1:].lower())
    except OSError as error:
        raise PictureError(f"picture '{path}' cannot be written: {error.strerror or error}") from error


def _draw(logs: Sequence[list[dict]], names: Sequence[str]):
    try:
        from matplotlib.figure import Figure  # not pyplot: no window, no global state
    except ImportError as error:
        raise PictureError("curves need matplotlib: pip install -e '.[report]'") from error
    multi_label = any(curve(records, "validation mAP").epochs for records in logs)
    panels = (*PANELS[:-1], *([SEVERAL_LABELS] if multi_label else []), PANELS[-1])
    figure = Figure(figsize=(5.2 * len(panels), 4.4), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for number, (records, name) in enumerate(zip(logs, names, strict=True)):
            for source, style in lines:
                points = curve(records, source)
                mark = "." if len(points.epochs) <= 30 else None
                main = source == lines[-1][0]
                options = {"color": f"C{number}", "linestyle": style, "marker": mark, "linewidth": 1.8 if main else 1.0}
                axes.plot(points.epochs, points.values, label=name if main else None, **options)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(names)), frameon=False
    )
    return figure
