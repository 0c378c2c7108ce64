"""run_net whose processes are spawned: they inherit no memory and import everything anew.

``spawned.py ranks ...`` runs two ranks on the CPU as ``NUM_GPUS 2`` does on two GPUs, ``spawned.py workers ...`` the
reading workers as macOS starts them.
"""

import multiprocessing
import sys

from fragrant.config import load_cfg
from fragrant.distributed.environment import Environment, free_address
from fragrant.launch import argument_parser, exit_code, launch


def main(arguments, *, ranks: int) -> int:
    from fragrant.engine.run import run

    cfg, address = load_cfg(arguments.cfg, arguments.pairs), free_address()
    if ranks == 1:
        return launch(run, cfg, [Environment()])
    return launch(run, cfg, [Environment(rank, ranks, rank, ranks, address) for rank in range(ranks)])


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "workers":
        multiprocessing.set_start_method("spawn")
    given = argument_parser(__doc__).parse_intermixed_args(words)
    ranks = 2 if what == "ranks" else 1
    sys.exit(exit_code(lambda: main(given, ranks=ranks), debug=given.debug, plugins=given.plugins))
