"""The page of an experiment, report.html in its folder: the numbers, the settings, the curves, a link to every run."""

import html
import math
import shlex
from collections.abc import Sequence

from fragrant.experiments.charts import Line, dot_row, key_chart, line_chart, whisker
from fragrant.experiments.results import Result
from fragrant.experiments.summary import Outcome, Summary
from fragrant.experiments.told import interval_words, ordered, spread_words, validation_words
from fragrant.logs import duration
from fragrant.report.plain_page import plain_page
from fragrant.texts import printable

MOST_CURVES = 60
STYLE = """
.axis { stroke: var(--line); } .ground { fill: var(--line); } .interval { fill: var(--pale); }
.value { fill: var(--right); } .mean { fill: var(--ink); }
.dot { fill: var(--pale); } .dot.strong { fill: var(--right); }
.curve { fill: none; stroke: var(--pale); stroke-width: 1.5; }
.curve.strong { stroke: var(--right); stroke-width: 2.2; }
.scroll { overflow-x: auto; } .scroll svg { max-width: none; }
.wide { overflow-x: auto; } .wide svg { width: 100%; min-width: 600px; height: auto; }
tr.chosen td { font-weight: 600; } td.value-cell { white-space: nowrap; } a { color: var(--right); }
.card .value { white-space: nowrap; font-size: 26px; } .charts svg { max-width: 100%; height: auto; }
"""


def text(value: object) -> str:
    return html.escape(printable(str(value)))


def page_of(summary: Summary) -> str:
    """HTML text of the page."""
    plan = summary.plan
    name = plan.out.resolve().name
    over = [f"{len(plan.settings)} settings"] if plan.searched else []
    over += [f"{len(plan.seeds)} seeds"] if plan.seeds else []
    over += [f"{plan.folds} folds"] if plan.folds else []
    notes = [summary.optimistic, *(one.tested.protocol for one in summary.outcomes if one.tested)]
    parts = [
        f"<h1>{text(name)}</h1>",
        f'<p class="soft">{" × ".join(over) or "one setting"}: {len(plan.runs)} runs of one command</p>',
        *(f'<p id="warning"><b>Careful: </b>{text(note)}</p>' for note in dict.fromkeys(filter(None, notes))),
        _cards(summary),
        *([_settings(summary)] if plan.searched else []),
        _curves(summary),
        _runs(summary),
        _section("The command", f"<pre>{text(shlex.join(['python', 'tools/run_net.py', *plan.command]))}</pre>"),
    ]
    return plain_page(f"{name}: {len(plan.runs)} runs", "\n".join(filter(None, parts)), style=STYLE)


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>"


def _card(name: str, value: str, *notes: str, picture: str = "") -> str:
    below = "".join(f'<div class="soft small">{text(note)}</div>' for note in notes if note)
    return (
        f'<div class="card"><div class="soft">{text(name)}</div><div class="value">{text(value)}</div>'
        f"{picture}{below}</div>"
    )


def _cards(summary: Summary) -> str:
    """The result of the chosen setting, or of the only one; how much of the work is done."""
    plan = summary.plan
    results = [result for outcome in summary.outcomes for result in outcome.results]
    cards = []
    if summary.chosen is not None or not plan.searched:
        outcome = summary.outcomes[summary.chosen or 0]
        if tested := outcome.tested:
            seeds = f"mean ± standard deviation over {len(plan.seeds)} seeds" if len(plan.seeds) > 1 else "one seed"
            folds = f"{plan.folds} folds pooled, every video once" if plan.folds else ""
            interval = f"95 % interval {interval_words(outcome)}, {tested.videos} videos" if tested.interval else ""
            picture = ""
            if tested.interval:
                picture = whisker(tested.interval.low, tested.spread.mean, tested.interval.high)
            cards.append(
                _card(f"Test {tested.kind}", tested.spread.in_words(), seeds, folds, interval, picture=picture)
            )
        if outcome.validation:
            value = spread_words(outcome.validation, outcome.kind)
            cards.append(_card(f"Validation {outcome.kind}", value, f"of {len(outcome.results)} runs"))
    if summary.chosen is not None:
        chosen = plan.settings[summary.chosen]
        lines = [f"{key.rpartition('.')[2]} {value}" for key, value in chosen.items()]
        cards.append(_card("Chosen on validation", lines[0], *lines[1:], f"of {len(plan.settings)} settings"))
    trained, failed = sum(one.trained for one in results), sum(bool(one.failed) for one in results)
    value = f"{trained} of {len(results)}"
    time = duration(sum(one.seconds for one in results))
    cards.append(_card("Runs trained", value, f"{failed} failed" if failed else "", f"{time} of training in all"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _settings(summary: Summary) -> str:
    """The table of the settings, the best validation first, and what each key does."""
    outcomes = ordered(summary)
    values = [one.value for o in outcomes for r in o.results if (one := r.validation) and _is_good(r)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    rows = "".join(_setting_row(one, low, high, chosen=one.number == summary.chosen) for one in outcomes)
    keys = "".join(f"<th>{text(key)}</th>" for key in summary.plan.settings[0])
    head = f"<tr>{keys}<th>validation</th><th>its runs</th><th>test of the chosen one</th></tr>"
    table = f'<div class="scroll"><table>{head}{rows}</table></div>'
    decided = "" if summary.chosen is not None else " It is decided when every run is trained or has failed."
    note = (
        f'<p class="soft small">The choice is made on validation alone; only the chosen setting is tested.{decided}</p>'
    )
    return _section("Settings, the best first", note, table, _keys(summary))


def _is_good(result: Result) -> bool:
    return result.validation is not None and not result.failed and math.isfinite(result.validation.value)


def _setting_row(outcome: Outcome, low: float, high: float, *, chosen: bool) -> str:
    dots = [(r.run.name, r.validation.value) for r in outcome.results if r.validation and _is_good(r)]
    mean = outcome.validation.mean if outcome.validation else math.nan
    row = dot_row(dots, mean, low, high, strong=chosen) if dots else ""
    values = "".join(f'<td class="value-cell">{text(value)}</td>' for value in outcome.setting.values())
    tested = f"{outcome.tested.spread.in_words()} ({interval_words(outcome)})" if outcome.tested else ""
    return (
        f"<tr{' class=chosen' if chosen else ''}>{values}"
        f'<td class="value-cell">{text(validation_words(outcome))}</td><td>{row}</td>'
        f'<td class="value-cell">{text(tested)}</td></tr>'
    )


def _keys(summary: Summary) -> str:
    """For every key with several values: what was reached with each."""
    there = [one for one in summary.outcomes if one.validation and math.isfinite(one.validation.mean)]
    charts = []
    for key in summary.plan.settings[0]:
        points = [
            (one.setting[key], one.validation.mean, one.number == summary.chosen) for one in there if one.validation
        ]
        if len({value for value, _, _ in points}) > 1:
            charts.append(f"<div>{key_chart(key, points, f'validation {there[0].kind}')}</div>")
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _curves(summary: Summary) -> str:
    """The validation of every run over its epochs."""
    results = [result for outcome in ordered(summary) for result in outcome.results if _is_good(result)]
    lines = [_line(result, strong=_stands_out(summary, result)) for result in results[:MOST_CURVES]]
    lines = [line for line in lines if line.xs]
    if not lines or not results[0].validation:
        return ""
    kind = results[0].validation.kind
    more = f" The first {MOST_CURVES} of {len(results)} runs." if len(results) > MOST_CURVES else ""
    of = "Strong: the chosen setting." if summary.chosen is not None else "A line for each run."
    note = f'<p class="soft small">{of}{more}</p>'
    chart = line_chart(lines, f"validation {kind} of every run")
    return _section(f"Validation by epoch, {kind}", note, f'<div class="wide">{chart}</div>')


def _stands_out(summary: Summary, result: Result) -> bool:
    return not summary.plan.searched or result.run.setting == summary.chosen


def _line(result: Result, *, strong: bool) -> Line:
    points = [(x, y) for x, y in zip(*result.curve, strict=True) if math.isfinite(y)]
    return Line(result.run.name, [x for x, _ in points], [y for _, y in points], strong)


def _runs(summary: Summary) -> str:
    """Every run with its numbers and a link to its page, or to its folder."""
    plan = summary.plan
    own = [*(["seed"] if plan.seeds else []), *(["fold"] if plan.folds else [])]
    columns = ("run", *own, "validation", "epoch", "test", "time", "")
    head = "".join(f"<th{'' if name == 'run' else ' class=number'}>{name}</th>" for name in columns)
    rows = [_run_row(result) for outcome in ordered(summary) for result in outcome.results]
    return _section("Runs", f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>')


def _run_row(result: Result) -> str:
    run, validation = result.run, result.validation
    page = run.folder / "report.html"
    target = f"{run.name}/{'report.html' if page.is_file() else ''}"
    name = f'<a href="{html.escape(target)}">{text(run.name)}</a>' if run.folder.is_dir() else text(run.name)
    value = "" if validation is None else f"{validation.value:.{4 if validation.kind == 'loss' else 2}f}"
    state = result.failed or result.state
    cells: Sequence[object] = (
        *(number for number in (run.seed, run.fold) if number is not None),
        value,
        "" if validation is None else validation.epoch,
        "" if result.test is None else f"{result.test:.2f}",
        duration(result.seconds) if result.seconds else "",
    )
    numbers = "".join(f'<td class="number">{text(cell)}</td>' for cell in cells)
    kind = "value-cell wrong" if result.failed else "value-cell"
    return f'<tr><td class="value-cell">{name}</td>{numbers}<td class="{kind}">{text(state)}</td></tr>'
