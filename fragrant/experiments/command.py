"""The command tools/repeat.py: from its words to runs, jobs or a summary."""

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fragrant.distributed.run_lock import RunLock
from fragrant.errors import RunStopped, UserError
from fragrant.experiments.build import Command, Goal, folder_of, goals, identity, read_command
from fragrant.experiments.carry_out import carry_out, present, summarised, what_is_missing
from fragrant.experiments.plan import Plan, plan_runs
from fragrant.experiments.record import keep_record
from fragrant.experiments.settings import draw, grid, read_varied
from fragrant.experiments.slurm import submit, write_jobs, write_tests
from fragrant.files import said_once


class Ways(NamedTuple):
    """What is to be done: ``slurm`` is "" | write | submit, ``sbatch`` are options of it; without any the runs run."""

    list: bool = False
    collect: bool = False
    slurm: str = ""
    sbatch: Sequence[str] = ()


def plan_of(command: Command, asked: dict[str, Any]) -> tuple[Plan, str]:
    """The runs that are asked for, and how the settings were drawn ("" = all combinations).

    Raises:
        UserError: they contradict each other, or the config.
    """
    seeds, folds, number = asked["seeds"], asked["folds"], asked["random"]
    varied = [read_varied(words) for words in asked["varied"]]
    keys = [one.key for one in varied]
    if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise UserError(f"--vary {twice[0]} is given twice; give all its values behind one")
    if number < 0 or number and not varied:
        raise UserError(f"--random {number}: give a number above 0, and --vary with what to draw from")
    if not (seeds or folds or varied):
        raise UserError("nothing to repeat: give --seeds, --folds or --vary")
    if len(set(seeds)) < len(seeds) or min(seeds, default=0) < 0:
        raise UserError(f"--seeds {' '.join(map(str, seeds))}: give different numbers, 0 or above")
    if folds and folds < 2:
        raise UserError(f"--folds {folds} must be 2 or more")
    drawn = f"{number} by seed {asked['draw_seed']} of {shlex.join(sum(asked['varied'], []))}" if number else ""
    settings = draw(varied, number, asked["draw_seed"]) if number else grid(varied)
    out, _ = folder_of(command)
    plan = plan_runs(command.words, out, settings=settings, seeds=seeds, folds=folds, searched=bool(varied))
    return plan, drawn


def experiment(
    words: Sequence[str],
    own: Sequence[str],
    asked: dict[str, Any],
    ways: Ways,
    tools: Path,
    say: Callable[[str], None],
) -> None:
    """Does what is asked.

    Args:
        words: of run_net; ``own``: of repeat, before --.
        asked: "seeds", "folds", "varied" (the words of each --vary), "random", "draw_seed".
        tools: where the tools are.

    Raises:
        UserError: wrong input, or the folder holds another experiment. RunStopped: something is missing at the end.
    """
    command = read_command(words)
    plan, drawn = plan_of(command, asked)
    wanted = goals(plan, command)
    if ways.list:
        for run in plan.runs:
            test = wanted[run.setting].tests and not plan.searched
            say(f"{run.name}: {shlex.join(run.stage(train=True, test=test).words)}")
        return
    with said_once(plan.out):
        plan.out.mkdir(parents=True, exist_ok=True)
    if added := keep_record(plan.out, identity(plan, command, drawn=drawn)):
        say(added)
    if ways.slurm:
        _hand_over(plan, wanted, own, words, ways, tools, say)
        return
    if ways.collect:
        summary = summarised(plan, wanted)
        if summary.chosen is not None and wanted[summary.chosen].tests:
            write_tests(plan, summary.chosen)
    else:
        with _alone(plan.out, say):
            summary = carry_out(plan, wanted, tools, say)
    present(summary, say)
    if missing := what_is_missing(summary, wanted):
        _tell_missing(missing, plan, chosen=summary.chosen, ways=ways, say=say)


def _tell_missing(missing: str, plan: Plan, *, chosen: int | None, ways: Ways, say: Callable[[str], None]) -> None:
    """A search that could choose is well, whatever settings have failed; the first collection of jobs comes before the
    tests."""
    if plan.searched and chosen is not None and (ways.collect or missing.startswith("failed") and "; " not in missing):
        say(missing)
        return
    raise RunStopped(missing)


@contextlib.contextmanager
def _alone(out: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One command per folder."""
    lock = RunLock(out, part="experiment")  # the folder itself is that of no run
    try:
        for note in lock.take():
            say(note)
        yield
    finally:
        lock.release()


def _hand_over(
    plan: Plan,
    wanted: Sequence[Goal],
    own: Sequence[str],
    words: Sequence[str],
    ways: Ways,
    tools: Path,
    say: Callable[[str], None],
) -> None:
    """Writes the jobs, and submits them where that is asked."""
    kept = _without_slurm(own)
    again = [*kept, "--collect", "--", *words]
    script = write_jobs(plan, wanted, tools=tools, again=again, options=ways.sbatch)
    say(f"{len(plan.runs)} runs as jobs: {script}")
    if ways.slurm == "submit":
        for line in submit(script):
            say(line)
    else:
        say(f"submit them with: bash {shlex.quote(str(script))}")


def _without_slurm(own: Sequence[str]) -> list[str]:
    """The words of this command without --slurm and --sbatch."""
    kept, rest = list[str](), list(own)
    while rest:
        word = rest.pop(0)
        name = word.partition("=")[0]
        if name == "--slurm":
            if "=" not in word and rest and rest[0] in ("write", "submit"):
                rest.pop(0)
        elif name == "--sbatch":
            if "=" not in word and rest:
                rest.pop(0)
        else:
            kept.append(word)
    return kept
