"""What the config of a command means for an experiment: its folder, what is selected on what, what may not change."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from fvcore.common.config import CfgNode

from fragrant.config import load_cfg
from fragrant.config.defaults import leaves
from fragrant.errors import UserError
from fragrant.experiments.plan import Plan
from fragrant.launch import argument_parser

# How a run is done, not what comes of it; and what the runs of an experiment have of their own.
MACHINE = (
    "DATA_LOADER.",
    "DIST.",
    "TENSORBOARD.",
    "LOG",
    "NUM_GPUS",
    "TRAIN.REQUEUE",
    "TRAIN.SAVE_EVERY_STEPS",
    "TRAIN.KEEP_",
)
OWN = ("OUTPUT_DIR", "DATA.FOLD", "DATA.FOLDS", "RNG_SEED")


class Command(NamedTuple):
    """A command of tools/run_net.py: its words in one order, flags first, and its KEY VALUE pairs."""

    flags: list[str]
    cfg_file: str | None
    pairs: list[str]

    @property
    def words(self) -> list[str]:
        return [*self.flags, *self.pairs]


def read_command(words: Sequence[str]) -> Command:
    """Reads the words behind --.

    Raises:
        UserError: a flag that an experiment cannot hand on.
    """
    parser = argument_parser("tools/run_net.py")

    def refuse(message: str) -> NoReturn:
        raise UserError(f"behind --: {message}")

    parser.error = refuse  # type: ignore[method-assign]
    given = parser.parse_intermixed_args(list(words))
    for name in ("num_shards", "shard_id", "print_config"):
        if getattr(given, name):
            raise UserError(f"--{name.replace('print_config', 'print-config')} is for run_net.py alone; leave it out")
    flags = ["--cfg", given.cfg] if given.cfg else []
    for plugin in given.plugins:
        flags += ["--import", plugin]
    return Command(flags, given.cfg, [*given.pairs, *given.opts])


class Goal(NamedTuple):
    """What a command is about, of a setting.

    Attributes:
        tests: the runs are tested, or, of a search, those of the chosen setting.
        best: the best epoch is tested, so its validation counts; False: the last.
        epochs: of a whole training.
    """

    tests: bool
    best: bool
    epochs: int


def folder_of(command: Command) -> tuple[Path, bool]:
    """OUTPUT_DIR of the command, which is the folder of all its runs; whether it tests.

    Raises:
        ConfigError: a key or value is wrong. UserError: no folder of its own is named, or nothing is trained.
    """
    cfg = load_cfg(command.cfg_file, command.pairs)
    if "OUTPUT_DIR" not in command.pairs[::2]:
        raise UserError("the command has no OUTPUT_DIR: give the folder under which every run gets its own")
    if "{" in cfg.OUTPUT_DIR:
        raise UserError(f"OUTPUT_DIR '{cfg.OUTPUT_DIR}' of several runs must be a fixed name: the same command goes on")
    if not cfg.TRAIN.ENABLE or not cfg.TRAIN.AUTO_RESUME:
        key = "TRAIN.AUTO_RESUME" if cfg.TRAIN.ENABLE else "TRAIN.ENABLE"
        raise UserError(f"{key} False: the runs of an experiment train, and go on where they were stopped")
    return Path(cfg.OUTPUT_DIR), cfg.TEST.ENABLE


def goals(plan: Plan, command: Command) -> list[Goal]:
    """The goal of every setting: each is tried as a config before anything runs.

    Raises:
        ConfigError: a value of a setting, or a combination, is not allowed.
    """
    found = []
    for number in range(len(plan.settings)):
        pairs = plan.of_setting(number)[0].words[len(command.flags) :]
        cfg = load_cfg(command.cfg_file, pairs)
        found.append(Goal(cfg.TEST.ENABLE, cfg.TEST.TEST_BEST, cfg.SOLVER.MAX_EPOCH))
    return found


def identity(plan: Plan, command: Command, *, drawn: str) -> dict[str, object]:
    """All that the runs of an experiment are made of, for its record. How a machine does them may change.

    Args:
        drawn: how the settings were found, "" = all combinations.
    """
    cfg: CfgNode = load_cfg(command.cfg_file, command.pairs)
    varied = {key for setting in plan.settings for key in setting}
    values = {key: value for key, value in leaves(cfg).items() if not key.startswith(MACHINE) and key not in varied}
    seeds = {} if plan.seeds else {"RNG_SEED": values["RNG_SEED"]}
    folds = {} if plan.folds else {key: values[key] for key in ("DATA.FOLD", "DATA.FOLDS")}
    of_all = {key: value for key, value in values.items() if key not in OWN} | seeds | folds
    vary = {f"--vary {key}": list(dict.fromkeys(setting[key] for setting in plan.settings)) for key in sorted(varied)}
    return {"seeds": plan.seeds, "--folds": plan.folds, "--random": drawn, "varied": vary, "config": of_all}
