"""The command line of the tools, and the config that follows from it."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from fragrant.config import check_devices, load_cfg
from fragrant.config.run_folder import FIELD, filled, fixed_values, with_output_dir
from fragrant.distributed.environment import Launched, launched, own_environments
from fragrant.errors import UserError
from fragrant.files import expanded, left_over
from fragrant.launch.config_path import DEMO, refuse_forgotten_flag, refuse_missing
from fragrant.launch.processes import gpus_here
from fragrant.plugins import add_import_argument
from fragrant.zoo import PREFIX, list_of_models, load_cards
from fragrant.zoo.box import FOLDER

EPILOG = """\
KEY VALUE pairs override the config, with or without --opts before them:
  python tools/run_net.py --cfg configs/demo/uniformer_xs.yaml SOLVER.MAX_EPOCH 5 OUTPUT_DIR output/short
Every key with its default and meaning: fragrant/config/defaults.py; --print-config shows the effective values.
"""
FOUR_WAYS = """
Four ways to start, one process per GPU in each; NUM_GPUS 0 = one process on the CPU, auto = all GPUs, if any:
  one machine       python tools/run_net.py --cfg X NUM_GPUS 8
  several machines  the same on machine I of N, with  --num_shards N --shard_id I --init_method tcp://HOST_0:PORT
  torchrun          torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d --rdzv_endpoint HOST:PORT
                    tools/run_net.py --cfg X
  SLURM             srun --nodes 2 --ntasks-per-node 8 --gpus-per-node 8 python tools/run_net.py --cfg X
torchrun and SLURM say how many processes and machines there are: leave NUM_GPUS (above 0) and NUM_SHARDS to them.
TRAIN.BATCH_SIZE is the batch of one machine. Who waits longer than DIST.TIMEOUT seconds ends the run.
"""
ENDS = """\
SIGUSR1, SIGTERM, SIGHUP: the step is finished, saved, exit code 0; the same command goes on (TRAIN.REQUEUE: by SLURM).
Ctrl-C: the same while it trains, exit code 130; a second one ends it at once.
"""

KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z][A-Z0-9_]*)*")
AUTO = "auto"  # of NUM_GPUS: it stays in the config, which so goes on on any machine


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


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and what to type instead: a usage of a screen hides both."""

    words: Sequence[str] = ()  # of the command line

    def parse_intermixed_args(self, args=None, namespace=None):
        self.words = list(sys.argv[1:] if args is None else args)
        return super().parse_intermixed_args(args, *([] if namespace is None else [namespace]))

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {self._explained(message)}\n")

    def _explained(self, message: str) -> str:
        flag, _, value = message.removeprefix("unrecognized arguments: ").split(" ")[0].partition("=")
        if flag == message.split(" ")[0] or not flag.startswith("-"):
            return f"{message}; --help shows all"
        if not value and flag in self.words[:-1]:
            value = self.words[self.words.index(flag) + 1]
        if KEY.fullmatch(name := flag.lstrip("-")):
            return f"{flag} is a key of the config, not a flag; type without the dashes: {name} {value or 'VALUE'}"
        known = [option for action in self._actions for option in action.option_strings]
        if flag.lower().startswith(("--conf", "-c")):
            return f"{flag} is not known; type: --cfg {value or 'FILE'}"
        near = difflib.get_close_matches(flag, known, 1)
        return f"{flag} is not known; {f'did you mean {near[0]}? ' if near else ''}--help shows all"


def argument_parser(
    description: str, *, what: Sequence[str] = (), many: bool = False, resumes: bool = False
) -> argparse.ArgumentParser:
    """Builds the parser with the arguments that every tool with a config has.

    Args:
        what: the tasks of a tool that has several, named first.
        many: the tool can be many processes.
        resumes: it goes on with a run that was interrupted.
    """
    epilog = EPILOG + (FOUR_WAYS if many else "") + (ENDS if resumes else "")
    parser = _Parser(description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    if resumes:
        parser.add_argument(
            "--accept-changes",
            action="store_true",
            help="resume although the config differs from the checkpoint's: the new values count from there on",
        )
        parser.add_argument(
            "--resume",
            action="store_true",
            help="where OUTPUT_DIR has {date}, {time} or {n}: go on with its newest run instead of a new one",
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
    if arguments.cfg:
        refuse_missing(arguments.cfg)
    else:
        refuse_forgotten_flag(pairs)
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
    cfg = _named_folder(load_cfg(arguments.cfg, pairs), arguments.cfg)
    if not launcher:
        return cfg
    processes = launcher.environment.local_size
    if cfg.NUM_GPUS not in (0, AUTO) and given.get("NUM_GPUS", str(processes)) != str(processes):
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
    if cfg.NUM_GPUS in (0, processes, AUTO):
        return cfg
    return _named_folder(load_cfg(arguments.cfg, [*pairs, "NUM_GPUS", str(processes)]), arguments.cfg)


def _named_folder(cfg, path: str | None):
    """The config with {config}, {seed} and {job} of OUTPUT_DIR filled; {date}, {time} and {n} are left for the run."""
    if not FIELD.search(cfg.OUTPUT_DIR):
        return cfg
    values = fixed_values(cfg.OUTPUT_DIR, path, cfg.RNG_SEED, os.environ)
    return with_output_dir(cfg, filled(cfg.OUTPUT_DIR, values))


def config_and_environments(arguments: argparse.Namespace):
    """The config, and the environments of the processes that this one has to be (one) or to start (several).

    Raises:
        UserError: something contradicts something else, or there are fewer GPUs than processes.
    """
    launcher = launched(os.environ)
    settings = (arguments.cfg, arguments.pairs, arguments.opts, arguments.num_shards, arguments.print_config)
    if not any(settings) and not launcher:
        raise UserError(f"nothing says what to train; type --cfg and a config, for the demo: --cfg {DEMO}")
    cfg = config_of(arguments, launcher)
    if cfg.TEST.NUM_PARTS > 1 and FIELD.search(cfg.OUTPUT_DIR):
        raise UserError(
            f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' makes a folder for each of the TEST.NUM_PARTS {cfg.TEST.NUM_PARTS} parts; "
            "name one that they share"
        )
    if arguments.print_config and cfg.NUM_GPUS == AUTO:  # to count GPUs takes torch, and seconds
        return cfg, []
    num_gpus = gpus_here(cfg.NUM_GPUS, launcher.environment.local_size if launcher else 0)
    if cfg.NUM_GPUS == AUTO:
        check_devices(cfg, num_gpus)
    if launcher:
        environments = [launcher.environment]
    else:
        _refuse_uncounted_machines(cfg, num_gpus)
        shards = dict(num_shards=cfg.NUM_SHARDS, shard_id=cfg.SHARD_ID)
        environments = own_environments(num_gpus=num_gpus, init_method=arguments.init_method, **shards)
    processes = environments[0].local_size
    if cfg.TRAIN.ENABLE and cfg.TRAIN.BATCH_SIZE % processes:
        raise UserError(
            f"TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} must be a multiple of the {processes} processes of this machine"
        )
    return cfg, environments


def _refuse_uncounted_machines(cfg, num_gpus: int) -> None:
    """Each of several machines that a user starts by hand would count its own GPUs, and wait for ranks that the others
    never start."""
    if cfg.NUM_SHARDS > 1 and cfg.NUM_GPUS == AUTO:
        raise UserError(
            f"NUM_GPUS auto counts the GPUs of one machine, and there are NUM_SHARDS {cfg.NUM_SHARDS}; add to the "
            f"command of each the same number: NUM_GPUS {num_gpus}"
        )
