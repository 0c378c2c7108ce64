"""Ensembles the logits of many views to one score per video and class: the rules, for one run and for several."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from fragrant.metrics import METHODS, SPACES, ScoreError, ensemble, not_finite
from fragrant.registry import did_you_mean
from fragrant.scores.choices import Chosen, count_choices
from fragrant.scores.table import ScoreTable, ViewName, contradicting, is_known, same_classes

SEVERAL_SPACES = ("logits", "sigmoid")  # where a video may have several labels
RULES = tuple(f"{method}-{space}" for space in SPACES for method in METHODS)
# header["kind"] of a table whose views are ensembled already
PROBABILITIES, SUMMED_LOGITS = (
    "probabilities",
    "summed logits",
)
SHORT = {"max": "max-softmax", "mean": "mean-softmax", "sum": "sum-softmax"}  # as SlowFast's meter has them


class VideoScores(NamedTuple):
    """Scores of videos, one per video and class, which every reported number is computed from.

    Attributes:
        scores: (n, K) float64, by the rule; the largest wins. All NaN where any logit is NaN or infinite.
        probs: (n, K) float64, the scores as probabilities.
        labels: (n,) long, -1 = unknown; or (n, K) bool where a video has several, no True = unknown.
        luma: (n,) mean brightness 0..1 of each video before any enhancement; NaN = not measured.
        choices: name -> what the model chose for the views of each video; empty for several models together.
    """

    paths: tuple[str, ...]
    scores: Tensor
    probs: Tensor
    labels: Tensor
    luma: Tensor
    class_names: tuple[str, ...] | None
    rule: str
    choices: dict[str, Chosen] = {}

    @property
    def not_finite(self) -> Tensor:
        """(n,) bool: a score that the video is made of is NaN or infinite, so that nothing is known about it."""
        return self.scores.isnan().any(1)

    def labelled(self) -> "VideoScores":
        """Returns the scores of the videos whose class is known."""
        known = is_known(self.labels)
        if bool(known.all()):
            return self
        keep = known.nonzero().flatten().tolist()
        numbers = {name: getattr(self, name)[keep] for name in ("scores", "probs", "labels", "luma")}
        choices = {name: chosen._replace(counts=chosen.counts[keep]) for name, chosen in self.choices.items()}
        return self._replace(paths=tuple(self.paths[row] for row in keep), choices=choices, **numbers)


def split_rule(rule: str) -> tuple[str, str]:
    """Splits the name of a rule into its method and its space: ``"mean-softmax"`` -> ``("mean", "softmax")``.

    Raises:
        ScoreError: the rule is not known.
    """
    name = SHORT.get(rule, rule)
    if name not in RULES:
        raise ScoreError(f"rule '{rule}' is not known; {did_you_mean(rule, RULES)}Known: {', '.join(RULES)}")
    method, space = name.split("-")
    return method, space


def ensemble_views(table: ScoreTable, rule: str = "sum-logits") -> VideoScores:
    """Ensembles the views of each video of one table; see ``ensemble_runs`` for the rules and errors."""
    return ensemble_runs([table], rule=rule)


def ensemble_runs(
    tables: Sequence[ScoreTable],
    *,
    weights: Sequence[float] | None = None,
    rule: str = "sum-logits",
    common: bool = False,
    names: Sequence[str] | None = None,
) -> VideoScores:
    """Ensembles several models: the weighted sum of their scores for each video; videos are matched by path.

    Args:
        rule: how one model's views become a score: "sum-logits" is UniFormer's and FRAGRANT's, "mean-softmax" TDN's,
            mmaction2's and
            SV-Mix's, "sum-softmax" and "max-softmax" SlowFast's, "mean-relu" TDN's for several models (logits below 0
            count 0); videos with several labels have "sigmoid" and "logits" alone.
        common: use only the videos that all tables have; False: a video that a table lacks is an error.

    Raises:
        ScoreError: the rule is not known; the videos, labels or classes do not agree; a video has no view at all.
    """
    method, space = split_rule(rule)
    names = names or [f"table {number}" for number in range(1, len(tables) + 1)]
    weights = weights or [1.0] * len(tables)
    if len(tables) > 1:
        tables = on_the_same_videos(tables, names, common=common)
    for table, name in zip(tables, names, strict=True):
        _check_kind(table, space, name)
    first = tables[0]
    scores = cast(
        Tensor, sum(weight * _score(table, method, space) for weight, table in zip(weights, tables, strict=True))
    )
    # A sum grows with the views and every score with the weights: divided by both, logits are those of one view again.
    scale: Any = sum(  # (n,), or one number for all
        weight * (table.present.sum(1) if method == "sum" else 1) for weight, table in zip(weights, tables, strict=True)
    )
    mean = scores / (scale[:, None] if method == "sum" else scale)
    class_names = next((table.class_names for table in tables if table.class_names), None)
    probs = as_probabilities(mean, space, multi_label=first.labels.ndim > 1)
    lost = torch.stack([_lost(table) for table in tables]).any(0)[:, None]
    scores, probs = scores.masked_fill(lost, math.nan), probs.masked_fill(lost, math.nan)
    choices = count_choices(first.choices, first.header.get("choices", {})) if len(tables) == 1 else {}
    return VideoScores(first.paths, scores, probs, first.labels, first.luma, class_names, f"{method}-{space}", choices)


def _lost(table: ScoreTable) -> Tensor:
    """(n,) bool: is there a view whose scores are no numbers? The logarithm of the probability 0 is one."""
    logits = table.logits.masked_fill(~table.present[:, :, None], 0.0)
    return logits.isnan().flatten(1).any(1) if table.header.get("kind") == PROBABILITIES else not_finite(logits)


def _check_kind(table: ScoreTable, space: str, name: str) -> None:
    """Checks that the rule's space fits the table: scores that are ensembled already allow only their own space, videos
    with several labels only spaces that treat each class by itself."""
    multi_label, kind = table.labels.ndim > 1, table.header.get("kind")
    if multi_label and space not in SEVERAL_SPACES:
        rules = ", ".join(rule for rule in RULES if rule.endswith(SEVERAL_SPACES))
        raise ScoreError(f"{name} is of videos with several labels; a rule on {space} does not fit, allowed: {rules}")
    wanted = {PROBABILITIES: "sigmoid" if multi_label else "softmax", SUMMED_LOGITS: "logits"}.get(kind or "", space)
    if space != wanted:
        rules = ", ".join(rule for rule in RULES if rule.endswith(wanted))
        raise ScoreError(
            f"{name} holds {kind} ensembled over the views; a rule on {space} cannot be applied any more, "
            f"allowed: {rules}"
        )


def as_table(video: VideoScores, header: dict) -> ScoreTable:
    """Converts video scores to a score table of one view, from which any rule on softmax (several labels: sigmoid)
    returns them unchanged."""
    more = {"luma": video.luma, "class_names": video.class_names}
    multi_label = video.labels.ndim > 1
    logits = (video.probs.logit() if multi_label else video.probs.log()).float()[:, None]  # (n, 1, K)
    rule = "mean-sigmoid" if multi_label else "mean-softmax"
    header = {
        **header,
        "kind": PROBABILITIES,
        "rule": rule,
        "ensemble_rule": video.rule,
        "num_videos": len(video.paths),
    }
    return ScoreTable.whole(video.paths, video.labels, logits, [ViewName(0, "all")], header=header, **more)


def probabilities(logits: Tensor, rule: str = "sum-logits", *, multi_label: bool = False) -> Tensor:
    """Probability of each class for each video by a rule of ``ensemble_runs``: the logits of every view (n, V, K) ->
    (n, K) float64."""
    method, space = split_rule(rule)
    scores = ensemble(logits.double(), space=space, method=method)
    return as_probabilities(scores / logits.shape[1] if method == "sum" else scores, space, multi_label=multi_label)


def _score(table: ScoreTable, method: str, space: str) -> Tensor:
    """Scores of each video from its views, (n, K) float64."""
    if not bool(table.present.any(1).all()):
        video = table.paths[int((~table.present.any(1)).nonzero()[0])]
        raise ScoreError(f"'{video}' has no view; allowed: at least one")
    scores = torch.empty(len(table), table.num_classes, dtype=torch.float64)
    for pattern in table.present.unique(dim=0):  # one, unless views are missing
        rows = (table.present == pattern).all(1)
        # (n', V', K) -> (n', K)
        scores[rows] = ensemble(table.logits[rows][:, pattern].double(), space=space, method=method)
    return scores


def as_probabilities(scores: Tensor, space: str, *, multi_label: bool = False) -> Tensor:
    """Turns scores (n, K) into probabilities (n, K) without changing their order: rows sum to 1; with several labels
    each is from 0 to 1 on its own."""
    if multi_label:
        return scores.sigmoid() if space == "logits" else scores
    if space == "logits":
        return scores.softmax(1)
    total = scores.sum(1, keepdim=True)
    return torch.where(total > 0, scores / total, 1 / scores.shape[1])  # all logits below 0, and relu: nothing is known


def on_the_same_videos(tables: Sequence[ScoreTable], names: Sequence[str], *, common: bool) -> list[ScoreTable]:
    """Reorders the tables to list the same videos in the order of the first table."""
    keys = [_keys(table, ambiguous=any(len(set(t.paths)) < len(t) for t in tables)) for table in tables]
    shared = set(keys[0]).intersection(*keys[1:])
    for own, name in zip(keys, names, strict=True):
        if len(shared) < len(own) and not common:
            lacking = next(key for key in own if key not in shared)
            raise ScoreError(
                f"'{lacking[0]}' of {name} is not in all tables, {len(own) - len(shared)} of its {len(own)} "
                "videos are not; --allow-missing takes those that all have"
            )
    if not shared:
        raise ScoreError(f"{' and '.join(names)} have no video in common; the paths of the lists must agree")
    order = [key for key in keys[0] if key in shared]
    aligned = []
    for table, own, name in zip(tables, keys, names, strict=True):
        at = {key: row for row, key in enumerate(own)}
        aligned.append(table.rows([at[key] for key in order]))
        same_classes(aligned[0], aligned[-1], names[0], name)
        if bool((differs := contradicting(aligned[0].labels, aligned[-1].labels)).any()):
            video = order[int(differs.nonzero()[0])][0]
            raise ScoreError(f"label of '{video}' differs between {names[0]} and {name}; they are of different lists")
    labels = reduce(torch.maximum, (table.labels for table in aligned))  # -1 and False are unknown
    return [replace(table, labels=labels) for table in aligned]


def _keys(table: ScoreTable, *, ambiguous: bool) -> list[tuple]:
    """Key of each video: its path, and where a list names a path twice also its place in the list."""
    return list(zip(table.paths, table.ids.tolist(), strict=True)) if ambiguous else [(path,) for path in table.paths]
