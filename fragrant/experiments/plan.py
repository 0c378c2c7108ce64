"""The runs of an experiment: one for each setting, seed and fold, each with a folder and the words of its command."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.errors import UserError
from fragrant.experiments.settings import Setting
from fragrant.launch.stages import Stage

MOST_RUNS = 1000
LONGEST_NAME = 60  # letters of a folder


class Run(NamedTuple):
    """A run.

    Attributes:
        name: of its folder.
        setting: number of its setting, from 0.
        seed, fold: None = as the command has it.
        words: of tools/run_net.py, with everything that is its own.
    """

    name: str
    setting: int
    seed: int | None
    fold: int | None
    folder: Path
    words: list[str]

    def stage(self, *, train: bool, test: bool) -> Stage:
        """The command that trains, tests, or both, as a stage."""
        phase = ["TRAIN.ENABLE", str(train), "TEST.ENABLE", str(test)]
        return Stage(self.name if train else f"{self.name}-test", ["run_net", *self.words, *phase])


class Plan(NamedTuple):
    """An experiment: the folder of all, the settings, and the runs in the order in which they are done.

    Attributes:
        command: words of tools/run_net.py that all have in common.
        seeds, folds: none = as the command has them.
        searched: the settings are candidates, of which one is chosen and tested.
    """

    out: Path
    command: list[str]
    settings: list[Setting]
    seeds: list[int]
    folds: int
    searched: bool
    runs: list[Run]

    def of_setting(self, setting: int) -> list[Run]:
        return [run for run in self.runs if run.setting == setting]


def name_of(setting: Setting, number: int) -> str:
    """A short name of a setting that can be a folder's: ``03-BASE_LR_0.001``."""
    words = "-".join(f"{key.rpartition('.')[2]}_{value}" for key, value in setting.items())
    plain = re.sub(r"[^\w.+-]+", "_", words, flags=re.ASCII).strip("_.")
    return f"{number + 1:02d}-{plain[:LONGEST_NAME].rstrip('_.-')}"


def plan_runs(
    command: Sequence[str], out: Path, *, settings: Sequence[Setting], seeds: Sequence[int], folds: int, searched: bool
) -> Plan:
    """Plans the runs: by setting, then by seed, then by fold.

    Raises:
        UserError: more runs than anybody means.
    """
    runs: list[Run] = []
    all_seeds: Sequence[int | None] = seeds or [None]
    all_folds: Sequence[int | None] = range(folds) if folds else [None]
    for number, setting in enumerate(settings):
        for seed in all_seeds:
            for fold in all_folds:
                parts = [name_of(setting, number)] if searched else []
                parts += [] if seed is None else [f"seed{seed}"]
                parts += [] if fold is None else [f"fold{fold}"]
                name = "-".join(parts) or "run"
                own = [word for pair in setting.items() for word in pair]
                own += [] if seed is None else ["RNG_SEED", str(seed)]
                own += [] if fold is None else ["DATA.FOLDS", str(folds), "DATA.FOLD", str(fold)]
                words = [*command, *own, "OUTPUT_DIR", str(out / name)]
                runs.append(Run(name, number, seed, fold, out / name, words))
                if len(runs) > MOST_RUNS:
                    raise UserError(f"these are more than {MOST_RUNS} runs; give fewer values, seeds or folds")
    return Plan(out, list(command), list(settings), list(seeds), folds, searched, runs)
