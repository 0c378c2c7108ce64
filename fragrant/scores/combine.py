"""Combining and comparing several score tables, with the results as lines of text."""

from collections.abc import Sequence
from pathlib import Path

import simplejson

from fragrant.files import save_file
from fragrant.metrics import ScoreError, Share, mcnemar, predicted
from fragrant.scores.ensemble import as_table, ensemble_runs, on_the_same_videos, split_rule
from fragrant.scores.inputs import Run, load_runs, what_is_missing, with_views
from fragrant.scores.summary import careful, describe_summary, summarise
from fragrant.scores.table import save_table

MOST_LINES = 10
NOTES = ("protocol", "clips_differ")  # in the header of a table, what must not be overlooked


def _prepared(
    inputs: Sequence[str], *, paths: Sequence[str] | None, rule: str | None, views: Sequence[str], allow_missing: bool
) -> tuple[list[Run], str, list[str]]:
    """Loads the runs, picks the rule that ensembles their views, and describes both in lines of text."""
    runs = [with_views(run, views) for run in load_runs(inputs, paths=paths)]
    rule = "-".join(split_rule(rule or runs[0].table.header.get("rule") or "mean-softmax"))
    lines = [
        f"{run.name}: {len(run.table)} videos, {len(run.table.views)} views"
        + (f", weight {run.weight:g}" if len(runs) > 1 else "")
        + "".join(f"; {run.table.header[note]}" for note in NOTES if note in run.table.header)
        for run in runs
    ]
    missing = what_is_missing(runs)
    listed = [f"missing: {line}" for line in missing[:MOST_LINES]]
    if len(missing) > MOST_LINES:
        listed.append(f"missing: ... {len(missing)} lines in all")
    if missing and not allow_missing:
        raise ScoreError(
            f"{len(missing)} videos are missing or lack views; --allow-missing goes on without; {'; '.join(listed)}"
        )
    return runs, rule, lines + listed


def combine(inputs: Sequence[str], **options) -> list[str]:
    """The lines of ``combined``."""
    return combined(inputs, **options)[0]


def combined(
    inputs: Sequence[str],
    *,
    paths: Sequence[str] | None = None,
    rule: str | None = None,
    views: Sequence[str] = (),
    allow_missing: bool = False,
    per_class: bool = False,
    out: Path | None = None,
    numbers: Path | None = None,
) -> tuple[list[str], dict]:
    """The ensemble of all runs in lines for a person, and its summary; writes the table to ``out`` and the numbers to
    ``numbers`` where given.

    Raises:
        ScoreError: videos or views are missing without ``allow_missing``, or the tables are not of the same videos and
            classes.
    """
    runs, rule, lines = _prepared(inputs, paths=paths, rule=rule, views=views, allow_missing=allow_missing)
    names, tables, weights = zip(*runs, strict=True)
    video = ensemble_runs(tables, weights=weights, rule=rule, common=allow_missing, names=names)
    summary = summarise(video)
    if out is not None:
        header = {"runs": [{"name": run.name, "weight": run.weight} | _origin(run) for run in runs]}
        save_table(out, tables[0] if len(runs) == 1 else as_table(video, header))
        lines.append(f"wrote {out}")
    if numbers is not None:
        save_file(numbers, simplejson.dumps(summary, indent=1, ignore_nan=True), ScoreError)
        lines.append(f"wrote {numbers}")
    title = f"{rule} over the views of {summary['videos']} videos with a label:"
    return [*lines, title, *describe_summary(summary, per_class=per_class)], summary


def _origin(run: Run) -> dict:
    return {
        key: run.table.header[key]
        for key in ("checkpoint", "checkpoint_hash", "imported", "protocol")
        if key in run.table.header
    }


def compare(
    inputs: Sequence[str],
    *,
    paths: Sequence[str] | None = None,
    rule: str | None = None,
    views: Sequence[str] = (),
    allow_missing: bool = False,
) -> list[str]:
    """Tests whether two runs are equally good: McNemar's exact test on the same videos, as lines of text.

    Raises:
        ScoreError: there are not exactly two runs, or they are not of the same videos.
    """
    runs, rule, lines = _prepared(inputs, paths=paths, rule=rule, views=views, allow_missing=allow_missing)
    if len(runs) != 2:
        got = ", ".join(run.name for run in runs)
        raise ScoreError(
            f"--compare takes two runs, got {len(runs)} ({got}); files of one model count as one, unless named: "
            "a=FILE b=FILE"
        )
    names, tables, _ = zip(*runs, strict=True)
    if tables[0].labels.ndim > 1:
        raise ScoreError(
            "--compare counts videos that are right and wrong; of videos with several labels there is the mAP alone"
        )
    aligned = on_the_same_videos(tables, names, common=allow_missing)
    both = [
        ensemble_runs([table], rule=rule, names=[name]).labelled() for table, name in zip(aligned, names, strict=True)
    ]
    right = [predicted(video.scores) == video.labels for video in both]
    for name, video in zip(names, both, strict=True):
        summary = summarise(video)
        lines.append(f"{name}: top-1 {Share(**summary['top1'])}{careful(summary)}")
    test = mcnemar(*right)
    verdict = "they differ" if test.p_value < 0.05 else "no difference can be told"
    return [
        *lines,
        f"{rule}: both right {test.both}, only the first {test.only_first}, only the second {test.only_second}, "
        f"neither {test.neither}",
        f"McNemar, exact, two-sided: p = {test.p_value:.4g}; {verdict} at the 5 % level",
    ]
