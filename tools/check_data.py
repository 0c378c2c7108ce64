"""Reads every video of a config's lists, or of one list, before a run does: python tools/check_data.py --cfg FILE KEY
VALUE ..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from functools import partial
from pathlib import Path
from typing import Any

from fragrant.errors import RunStopped
from fragrant.launch import argument_parser, config_of, exit_code, path_argument
from fragrant.texts import say


def main(arguments) -> None:
    cfg = config_of(arguments)
    from fragrant.data.build import remote_of
    from fragrant.data.datasets.build import records_and_faults
    from fragrant.data.prepare.across import across
    from fragrant.data.prepare.check import check_list, places, summary, write_clean_list, write_table
    from fragrant.data.video.frames import Limits, open_frames

    lists = [(Path(path).stem, "test", path) for path in arguments.list] or [
        (s, s, "") for s in arguments.split or ("train", "val", "test")
    ]
    min_frames = cfg.DATA.NUM_FRAMES if arguments.min_frames is None else arguments.min_frames
    limits = Limits(cfg.DATA.MAX_FRAME_MEGAPIXELS, cfg.DATA.MAX_DECODED_GB)
    folders = {"template": cfg.DATA.IMAGE_TEMPLATE, "base": cfg.DATA.IMAGE_BASE}
    opened = partial(open_frames, **folders, limits=limits, remote=remote_of(cfg))
    problems, trained, done = 0, dict[str, str](), {}
    for name, split, path in lists:
        records, faults = records_and_faults(cfg, split, path)
        options = {
            "min_frames": min_frames,
            "workers": arguments.workers,
            "known": trained,
            "title": name,
            "open_frames": opened,
        }
        checked = check_list(records, faults, **options)
        if split == "train":
            trained = places(records)
        done[name] = checked
        say(summary(checked))
        write_table(Path(arguments.out, f"{name}.table.csv"), checked)
        if arguments.write_clean_list:
            say(write_clean_list(Path(arguments.out, f"{name}.csv"), checked, name, remote=remote_of(cfg)))
        problems += len(checked.problems)
    say(across(done, group_by=cfg.DATA.GROUP_BY, dataset=cfg.TRAIN.DATASET))
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
