"""Reads every video of a config's lists, or of one list, before a run does: python tools/check_data.py --cfg FILE KEY
VALUE ..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from pathlib import Path
from typing import Any

from fragrant.errors import RunStopped
from fragrant.launch import argument_parser, config_of, exit_code, path_argument


def main(arguments) -> None:
    cfg = config_of(arguments)
    from fragrant.data.prepare.build import check_lists, tell_statistics

    usual = ("train",) if arguments.statistics else ("train", "val", "test")
    lists = [(Path(path).stem, "test", path) for path in arguments.list]
    lists = lists or [(split, split, "") for split in arguments.split or usual]
    if arguments.statistics:
        return tell_statistics(cfg, lists, most=arguments.videos, workers=arguments.workers)
    how = {"min_frames": arguments.min_frames, "workers": arguments.workers, "clean": arguments.write_clean_list}
    if problems := check_lists(cfg, lists, arguments.out, **how):
        raise RunStopped(f"{problems} problem(s), see above and the column 'problems' of the tables")


def start(words: list[str]) -> int:
    from fragrant.workers import usable_cores

    parser = argument_parser(__doc__)
    listed: dict[str, Any] = {"type": path_argument, "action": "append", "default": [], "metavar": "FILE"}
    parser.add_argument("--list", **listed, help="a list file instead of those of the config; may be repeated")
    parser.add_argument(
        "--split",
        action="append",
        choices=["train", "val", "test"],
        help="only this list of the config; may be repeated",
    )
    parser.add_argument(
        "--out", default="check", type=path_argument, metavar="DIR", help="folder for <list>.table.csv and clean lists"
    )
    parser.add_argument(
        "--min-frames", type=int, metavar="N", help="shorter videos are problems (default: DATA.NUM_FRAMES)"
    )
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), metavar="N", help="reading processes (default: one per core)"
    )
    parser.add_argument(
        "--write-clean-list", action="store_true", help="also write <list>.csv without the rows that have a problem"
    )
    parser.add_argument(
        "--statistics", action="store_true", help="measure DATA.MEAN and DATA.STD (training list) and check nothing"
    )
    parser.add_argument(
        "--videos", type=int, default=500, metavar="N", help="that --statistics looks at, evenly (default 500)"
    )
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
