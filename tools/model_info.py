"""Prints parameters, multiply-adds and activation memory of models: python tools/model_info.py --cfg
configs/arid/uniformer_s.yaml KEY VALUE ..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import sys

from fragrant.files import expanded, save_file
from fragrant.launch import add_common_arguments, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.config import load_cfg
    from fragrant.profile.build import build_cost
    from fragrant.profile.table import ABOUT, config_table, part_table

    if arguments.cfg:
        print(part_table(build_cost(load_cfg(arguments.cfg, arguments.rest), arguments.cfg)))
        return
    table = config_table([build_cost(load_cfg(expanded(path)), path) for path in sorted(arguments.rest)])
    if arguments.write:
        save_file(arguments.write, f"{ABOUT}{table}\n")
    print(table)


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cfg",
        type=path_argument,
        metavar="FILE",
        help="one config, in parts; without it the others are yaml files, a line each",
    )
    parser.add_argument(
        "--write",
        type=path_argument,
        metavar="FILE",
        help="write the lines as a README: --write configs/README.md configs/*/*.yaml",
    )
    parser.add_argument("rest", nargs="*", metavar="KEY VALUE | FILE", help="overrides of --cfg, or yaml files")
    add_common_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
