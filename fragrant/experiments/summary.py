"""The runs of an experiment together: mean and deviation over seeds, folds pooled, the setting that is chosen."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from fragrant.experiments.plan import Plan
from fragrant.experiments.results import Result
from fragrant.experiments.settings import Setting
from fragrant.metrics import ScoreError, Share, share
from fragrant.scores import ensemble_views, load_table, summarise
from fragrant.scores import pool as pooling
from fragrant.scores.inputs import Run as ScoredRun


class Spread(NamedTuple):
    """Values of several runs: mean, standard deviation (n - 1; NaN of one), the values themselves."""

    mean: float
    deviation: float
    values: list[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        finite = [value for value in values if math.isfinite(value)]
        if len(finite) < len(values) or not values:
            return cls(math.nan, math.nan, list(values))
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, list(values))

    def in_words(self, unit: str = " %", digits: int = 2) -> str:
        if math.isnan(self.mean):
            return "-"
        deviation = "" if math.isnan(self.deviation) else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{deviation}{unit}"


class Pooled(NamedTuple):
    """The tests of a setting.

    Attributes:
        kind: "top-1" or "mAP", in percent.
        spread: over seeds, the folds of each seed pooled.
        interval: of the mean, as of the videos of one seed: more seeds make no more videos; None of mAP.
        videos: of one seed, every one once.
        protocol: what to say of the numbers.
    """

    kind: str
    spread: Spread
    interval: Share | None
    videos: int
    protocol: str


class Outcome(NamedTuple):
    """What a setting has come to: ``validation`` over all runs, None where one has none."""

    number: int
    setting: Setting
    results: list[Result]
    kind: str
    validation: Spread | None
    rank: float  # the larger, the better; NaN = it cannot be chosen
    tested: Pooled | None

    @property
    def complete(self) -> bool:
        return all(result.trained and not result.failed for result in self.results)


class Summary(NamedTuple):
    """Everything about an experiment.

    Attributes:
        chosen: number of the setting that is chosen; None while runs are missing, and where there is nothing to choose.
        optimistic: what to say of the choice, "" = it is fair.
    """

    plan: Plan
    outcomes: list[Outcome]
    chosen: int | None
    optimistic: str


def summary_of(plan: Plan, results: Sequence[Result]) -> Summary:
    """Puts the results together; a search is decided when every run is trained or has failed, by validation alone: the
    best mean, of equals the earlier setting.

    Raises:
        ScoreError: score tables of one setting do not belong together.
    """
    outcomes = []
    for number, setting in enumerate(plan.settings):
        own = [result for result in results if result.run.setting == number]
        outcomes.append(_outcome(number, setting, own))
    chosen, optimistic = None, ""
    if plan.searched and all(result.trained or result.failed for result in results):
        candidates = [one for one in outcomes if not math.isnan(one.rank)]
        if candidates:
            best = max(candidates, key=lambda one: one.rank)
            chosen, optimistic = best.number, _note(best.results)
    return Summary(plan, outcomes, chosen, optimistic)


def _note(results: Sequence[Result]) -> str:
    """Whether a setting was picked by numbers of test videos."""
    for result in results:
        if result.validation and result.validation.protocol:
            where = result.validation.protocol.partition("picked on ")[2] or "the test list"
            return f"optimistic: the setting was picked on {where}"
    return ""


def _outcome(number: int, setting: Setting, results: list[Result]) -> Outcome:
    found = [result.validation for result in results if result.validation]
    complete = len(found) == len(results) and all(one.trained and not one.failed for one in results)
    spread = Spread.of([one.value for one in found]) if complete else None
    rank = math.nan
    if spread and not math.isnan(spread.mean):
        rank = -spread.mean if found[0].smaller_is_better else spread.mean
    tests = [result for result in results if result.scores]
    tested = _tested(tests) if len(tests) == len(results) else None
    return Outcome(number, setting, results, found[0].kind if found else "top-1", spread, rank, tested)


def _tested(results: Sequence[Result]) -> Pooled:
    """Of each seed the folds are pooled: every video counts once, with the network that never saw it."""
    summaries = []
    for seed in dict.fromkeys(result.run.seed for result in results):
        tables = [(one.run.name, load_table(one.scores)) for one in results if one.run.seed == seed and one.scores]
        rule = tables[0][1].header.get("rule") or "mean-softmax"
        if len(tables) == 1:
            scores = ensemble_views(tables[0][1], rule)
        else:
            scores = pooling.pool([ScoredRun(name, table, 1.0) for name, table in tables], rule)
        protocols = {str(table.header["protocol"]) for _, table in tables if table.header.get("protocol")}
        summaries.append((summarise(scores), protocols))
    protocol = "; ".join(sorted(set().union(*(protocols for _, protocols in summaries))))
    first = summaries[0][0]
    videos = first["videos"]
    if not videos:
        raise ScoreError("the test list names no classes: there is nothing to compare")
    if "mean_average_precision" in first:
        values = [one["mean_average_precision"] for one, _ in summaries]
        return Pooled("mAP", Spread.of(values), None, videos, protocol)
    shares = [Share(**one["top1"]) for one, _ in summaries]
    mean = statistics.fmean(one.percent for one in shares) / 100 * videos
    interval = share(mean, videos)  # type: ignore[arg-type]  # a mean of counts is no whole number
    return Pooled("top-1", Spread.of([one.percent for one in shares]), interval, videos, protocol)
