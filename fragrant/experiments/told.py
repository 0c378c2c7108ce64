"""An experiment for people and programs: the table on the terminal, and repeat.json."""

import math
from collections.abc import Sequence

import simplejson

from fragrant.experiments.results import Result
from fragrant.experiments.settings import Setting
from fragrant.experiments.summary import Outcome, Spread, Summary


def in_short(setting: Setting) -> str:
    return ", ".join(f"{key} {value}" for key, value in setting.items()) or "the command"


def validation_words(outcome: Outcome) -> str:
    if outcome.validation is None:
        done = sum(result.trained for result in outcome.results)
        failed = sum(bool(result.failed) for result in outcome.results)
        return f"{failed} failed" if failed else f"{done} of {len(outcome.results)} runs"
    return spread_words(outcome.validation, outcome.kind)


def spread_words(spread: Spread, kind: str) -> str:
    return spread.in_words("", 4) if kind == "loss" else spread.in_words()


def interval_words(outcome: Outcome) -> str:
    tested = outcome.tested
    if tested is None or tested.interval is None:
        return "-"
    return f"{tested.interval.low:.1f} to {tested.interval.high:.1f} %"


def ordered(summary: Summary) -> list[Outcome]:
    """The settings of a search, the best validation first, those without one last."""
    if not summary.plan.searched:
        return summary.outcomes
    return sorted(summary.outcomes, key=lambda one: (math.isnan(one.rank), -one.rank if one.rank == one.rank else 0))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, every column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def table_lines(summary: Summary) -> list[str]:
    """The table of an experiment: settings, or the command alone; what is chosen; what to say of the numbers."""
    plan = summary.plan
    over = f"{max(len(plan.seeds), 1)} seed(s)" + (f" x {plan.folds} folds" if plan.folds else "")
    kinds = {outcome.kind for outcome in summary.outcomes}
    head = ["", *(["setting"] if plan.searched else []), "runs", f"validation {'/'.join(sorted(kinds))}"]
    rows = [[*head, "test", "95 % interval", "videos"]]
    for outcome in ordered(summary):
        tested = outcome.tested
        row = ["*" if outcome.number == summary.chosen else ""]
        row += [in_short(outcome.setting)] if plan.searched else []
        row += [str(len(outcome.results)), validation_words(outcome)]
        row += [f"{tested.kind} {tested.spread.in_words()}" if tested else "-", interval_words(outcome)]
        rows.append([*row, str(tested.videos) if tested else "-"])
    lines = [f"{over}; mean ± standard deviation" + (", test over seeds, folds pooled" if plan.folds else ""), ""]
    lines += aligned(rows)
    if summary.chosen is not None:
        lines += ["", f"chosen on validation (*): {in_short(plan.settings[summary.chosen])}"]
    notes = [summary.optimistic, *(o.tested.protocol for o in summary.outcomes if o.tested)]
    return lines + [f"careful: {note}" for note in dict.fromkeys(filter(None, notes))]


def content(summary: Summary) -> dict:
    """The content of repeat.json: numbers unrounded, folders relative to that of the experiment."""
    plan = summary.plan
    return {
        "command": ["tools/run_net.py", *plan.command],
        "seeds": plan.seeds,
        "folds": plan.folds,
        "searched": plan.searched,
        "chosen": None if summary.chosen is None else plan.settings[summary.chosen],
        "optimistic": summary.optimistic or None,
        "settings": [_setting(outcome, chosen=outcome.number == summary.chosen) for outcome in ordered(summary)],
    }


def _setting(outcome: Outcome, *, chosen: bool) -> dict:
    tested = outcome.tested
    return {
        "setting": outcome.setting,
        "chosen": chosen,
        "validation": outcome.validation and {"kind": outcome.kind, **outcome.validation._asdict()},
        "test": tested
        and {
            "kind": tested.kind,
            **tested.spread._asdict(),
            "interval": tested.interval and [tested.interval.low, tested.interval.high],
            "videos": tested.videos,
            "protocol": tested.protocol or None,
        },
        "runs": [_run(result) for result in outcome.results],
    }


def _run(result: Result) -> dict:
    validation = result.validation
    return {
        "folder": result.run.name,
        "seed": result.run.seed,
        "fold": result.run.fold,
        "state": result.state,
        "failed": result.failed or None,
        "validation": validation and {"kind": validation.kind, "value": validation.value, "epoch": validation.epoch},
        "test": result.test,
        "seconds": round(result.seconds, 1),
    }


def as_json(summary: Summary) -> str:
    return simplejson.dumps(content(summary), indent=1, ignore_nan=True)
