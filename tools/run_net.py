"""Trains and tests the model of a config: python tools/run_net.py --cfg configs/demo/uniformer_xs.yaml KEY VALUE
..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from functools import partial

from fragrant.config import dump_cfg
from fragrant.config.run_folder import fields_of
from fragrant.launch import argument_parser, choose_folder, config_and_environments, exit_code, launch


def main(arguments, words: list[str]) -> int:
    cfg, places = config_and_environments(arguments)
    if arguments.print_config:
        print(dump_cfg(cfg), end="")
        return 0
    from fragrant.engine.run import run  # imported late: --help and config errors answer at once

    place = partial(choose_folder, cfg.OUTPUT_DIR, words, resume=arguments.resume)
    job = partial(run, accept_changes=arguments.accept_changes, place=place if fields_of(cfg.OUTPUT_DIR) else None)
    return launch(job, cfg, places, debug=arguments.debug)


def start(words: list[str]) -> int:
    arguments = argument_parser(__doc__, many=True, resumes=True).parse_intermixed_args(words)
    return exit_code(lambda: main(arguments, words), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
