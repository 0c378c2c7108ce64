"""Combines or compares score tables: python tools/ensemble.py output/A output/B:0.5 --rule mean-softmax"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import sys
from pathlib import Path

from fragrant.errors import RunStopped
from fragrant.launch import add_common_arguments, exit_code, path_argument
from fragrant.texts import say

EPILOG = """\
Tables of one checkpoint are one run (shards of a list, further clips or crops); different checkpoints are
weighted and added up.
Also read: result pickles of SlowFast, UniFormer, mmaction2 (*.pkl) and folders of TDN's per-crop pickles;
--list names their rows.
  python tools/ensemble.py out/scores.*-of-4.npz                 the shards of a test
  python tools/ensemble.py out/scores.npz --views 0 centre       one clip, one crop out of a test with more
  python tools/ensemble.py rgb=a/*.npz flow=b/*.npz:0.5          two models, grouped by hand
  python tools/ensemble.py output/a output/b --compare           is one better? (McNemar)
  python tools/ensemble.py run/fold* --pool                      the folds of DATA.FOLDS as one result
"""


def main(arguments) -> None:
    from fragrant.data.lists.records import read_list
    from fragrant.scores.combine import combined, compare  # imported late: --help answers at once
    from fragrant.scores.pool import pooled
    from fragrant.scores.summary import name_not_finite

    listed = read_list(arguments.list, separator=arguments.separator, bare=True) if arguments.list else []
    options = {"rule": arguments.rule, "views": arguments.views, "allow_missing": arguments.allow_missing}
    named = {"paths": [record.path for record in listed] or None, **options}
    if arguments.compare:
        say(compare(arguments.tables, **named))
        return
    out, numbers = (Path(name) if name else None for name in (arguments.out, arguments.json))
    more = {"per_class": arguments.per_class, "out": out, "numbers": numbers}
    together, options = (pooled, options) if arguments.pool else (combined, named)
    lines, summary = together(arguments.tables, **options, **more)
    say(lines)
    if "not_finite" in summary:
        raise RunStopped(name_not_finite(summary))


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    help_ = "score tables, or the OUTPUT_DIRs of tests; * and ? are expanded"
    parser.add_argument("tables", nargs="+", metavar="[NAME=]FILE[:WEIGHT]", help=help_)
    parser.add_argument(
        "--rule",
        help="{sum,mean,max}-{logits,softmax,relu}; default: that of the first table's test, else mean-softmax",
    )
    parser.add_argument(
        "--views", nargs="+", default=[], metavar="VIEW", help="clip numbers, crops (left centre right), enhancements"
    )
    parser.add_argument(
        "--list", type=path_argument, metavar="FILE", help="the tested list, for pickles, which do not name their rows"
    )
    parser.add_argument("--separator", default=" ", help="between path and label in --list")
    parser.add_argument("--allow-missing", action="store_true", help="go on without videos or views that are missing")
    parser.add_argument("--compare", action="store_true", help="McNemar's test between two runs")
    parser.add_argument("--pool", action="store_true", help="the tables of several folds as one, each video once")
    parser.add_argument("--per-class", action="store_true", help="also the table of the classes")
    parser.add_argument(
        "--out",
        type=path_argument,
        metavar="FILE.npz",
        help="write the merged table, or of several runs the ensembled one",
    )
    parser.add_argument(
        "--json", type=path_argument, metavar="FILE", help="write all numbers, also the confusion matrix"
    )
    add_common_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
