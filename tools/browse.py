"""Shows the data before a training does, as one HTML page: playing previews by class, histograms, class balance,
problems, what the network gets: python tools/browse.py --cfg FILE KEY VALUE ..., or --list FILE"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from pathlib import Path
from typing import Any

from fragrant.launch import argument_parser, config_of, exit_code, path_argument
from fragrant.texts import say


def main(arguments) -> None:
    cfg = config_of(arguments)
    from fragrant.report.browse.build import Wanted, write_page

    lists = [(Path(path).stem, "test", path) for path in arguments.list]
    lists = lists or [(split, split, "") for split in arguments.split or ("train", "val", "test")]
    wanted = Wanted(**{name: getattr(arguments, name) for name in Wanted._fields})
    of = Path(arguments.cfg).stem if arguments.cfg else ""
    title = " ".join(filter(None, [of, *([name for name, *_ in lists] if arguments.list else [])])) or "data"
    say(write_page(cfg, lists, arguments.to, wanted, title=title))


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
    parser.add_argument("--to", default="browse.html", type=path_argument, metavar="FILE", help="the page")
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument(
        "--previews", **number, help="of each class (default: 8, fewer where there are more than 75 classes)"
    )
    parser.add_argument(
        "--videos", **number, default=2000, help="of each list that are looked at, of every class its share; 0 = all"
    )
    parser.add_argument(
        "--augmented", **number, default=0, help="draws of a clip through the whole pipeline of the training"
    )
    parser.add_argument("--min-frames", **number, help="shorter videos are problems (default: DATA.NUM_FRAMES)")
    parser.add_argument("--workers", **number, default=usable_cores(), help="reading processes (default: one per core)")
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
