"""Draws figures for papers from the folders of runs, as .png, .svg or .pdf.

  python tools/plot.py confusion output/run --to confusion.pdf
  python tools/plot.py classes output/run1 output/run2 --names "without FAM" "with FAM" --width column
  python tools/plot.py illumination output/run1 output/run2 --size 8.5x6cm
  python tools/plot.py curves output/run1 output/run2 --to curves.svg --latex

Without the first word it draws curves.
"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from fragrant.launch import add_common_arguments, exit_code, path_argument
from fragrant.report.figure_arguments import add_figure_arguments

KINDS = {
    "confusion": "the confusion matrix of one test",
    "classes": "accuracy of every class with 95 %% intervals",
    "illumination": "accuracy from the darkest to the brightest videos",
    "curves": "loss, accuracy and learning rate of trainings",
}


def main(arguments) -> None:
    from fragrant.errors import UserError  # imported late: --help answers at once
    from fragrant.report.figure_style import look_of
    from fragrant.report.plot import plot_runs, refuse_unknown_panels
    from fragrant.report.run_tables import load_scores
    from fragrant.report.score_figures import save_classes, save_confusion, save_illumination
    from fragrant.texts import did_you_mean

    look, to, first = look_of(arguments), arguments.to or f"{arguments.kind}.png", arguments.runs[0]
    if not Path(first).exists() and "/" not in first and (meant := did_you_mean(first, KINDS)):
        raise UserError(f"'{first}' is neither a run nor a figure; {meant}Known: {', '.join(KINDS)}")
    if arguments.kind == "curves":
        refuse_unknown_panels(arguments.panels)
        plot_runs(arguments.runs, to, names=arguments.names, look=look, panels=arguments.panels)
        print(f"The curves are in {to}")
        return
    savers: dict[str, Callable] = {"confusion": save_confusion, "classes": save_classes}
    save = (savers | {"illumination": save_illumination})[arguments.kind]
    own = {name: getattr(arguments, name) for name in ("most", "cells", "groups") if hasattr(arguments, name)}
    if own.get("most", 0) < 0:
        raise UserError(f"--most {own['most']} must not be below 0; 0 = all classes")
    if not 1 <= own.get("groups", 1) <= 20:
        raise UserError(f"--groups {own['groups']} is out of range; allowed: 1 to 20")
    save(to, load_scores(arguments.runs, names=arguments.names, rule=arguments.rule), look=look, **own)
    print(f"The figure is in {to}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, text in KINDS.items():
        sub = kinds.add_parser(kind, help=text, description=text)
        what = "a training, or its metrics.jsonl" if kind == "curves" else "a test, or its scores.npz"
        sub.add_argument("runs", nargs="+", type=path_argument, metavar="RUN", help=f"OUTPUT_DIR of {what}")
        sub.add_argument("--to", type=path_argument, metavar="FILE", help=f"default {kind}.png; or .svg, .pdf")
        sub.add_argument("--names", nargs="+", metavar="NAME", help="what to call the runs; default: their folders")
        if kind == "curves":
            sub.add_argument("--panels", nargs="+", metavar="PANEL", help="of loss, top-1, map, lr; default: all")
        else:
            sub.add_argument("--rule", help="how views become a video's score; default: as the test did")
        if kind in ("confusion", "classes"):
            sub.add_argument("--most", type=int, default=0, metavar="N", help="only the N most confused classes")
        if kind == "confusion":
            sub.add_argument("--cells", choices=["percent", "count", "none"], default="percent", help="in the cells")
        if kind == "illumination":
            sub.add_argument("--groups", type=int, default=4, metavar="N", help="of equally many videos; default 4")
        add_figure_arguments(sub)
        add_common_arguments(sub)
    old = words and words[0] not in KINDS and words[0] not in ("-h", "--help")
    arguments = parser.parse_args(["curves", *words] if old else words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
