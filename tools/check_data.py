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
from fragrant.texts import say


def main(arguments) -> None:
    cfg = config_of(arguments)
    from fragrant.data.build import remote_of
    from fragrant.data.prepare.across import across
    from fragrant.data.prepare.build import Settings, check_split, places_of
    from fragrant.data.prepare.check import Checked, summary, write_clean_list, write_table

    lists = [(Path(path).stem, "test", path) for path in arguments.list] or [
        (s, s, "") for s in arguments.split or ("train", "val", "test")
    ]
    settings = Settings(arguments.min_frames, arguments.workers)
    problems, trained, done = 0, dict[str, dict[str, str]](), dict[str, Checked]()
    for name, split, path in lists:
        found = check_split(cfg, name, split, path, settings, trained)
        if split == "train":
            trained = places_of(found)
        for part, checked in found.items():
            say(summary(checked))
            write_table(Path(arguments.out, f"{part}.table.csv"), checked)
            if arguments.write_clean_list:
                say(write_clean_list(Path(arguments.out, f"{part}.csv"), checked, part, remote=remote_of(cfg)))
            problems += len(checked.problems)
        done |= found
    for second in (False, True):
        parts = {name: checked for name, checked in done.items() if name.endswith(".thermal") == second}
        say(across(parts, group_by=cfg.DATA.GROUP_BY, dataset=cfg.TRAIN.DATASET))
    print(f"The tables are in {arguments.out}")
    if problems:
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
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
