"""Runs the stages of a recipe one after the other: python tools/curriculum.py --recipe configs/dark6/curriculum.yml
--out output/dark6"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()


import argparse
import sys
from pathlib import Path

from fragrant.launch import add_common_arguments, exit_code, path_argument
from fragrant.texts import say

EPILOG = """\
A recipe is a yaml file of commands (STAGES) and of values in them (VALUES), which NAME=VALUE replaces:
  python tools/curriculum.py --recipe configs/dark6/curriculum.yml --out output/dark6 clips=100 fold=0,1,2
Killed at any moment, the same command goes on: finished stages are left out (OUT/stages/NAME.done), the one that was
cut off goes on where its own tool can. What a stage prints is in OUT/stages/NAME.log.
"""


def main(arguments) -> None:
    from fragrant.launch.stages import read_stages, run_stages

    rounds = [] if arguments.rounds is None else [f"rounds={arguments.rounds}"]
    stages = read_stages(arguments.recipe, [*arguments.values, *rounds], out=arguments.out)
    if arguments.list:
        say(f"{stage.name}: {' '.join(stage.words)}" for stage in stages)
        return
    run_stages(stages, Path(arguments.out, "stages"), Path(__file__).parent, lambda line: print(line, flush=True))


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, type=path_argument, metavar="FILE", help="the stages")
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of all results")
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    parser.add_argument("--rounds", metavar="N", help="of a recipe with rounds, the same as rounds=N")
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="values of the recipe; several: 0,1,2")
    add_common_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
