"""The scores of all folds of a list as one result: every video counts once, with the network that never saw it."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import simplejson
import torch

from fragrant.files import save_file
from fragrant.metrics import ScoreError, Share
from fragrant.scores.ensemble import VideoScores, as_table, ensemble_views, split_rule
from fragrant.scores.inputs import Run, open_table, parse_input, with_views
from fragrant.scores.summary import careful, describe_summary, summarise
from fragrant.scores.table import merge, missing_views, same_classes, save_table

MOST_LINES = 10


def load_folds(inputs: Sequence[str], *, views: Sequence[str] = ()) -> list[Run]:
    """One table per fold, in their order; the files of one fold (parts of its test) become one.

    Raises:
        ScoreError: a file is no table or of no fold, they are of different draws, or two networks tested one fold.
    """
    found: dict[int, list] = {}
    draw: dict = {}
    for path in (path for given in map(parse_input, inputs) for path in given.paths):
        table = open_table(path)
        fold = table.header.get("fold")
        if (
            not isinstance(fold, dict)
            or not isinstance(fold.get("fold"), int)
            or not isinstance(fold.get("folds"), int)
        ):
            raise ScoreError(
                f"'{path}' is not of a fold; --pool takes the scores of tests with DATA.FOLDS and DATA.FOLD"
            )
        own = {name: value for name, value in fold.items() if name != "fold"}
        if draw and own != draw:
            raise ScoreError(f"'{path}' is of other folds, {_words(own)}, than the tables before it, {_words(draw)}")
        draw = own
        found.setdefault(fold["fold"], []).append((path, table))
    runs = []
    for fold, members in sorted(found.items()):
        files, tables = zip(*members, strict=True)
        if len({table.header.get("checkpoint_hash") for table in tables}) > 1:
            raise ScoreError(f"fold {fold} was tested with several networks: {', '.join(files)}; give one of them")
        runs.append(with_views(Run(f"fold {fold}", merge(tables, names=files), 1.0), views))
    return runs


def _words(facts: dict) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in facts.items())


def pool(runs: Sequence[Run], rule: str) -> VideoScores:
    """The scores of all folds below each other.

    Raises:
        ScoreError: the classes differ, or a video is in two folds.
    """
    seen: dict[str, str] = {}
    for run in runs:
        same_classes(runs[0].table, run.table, runs[0].name, run.name)
        for path in run.table.paths:
            if (other := seen.setdefault(path, run.name)) != run.name:
                raise ScoreError(f"'{path}' was tested in {other} and in {run.name}; every video counts once")
    scored = [ensemble_views(run.table, rule) for run in runs]
    scores, probs, labels, luma = (
        torch.cat([getattr(one, name) for one in scored]) for name in ("scores", "probs", "labels", "luma")
    )
    first = scored[0]._replace(paths=tuple(seen), choices={})
    return first._replace(scores=scores, probs=probs, labels=labels, luma=luma)


def pooled(
    inputs: Sequence[str],
    *,
    rule: str | None = None,
    views: Sequence[str] = (),
    allow_missing: bool = False,
    per_class: bool = False,
    out: Path | None = None,
    numbers: Path | None = None,
) -> tuple[list[str], dict]:
    """The pooled result of all folds in lines for a person, and its summary with "folds"; files as ``combined``.

    Raises:
        ScoreError: a fold, a video or a view is missing without ``allow_missing``; see ``load_folds``, ``pool``.
    """
    runs = load_folds(inputs, views=views)
    rule = "-".join(split_rule(rule or runs[0].table.header.get("rule") or "mean-softmax"))
    missing = what_is_missing(runs)
    if missing and not allow_missing:
        shown = "; ".join(missing[:MOST_LINES]) + ("; ..." if len(missing) > MOST_LINES else "")
        raise ScoreError(f"{len(missing)} folds or videos are missing; --allow-missing goes on without; {shown}")
    summary = summarise(pool(runs, rule))
    folds = [summarise(ensemble_views(run.table, rule)) for run in runs]
    summary["folds"] = [
        {"fold": run.table.header["fold"]["fold"], "videos": own["videos"]} | _main_number(own)
        for run, own in zip(runs, folds, strict=True)
    ]
    protocols = {run.table.header["protocol"] for run in runs if run.table.header.get("protocol")}
    if protocols:
        summary["protocol"] = "; ".join(sorted(protocols))
    lines = [f"missing: {line}" for line in missing[:MOST_LINES]]
    lines += [f"{run.name}: {_told(own)}{careful(own)}" for run, own in zip(runs, folds, strict=True)]
    if out is not None:
        origin = [{"name": run.name, "checkpoint": str(run.table.header.get("checkpoint"))} for run in runs]
        header = {"runs": origin} | ({"protocol": summary["protocol"]} if protocols else {})
        save_table(out, as_table(pool(runs, rule), header))
        lines.append(f"wrote {out}")
    if numbers is not None:
        save_file(numbers, simplejson.dumps(summary, indent=1, ignore_nan=True), ScoreError)
        lines.append(f"wrote {numbers}")
    lines += [summary["protocol"]] if protocols else []
    title = f"{rule}, {len(runs)} folds pooled, every one of {summary['videos']} videos once:"
    return [*lines, _spread(folds), title, *describe_summary(summary, per_class=per_class)], summary


def what_is_missing(runs: Sequence[Run]) -> list[str]:
    """Folds without a table, and videos or views that the tables lack."""
    there = {run.table.header["fold"]["fold"] for run in runs}
    folds = [f"fold {fold}" for fold in range(runs[0].table.header["fold"]["folds"]) if fold not in there]
    return folds + [f"{run.name}: {line}" for run in runs for line in missing_views(run.table)]


def _main_number(summary: dict) -> dict:
    name = "mean_average_precision" if "mean_average_precision" in summary else "top1"
    return {name: summary.get(name)}


def _told(summary: dict) -> str:
    if not summary["videos"]:
        return "no video with a known class"
    if "mean_average_precision" in summary:
        return f"mAP {summary['mean_average_precision']:.2f} % of {summary['videos']} videos"
    return f"top-1 {Share(**summary['top1'])}"


def _spread(folds: Sequence[dict]) -> str:
    """Mean and deviation between the folds, which the pooled number does not show."""
    several = "mean_average_precision" in folds[0]
    values = [own["mean_average_precision"] if several else own["top1"]["percent"] for own in folds if own["videos"]]
    if len(values) < 2:
        return "one fold, no deviation"
    name = "mAP" if several else "top-1"
    return f"{name} of a fold: mean {statistics.mean(values):.2f} %, standard deviation {statistics.stdev(values):.2f}"
