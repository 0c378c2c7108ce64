"""The command line of the tools, and the config that follows from it."""

import argparse
import os
from collections.abc import Sequence

from fragrant.config import load_cfg
from fragrant.distributed.environment import Launched, launched, own_environments
from fragrant.errors import UserError
from fragrant.files import expanded, left_over
from fragrant.plugins import add_import_argument
from fragrant.zoo import PREFIX, list_of_models, load_cards
from fragrant.zoo.box import FOLDER

EPILOG = """\
KEY VALUE pairs override the config, with or without --opts before them:
  python tools/run_net.py --cfg configs/demo/uniformer_xs.yaml SOLVER.MAX_EPOCH 5 OUTPUT_DIR output/short
Every key with its default and meaning: fragrant/config/defaults.py; --print-config shows the effective values.
"""
FOUR_WAYS = """
Four ways to start, one process per GPU in each; NUM_GPUS 0 = one process on the CPU:
  one machine       python tools/run_net.py --cfg X NUM_GPUS 8
  several machines  the same on machine I of N, with  --num_shards N --shard_id I --init_method tcp://HOST_0:PORT
  torchrun          torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d --rdzv_endpoint HOST:PORT
                    tools/run_net.py --cfg X
  SLURM             srun --nodes 2 --ntasks-per-node 8 --gpus-per-node 8 python tools/run_net.py --cfg X
torchrun and SLURM say how many processes and machines there are: leave NUM_GPUS (above 0) and NUM_SHARDS to them.
TRAIN.BATCH_SIZE is the batch of one machine. Who waits longer than DIST.TIMEOUT seconds ends the run.
SIGUSR1, SIGTERM, SIGHUP: the step is finished, saved, exit code 0; the same command goes on (TRAIN.REQUEUE: by SLURM).
"""


def path_argument(text: str) -> str:
    """The ``type`` of every argument that names a file or folder: ~ and $VARIABLES opened, which a shell does not do in
    ``--out=~/x`` or in quotes."""
    path = expanded(text)
    if unknown := left_over(path):
        raise argparse.ArgumentTypeError(
            f"'{text}': this machine knows no {'environment variable' if '$' in unknown else 'user'} {unknown}"
        )
    return path


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that every tool has: --debug and --import."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    add_import_argument(parser)


class _ModelInTheBox(argparse.Action):
    """``--model NAME`` is the checkpoint ``zoo:NAME``; ``--model list`` shows the names and ends."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if values == "list":
            print(list_of_models(load_cards(FOLDER)))
            parser.exit()
        setattr(namespace, self.dest, f"{PREFIX}{values}")


def add_checkpoint_arguments(parser: argparse.ArgumentParser, meaning: str):
    """Adds --checkpoint and --model, of which a tool with a trained model needs one; both are ``checkpoint``.

    Returns the group, for what a tool takes in their place."""
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--checkpoint", type=path_argument, metavar="FILE", help=meaning)
    text = "a model that ships with fragrant, in place of --checkpoint; --model list shows them"
    one.add_argument("--model", dest="checkpoint", action=_ModelInTheBox, metavar="NAME", help=text)
    return one


def argument_parser(description: str, *, what: Sequence[str] = (), many: bool = False) -> argparse.ArgumentParser:
    """Builds the parser with the arguments that every tool with a config has.

    Args:
        what: the tasks of a tool that has several, named first.
        many: the tool can be many processes.
    """
    epilog = EPILOG + (FOUR_WAYS if many else "")
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if what:
        parser.add_argument("what", choices=sorted(what), help="what to do")
    parser.add_argument("--cfg", type=path_argument, metavar="FILE", help="a yaml file, merged over the defaults")
    parser.add_argument("--num_shards", type=int, metavar="N", help="machines that take part (NUM_SHARDS)")
    parser.add_argument("--shard_id", type=int, metavar="I", help="which of them this one is (SHARD_ID)")
    if many:
        parser.add_argument(
            "--init_method",
            metavar="URL",
            help="where machines meet: tcp://host:port, or file:///a/new/file they share",
        )
        parser.add_argument(
            "--accept-changes",
            action="store_true",
            help="resume although the config differs from the checkpoint's: the new values count from there on",
        )
    parser.add_argument("--print-config", action="store_true", help="print the effective config and stop")
    add_common_arguments(parser)
    parser.add_argument(
        "--opts", nargs="*", default=[], metavar="KEY VALUE", help="overrides, the same as behind the other arguments"
    )
    parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help="overrides")
    return parser


def config_of(arguments: argparse.Namespace, launcher: Launched | None = None):
    """The config of a command line: defaults <- file <- pairs <- flags <- the launcher's processes and machines.

    Raises:
        UserError: also where two of these contradict each other.
    """
    pairs = [*arguments.pairs, *arguments.opts]
    given = dict(zip(pairs[::2], pairs[1::2], strict=False))
    counted = {"NUM_SHARDS": launcher.num_machines, "SHARD_ID": launcher.machine} if launcher else {}
    for key in ("NUM_SHARDS", "SHARD_ID"):
        said = {f"{key} {given[key]}": given[key]} if key in given else {}
        flag = getattr(arguments, key.lower())
        if flag is not None:
            said[f"--{key.lower()} {flag}"] = str(flag)
        if launcher and key in counted:
            said[f"{key} {counted[key]} of {launcher.by}"] = str(counted[key])
        if len(set(said.values())) > 1:
            raise UserError(f"{' and '.join(reversed(said))} contradict each other; give one of them")
        pairs += [key, *said.values()][:2] if said else []
    cfg = load_cfg(arguments.cfg, pairs)
    if not launcher:
        return cfg
    processes = launcher.environment.local_size
    if cfg.NUM_GPUS and given.get("NUM_GPUS", str(processes)) != str(processes):
        raise UserError(
            f"NUM_GPUS {cfg.NUM_GPUS} and the {processes} processes that {launcher.by} started on this machine "
            "contradict each other; "
            f"leave NUM_GPUS out, or set it to {processes} (GPUs) or 0 (the CPU)"
        )
    if getattr(arguments, "init_method", None):
        raise UserError(
            f"--init_method {arguments.init_method} and {launcher.by} contradict each other: {launcher.by} has "
            "its own rendezvous"
        )
    return load_cfg(arguments.cfg, [*pairs, "NUM_GPUS", str(processes)]) if cfg.NUM_GPUS not in (0, processes) else cfg


def config_and_environments(arguments: argparse.Namespace):
    """The config, and the environments of the processes that this one has to be (one) or to start (several).

    Raises:
        UserError: something contradicts something else, or there are fewer GPUs than processes.
    """
    launcher = launched(os.environ)
    cfg = config_of(arguments, launcher)
    if launcher:
        environments = [launcher.environment]
    else:
        shards = dict(num_shards=cfg.NUM_SHARDS, shard_id=cfg.SHARD_ID)
        environments = own_environments(num_gpus=cfg.NUM_GPUS, init_method=arguments.init_method, **shards)
    processes = environments[0].local_size
    if cfg.TRAIN.ENABLE and cfg.TRAIN.BATCH_SIZE % processes:
        raise UserError(
            f"TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} must be a multiple of the {processes} processes of this machine"
        )
    return cfg, environments
