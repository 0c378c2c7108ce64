"""Plots training curves of several runs side by side: python tools/plot.py output/run1 output/run2 --to curves.png"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import sys

from fragrant.launch import add_common_arguments, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.report.plot import plot_runs  # imported late: --help answers at once

    plot_runs(arguments.runs, arguments.to, names=arguments.names)
    print(f"The curves are in {arguments.to}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "runs", nargs="+", type=path_argument, metavar="RUN", help="OUTPUT_DIR of a run, or its metrics.jsonl"
    )
    parser.add_argument(
        "--to",
        default="curves.png",
        type=path_argument,
        metavar="FILE",
        help="where to write: .png, .svg or .pdf; default curves.png",
    )
    parser.add_argument("--names", nargs="+", metavar="NAME", help="what to call the runs; default: their folders")
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
