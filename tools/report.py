"""Writes the HTML report of a test: python tools/report.py OUTPUT_DIR [--rule mean-softmax] [--to report.html]"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import sys
from pathlib import Path

from fragrant.config import cfg_from_text
from fragrant.launch import add_common_arguments, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.report.build import present_test  # imported late: --help answers at once
    from fragrant.scores import load_table

    given = Path(arguments.scores)
    path = given / "scores.npz" if given.is_dir() else given
    table = load_table(path)
    text = table.header.get("config")
    to = Path(arguments.to or path.parent / "report.html")
    log = arguments.log or path.parent / "metrics.jsonl"
    cfg = cfg_from_text(text, where=f"config in {path}") if text else None
    shown = {"num_mistakes": arguments.mistakes, "num_thumbnails": arguments.thumbnails}
    present_test(cfg, table, to, rule=arguments.rule, training_log=log, **shown)
    print(f"The report is in {to}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=path_argument, help="the OUTPUT_DIR of a test, or a score table (scores.npz)")
    parser.add_argument(
        "--log", type=path_argument, metavar="FILE", help="metrics.jsonl of the training; default: beside the scores"
    )
    parser.add_argument("--rule", help="how views become a video's score; default: as the test did")
    parser.add_argument("--mistakes", type=int, default=12, metavar="N", help="videos whose frames are shown")
    text = "videos that clicked cells of the confusion matrix show, a few frames of each; default 96"
    parser.add_argument("--thumbnails", type=int, default=96, metavar="N", help=text)
    parser.add_argument(
        "--to", type=path_argument, metavar="FILE", help="where to write; default: report.html beside the scores"
    )
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
