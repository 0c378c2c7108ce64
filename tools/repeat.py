"""Runs one command of run_net.py for several seeds, folds or values, and puts the results together: python
tools/repeat.py --seeds 1 2 3 -- --cfg X OUTPUT_DIR output/x KEY VALUE ..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()


import argparse
import shlex
import sys
from pathlib import Path

from fragrant.launch import add_common_arguments, exit_code
from fragrant.texts import say

EPILOG = """\
What stands behind -- are the words of tools/run_net.py; OUTPUT_DIR is the folder under which every run gets its own.
Killed at any moment, the same command goes on. --vary makes it a search: every setting is trained with every seed and
fold, the best mean of the validations is chosen, and the chosen setting alone is tested.
  repeat.py --seeds 1 2 3 --folds 5 -- --cfg X OUTPUT_DIR output/five_folds
  repeat.py --vary SOLVER.BASE_LR 1e-4 3e-4 1e-3 --vary SOLVER.WEIGHT_DECAY 0 0.05 -- --cfg X OUTPUT_DIR output/grid
  repeat.py --vary SOLVER.BASE_LR log:1e-5:1e-2 --random 20 -- --cfg X OUTPUT_DIR output/random
  repeat.py --seeds 1 2 3 --slurm submit --sbatch "--partition gpu --time 12:00:00" -- --cfg X OUTPUT_DIR output/x
"""


def main(arguments, own: list[str], command: list[str]) -> None:
    from fragrant.experiments.command import Ways, experiment  # imported late: --help answers at once

    ways = Ways(arguments.list, arguments.collect, arguments.slurm or "", shlex.split(arguments.sbatch))
    asked = dict(seeds=arguments.seeds, folds=arguments.folds, varied=arguments.vary)
    asked |= dict(random=arguments.random, draw_seed=arguments.draw_seed)
    experiment(command, own, asked, ways, Path(__file__).parent, lambda line: say([line]))


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="repeat.py [--seeds N ...] [--folds K] [--vary KEY VALUE ...] [--slurm] -- words of run_net.py",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="a run of each (RNG_SEED)")
    parser.add_argument("--folds", type=int, default=0, metavar="K", help="a run of each of K folds (DATA.FOLDS)")
    text = "a key and its values, or a range: log:1e-5:1e-2, even:0:0.5; may be repeated: every combination"
    parser.add_argument("--vary", nargs="+", action="append", default=[], metavar=("KEY", "VALUE"), help=text)
    parser.add_argument("--random", type=int, default=0, metavar="N", help="so many settings, drawn from --vary")
    parser.add_argument("--draw-seed", type=int, default=1, metavar="N", help="of the draw of settings; 1")
    text = "write the jobs of a cluster to OUTPUT_DIR/slurm, or submit them, in place of running here"
    parser.add_argument("--slurm", nargs="?", const="write", choices=("write", "submit"), help=text)
    parser.add_argument("--sbatch", default="", metavar="OPTIONS", help="of sbatch for the runs, in quotes")
    parser.add_argument("--collect", action="store_true", help="put together what is there, run nothing")
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    add_common_arguments(parser)
    at = words.index("--") if "--" in words else len(words)
    own, command = words[:at], words[at + 1 :]
    arguments = parser.parse_args(own)
    if not command:
        parser.error("nothing stands behind --: give the words of run_net.py there, -- --cfg X OUTPUT_DIR output/x ...")
    return exit_code(lambda: main(arguments, own, command), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
