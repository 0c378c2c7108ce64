"""Prints rows of a scoreboard from score tables: python tools/scoreboard.py "zero-shot=output/run/scores.npz"
..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()


import argparse
import sys

from fragrant.files import save_file
from fragrant.launch import add_common_arguments, exit_code, path_argument

EPILOG = """\
The interval is Wilson's, 95 %, of as many videos as were scored. The tables of the folds of a cross-validation are
one run: * and ? in FILE name them all. A label that comes again is a further run (another seed) of the same videos.
  python tools/scoreboard.py "nothing real=output/zero_shot/scores.npz" "folds=output/finetune_*/scores.npz"
"""


def main(arguments) -> None:
    from fragrant.scores.scoreboard import markdown, rows_of  # imported late: --help answers at once
    from fragrant.texts import say

    table = markdown(rows_of(arguments.rows))
    if arguments.to:
        save_file(arguments.to, table + "\n")
    say(table.splitlines())


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="+", metavar="LABEL=SCORES", help="a row, and its score tables (scores.npz)")
    parser.add_argument("--to", type=path_argument, metavar="FILE", help="write them there, too")
    add_common_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
