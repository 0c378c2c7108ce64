"""Carries an experiment out on this machine: what is not done yet, run by run, then the test of what was chosen."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fragrant.distributed.run_lock import NAME, read_holder
from fragrant.experiments.build import Goal
from fragrant.experiments.page import page_of
from fragrant.experiments.plan import Plan, Run
from fragrant.experiments.results import Result, failure_mark, read_result
from fragrant.experiments.summary import Summary, summary_of
from fragrant.experiments.told import as_json, in_short, table_lines
from fragrant.files import save_file
from fragrant.launch.stages import PATIENCE, StageStopped, run_stages
from fragrant.logs import duration

SAYS_WHY = "stopped: "  # begins the last line of a run that ended by itself
BY_OTHERS = ("stopped: by SIG", "stopped: interrupted")  # ... and of one that was ended


def summarised(plan: Plan, goals: Sequence[Goal]) -> Summary:
    """What is there by now."""
    return summary_of(plan, [read_result(plan.out, run, goals[run.setting]) for run in plan.runs])


def carry_out(plan: Plan, goals: Sequence[Goal], tools: Path, say: Callable[[str], None]) -> Summary:
    """Runs what is not finished; in a search, of the chosen setting alone also the test.

    In a search a run that stops by itself (its loss is not finite) counts as failed, and the others go on; without one
    it ends the command.

    Raises:
        UserError, StageStopped: as ``run_stages``. The same command goes on.
    """
    for number, run in enumerate(plan.runs, 1):
        goal, at = goals[run.setting], f"[{number}/{len(plan.runs)}] {run.name}"
        before = read_result(plan.out, run, goal)
        test = goal.tests and not plan.searched
        if before.failed:
            say(f"{at}: failed before: {before.failed} ({failure_mark(plan.out, run)}; delete it to try again)")
        elif before.trained and (before.scores or not test):
            say(f"{at}: finished before: {_in_words(before)}")
        else:
            _do(plan, run, at, tools, say, train=True, test=test)
            if not failure_mark(plan.out, run).exists():
                say(f"{at}: {_in_words(read_result(plan.out, run, goal))}")
    summary = summarised(plan, goals)
    if summary.chosen is not None and goals[summary.chosen].tests:
        say(f"chosen on validation: {in_short(plan.settings[summary.chosen])}; it is tested now")
        for result in summary.outcomes[summary.chosen].results:
            if not result.scores:
                _do(plan, result.run, f"{result.run.name}, test", tools, say, train=False, test=True)
        summary = summarised(plan, goals)
    return summary


def _do(plan: Plan, run: Run, at: str, tools: Path, say: Callable[[str], None], *, train: bool, test: bool) -> None:
    stage, folder = run.stage(train=train, test=test), plan.out / "stages"
    _let_save(run.folder, say)
    say(f"{at}: running, what it says is in {folder / stage.name}.log")
    # What is finished was told by what is in its folder; the mark may be of words that differ in workers alone.
    (folder / f"{stage.name}.done").unlink(missing_ok=True)
    try:
        run_stages([stage], folder, tools, lambda line: None)
    except StageStopped as stop:
        by_itself = stop.code == 1 and stop.last.startswith(SAYS_WHY) and not stop.last.startswith(BY_OTHERS)
        if not (plan.searched and train and by_itself):
            raise
        why = stop.last.removeprefix(SAYS_WHY)
        save_file(failure_mark(plan.out, run), json.dumps({"why": why}))
        say(f"{at}: failed: {why}")


def _let_save(folder: Path, say: Callable[[str], None]) -> None:
    """Waits for the run of a command that was killed: it was told to save and end. Whoever else is at work there is
    named by run_net itself."""
    end, told = time.monotonic() + PATIENCE, False
    while (holder := read_holder(folder / NAME)) and holder.here and holder.alive and time.monotonic() < end:
        if not told:
            told = True
            say(f"{folder} is in use by {holder}; waiting up to {PATIENCE:g} s until it has saved and ended")
        time.sleep(0.25)


def _in_words(result: Result) -> str:
    validation = result.validation
    if validation is None:
        return result.state
    value = f"{validation.value:.4f}" if validation.kind == "loss" else f"{validation.value:.2f} %"
    return f"validation {validation.kind} {value} (epoch {validation.epoch}), {duration(result.seconds)}"


def present(summary: Summary, say: Callable[[str], None]) -> None:
    """The table, repeat.json and report.html."""
    out = summary.plan.out
    save_file(out / "repeat.json", as_json(summary))
    save_file(out / "report.html", page_of(summary))
    for line in table_lines(summary):
        say(line)
    say(f"All runs: {out / 'report.html'}, {out / 'repeat.json'}")


def what_is_missing(summary: Summary, goals: Sequence[Goal]) -> str:
    """Runs that failed or are not there, in words; "" where the experiment is complete."""
    results = [result for outcome in summary.outcomes for result in outcome.results]
    failed = [result.run.name for result in results if result.failed]
    open_ = [result.run.name for result in results if not result.failed and not result.trained]
    untested = [
        result.run.name
        for outcome in summary.outcomes
        if goals[outcome.number].tests and (not summary.plan.searched or outcome.number == summary.chosen)
        for result in outcome.results
        if result.trained and not result.scores
    ]
    parts = {"failed": failed, "not trained yet": open_, "not tested yet": untested}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
