"""Trains and tests what a config describes: python tools/run_net.py --cfg configs/demo/uniformer_xs.yaml KEY VALUE ..."""

import sys

from fragrant.config import dump_cfg
from fragrant.engine.launch import argument_parser, config_of, exit_code, pick_device


def main(arguments) -> None:
    cfg = config_of(arguments)
    if arguments.print_config:
        print(dump_cfg(cfg), end="")
        return
    device = pick_device(cfg.NUM_GPUS, cfg.NUM_SHARDS)
    from fragrant.engine.run import run  # imported late: --help and config errors answer at once

    run(cfg, device)


def start(words: list[str]) -> int:
    arguments = argument_parser(__doc__).parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
