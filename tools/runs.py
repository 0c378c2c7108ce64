"""Shows all runs below a folder, with what differs in their configs: python tools/runs.py FOLDER [--to runs.html]"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import shutil
import sys
from pathlib import Path

from fragrant.launch import add_common_arguments, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.report.run_folders import find_runs  # imported late: --help answers at once
    from fragrant.report.runs import text_table, write_runs

    runs = find_runs(arguments.folder)
    print(text_table(runs, width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    for path in arguments.to or [Path(arguments.folder) / "runs.html"] if runs else ():
        write_runs(runs, arguments.folder, path)
        print(f"The table is in {path}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=path_argument, metavar="FOLDER", help="a folder with runs in it, or below it")
    parser.add_argument(
        "--to",
        nargs="+",
        type=path_argument,
        metavar="FILE",
        help="where to write: .html, .csv, .json; default: runs.html in FOLDER",
    )
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
