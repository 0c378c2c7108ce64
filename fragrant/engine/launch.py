"""Starts a run: command line, device, and what the user sees when something is wrong."""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence

import torch

from fragrant.config import load_cfg
from fragrant.errors import RunStopped, UserError

EPILOG = """\
KEY VALUE pairs override the config, with or without --opts before them:
  python tools/run_net.py --cfg configs/demo/uniformer_xs.yaml SOLVER.MAX_EPOCH 5 OUTPUT_DIR output/short
Every key with its default and meaning: fragrant/config/defaults.py; --print-config shows the effective values.
"""


def argument_parser(description: str, *, what: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The arguments that every tool with a config has; ``what``: the tasks of a tool that has several, named first."""
    parser = argparse.ArgumentParser(description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    if what:
        parser.add_argument("what", choices=sorted(what), help="what to do")
    parser.add_argument("--cfg", metavar="FILE", help="a yaml file, merged over the defaults")
    parser.add_argument("--num_shards", type=int, metavar="N", help="machines that take part (NUM_SHARDS)")
    parser.add_argument("--shard_id", type=int, metavar="I", help="which of them this one is (SHARD_ID)")
    parser.add_argument("--print-config", action="store_true", help="print the effective config and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="overrides, the same as behind the other arguments")
    parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help="overrides")
    return parser


def config_of(arguments: argparse.Namespace):
    """Defaults <- file <- pairs <- flags.

    Raises:
        UserError: also where a flag and a pair contradict each other.
    """
    pairs = [*arguments.pairs, *arguments.opts]
    given = dict(zip(pairs[::2], pairs[1::2], strict=False))
    for key in ("NUM_SHARDS", "SHARD_ID"):
        flag = getattr(arguments, key.lower())
        if flag is None:
            continue
        if given.get(key, str(flag)) != str(flag):
            raise UserError(f"--{key.lower()} {flag} and {key} {given[key]} contradict each other; give one of them")
        pairs += [key, str(flag)]
    return load_cfg(arguments.cfg, pairs)


def pick_device(num_gpus: int, num_shards: int = 1) -> torch.device:
    """0 is the CPU, 1 the first GPU.

    Raises:
        UserError: more GPUs are asked for than there are, or more processes than one run has.
    """
    found = torch.cuda.device_count()
    if num_gpus > found:
        raise UserError(f"NUM_GPUS {num_gpus}, but this machine has {found} CUDA GPU(s); allowed: 0 (the CPU) to {found}")
    if num_gpus > 1 or num_shards > 1:
        raise UserError(f"NUM_GPUS {num_gpus}, NUM_SHARDS {num_shards}: a run is one process so far; allowed: 0 or 1 GPU, 1 shard")
    return torch.device("cuda", 0) if num_gpus else torch.device("cpu")


def gpu_if_any(num_gpus: int) -> torch.device:
    """The first GPU, for a tool that runs anywhere; the CPU where there is none, or for 0."""
    return pick_device(min(num_gpus, torch.cuda.device_count(), 1))


def exit_code(main: Callable[[], None], *, debug: bool) -> int:
    """Runs ``main``: 0 when done, 2 after one line on stderr for wrong input, 1 for a run that had to stop."""
    warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)  # fvcore's, not the user's
    try:
        main()
    except (UserError, RunStopped) as error:
        if debug:
            raise
        print(f"{'error' if isinstance(error, UserError) else 'stopped'}: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        print("stopped: interrupted from the keyboard; the last checkpoint stays", file=sys.stderr)
        return 130
    return 0
