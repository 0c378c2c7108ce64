"""Finds a learning rate by the range test: python tools/find_lr.py --cfg configs/demo/uniformer_xs.yaml KEY VALUE
..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import math
import sys
from functools import partial

from fragrant.config import dump_cfg
from fragrant.errors import UserError
from fragrant.launch import argument_parser, config_and_environments, exit_code, launch, path_argument


def main(arguments) -> int:
    cfg, places = config_and_environments(arguments)
    if arguments.print_config:
        print(dump_cfg(cfg), end="")
        return 0
    if arguments.steps < 10 or not 0 < arguments.low < arguments.high < math.inf:
        asked = f"--steps {arguments.steps} --from {arguments.low:g} --to {arguments.high:g}"
        raise UserError(f"{asked}: allowed are 10 steps or more, and rates above 0 that rise")
    from fragrant.engine.rate_finder.build import RangeTest, find_rate  # imported late: --help answers at once

    test = RangeTest(arguments.steps, arguments.low, arguments.high, arguments.out)
    return launch(partial(find_rate, test=test), cfg, places, debug=arguments.debug)


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__, many=True)
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="optimiser steps; 100")
    parser.add_argument("--from", dest="low", type=float, default=1e-7, metavar="LR", help="first rate; 1e-7")
    parser.add_argument("--to", dest="high", type=float, default=1.0, metavar="LR", help="last rate; 1")
    text = "folder of find_lr.json and find_lr.png; OUTPUT_DIR/find_lr"
    parser.add_argument("--out", type=path_argument, default="", metavar="DIR", help=text)
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
