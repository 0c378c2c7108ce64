"""Content of a report as plain values: the numbers of a test in words, tables and curves, for the page to draw."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fragrant.metrics import ScoreError, predicted
from fragrant.report.curves import curve, thinned
from fragrant.report.strips import evenly
from fragrant.scores import VideoScores, summarise
from fragrant.scores.summary import careful, name_not_finite

MOST_POINTS = 400  # of a curve
MOST_DOTS = 1500  # videos in the picture of a choice
SURE = "the probability of the class named, all views together by the rule of the test"


class Strip(NamedTuple):
    """A row of frames, as a picture in the page."""

    title: str
    src: str  # data:image/...


class Mistake(NamedTuple):
    """A video that was classified wrongly; ``why``: the reason if there are no frames to show."""

    row: int
    strips: Sequence[Strip] = ()
    why: str = ""


def confident_mistakes(scores: VideoScores, most: int) -> list[int]:
    """Rows of the wrongly classified videos, the most confident first."""
    if scores.labels.ndim > 1:
        return []
    guess = predicted(scores.scores)
    wrong = ((guess != scores.labels) & (guess >= 0)).nonzero().flatten()
    sure = scores.probs[wrong, guess[wrong]]
    return wrong[sure.argsort(descending=True, stable=True)[:most]].tolist()


def report_content(
    scores: VideoScores,
    *,
    title: str,
    subtitle: str = "",
    records: Sequence[dict] = (),
    facts: Sequence[tuple[str, str]] = (),
    config: str = "",
    mistakes: Sequence[Mistake] = (),
    thumbnails: Mapping[int, str] | None = None,
    warning: str = "",
) -> dict:
    """Collects everything that the report page shows.

    Args:
        scores: the videos of known class are reported.
        records: the records of the training log.
        facts: name and value, in the order they are shown.
        config: the config of the test as yaml text.
        mistakes: the rows of ``confident_mistakes(scores.labelled(), ...)``, with frames.
        thumbnails: a few frames of some videos, by their row in ``scores.labelled()``, as ``data:image/...``.
        warning: text that is shown at the top of the page.

    Raises:
        ScoreError: the class of no video is known.
    """
    scores = scores.labelled()
    if not scores.paths:
        raise ScoreError("the class of no video is known, so there is nothing to report")
    summary = summarise(scores)
    names = list(scores.class_names or [f"class {k}" for k in range(scores.scores.shape[1])])
    content: dict[str, Any] = {
        "title": title,
        "subtitle": subtitle,
        "classes": names,
        "sure": SURE,
        "config": config,
        "warning": "; ".join(filter(None, [warning, name_not_finite(summary) if careful(summary) else ""])),
    }
    content |= {
        "facts": [list(fact) for fact in facts],
        "curves": charts(records, None if scores.labels.ndim > 1 else chance(len(names))),
        "choices": choices_by_light(scores, summary),
    }
    if scores.labels.ndim > 1:
        level = 100 * float(scores.labels.double().mean())  # the precision of any order by chance, on average
        return content | several_labels(summary, names, level)
    return content | {
        "headline": headline(summary),
        "short": in_short(summary, names),
        "perClass": summary["per_class"],
        "light": summary["by_luma"],
        "chance": chance(len(names)),
        "thumbnails": {str(row): src for row, src in (thumbnails or {}).items()},
        "videos": video_columns(scores),
        "mistakes": [mistake_content(mistake, scores) for mistake in mistakes],
    }


def video_columns(scores: VideoScores) -> dict:
    """What the page knows of every video, column by column."""
    guess = predicted(scores.scores)
    return {
        "path": list(scores.paths),
        "label": scores.labels.tolist(),
        "guess": guess.tolist(),
        "confidence": rounded(scores.probs.gather(1, guess.clamp(min=0)[:, None])[:, 0].tolist()),
        "luma": None if bool(scores.luma.isnan().all()) else rounded(scores.luma.tolist()),
    }


def chance(classes: int, *, top: int = 1) -> float:
    """Accuracy in percent of guessing evenly, with ``top`` guesses for a video."""
    return 100 * min(top, classes) / classes


def thumbnail_rows(scores: VideoScores, most: int) -> list[int]:
    """Rows of the videos whose frames the cells of the matrix show, at most so many: of every cell the surest, then of
    every cell the next, mistakes first and the frequent ones before the rare."""
    if scores.labels.ndim > 1:
        return []
    guess = predicted(scores.scores)
    cells: dict[tuple[int, int], list[int]] = {}
    for row, pair in enumerate(zip(scores.labels.tolist(), guess.tolist(), strict=True)):
        cells.setdefault(pair, []).append(row)
    sure = scores.probs.gather(1, guess.clamp(min=0)[:, None])[:, 0].nan_to_num(0.0).tolist()
    order = sorted(cells, key=lambda pair: (pair[0] == pair[1], -len(cells[pair]), pair))
    ranked = [sorted(cells[pair], key=lambda row: -sure[row]) for pair in order]
    turns = [rows[at] for at in range(max(map(len, ranked), default=0)) for rows in ranked if at < len(rows)]
    return turns[:most]


def mistake_content(mistake: Mistake, scores: VideoScores) -> dict:
    return {
        "video": mistake.row,
        "top": likeliest(scores.probs[mistake.row]),
        "strips": [strip._asdict() for strip in mistake.strips],
        "why": mistake.why,
    }


def rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 5) for value in values]


def likeliest(probs: Tensor, most: int = 3) -> list[list]:
    """The most probable classes of one video: probabilities (K,) -> [[class, probability], ...]."""
    top = probs.topk(min(most, len(probs)))
    return [[k, p] for k, p in zip(top.indices.tolist(), rounded(top.values.tolist()), strict=True)]


# ------------------------------------------------------------------------------------------------------------- in words
def headline(summary: dict) -> list[dict]:
    """The cards with the main numbers at the top of the report."""
    cards = []
    classes, k = summary["classes"], summary["top5_k"]
    for name, share, guesses in (("top-1 accuracy", summary["top1"], 1), (f"top-{k} accuracy", summary["top5"], k)):
        level = chance(classes, top=guesses)
        notes = [
            f"95 % interval {share['low']:.1f} – {share['high']:.1f} %",
            f"{share['correct']} of {share['total']} videos; chance: {level:.1f} %",
        ]
        cards.append({"name": name, "value": f"{share['percent']:.2f} %", "notes": notes, "chance": level, **share})
    counted = summary["classes"] - summary["empty_classes"]
    whose = (
        f"{counted} classes"
        if not summary["empty_classes"]
        else f"the {counted} of {summary['classes']} classes that have videos"
    )
    mean = f"{summary['mean_class']:.2f} %"
    notes = [f"every class counts the same, {whose}; chance: {chance(classes):.1f} %"]
    cards.append({"name": "mean class accuracy", "value": mean, "notes": notes})
    calibration = "how far its confidence is from its accuracy, on average"
    cards.append(
        {"name": "calibration error", "value": f"{summary['calibration_error']:.2f} %", "notes": [calibration]}
    )
    note = [careful(summary).removeprefix("; ")] if careful(summary) else []
    return [card | {"notes": [*card["notes"], *note]} for card in cards]


def in_short(summary: dict, names: Sequence[str]) -> list[str]:
    """Summary of the test in a few sentences, for a reader who reads nothing else."""
    top1, rows = summary["top1"], [row for row in summary["per_class"] if row["total"]]
    lines = [
        f"{top1['correct']} of {top1['total']} test videos are recognised{careful(summary)}. A test of this size says "
        "that the accuracy on "
        f"all such videos is between {top1['low']:.1f} and {top1['high']:.1f} % (95 % interval)."
    ]
    counts = torch.tensor(summary["confusion"]).fill_diagonal_(0)
    order = counts.flatten().argsort(descending=True, stable=True)[:2].tolist()
    pairs = [(*divmod(at, len(names)), int(counts.flatten()[at])) for at in order]
    said = [
        f"“{names[a]}” is taken for “{names[b]}” ({n} of {summary['per_class'][a]['total']} videos)"
        for a, b, n in pairs
        if n
    ]
    lines.append(f"Most often {', then '.join(said)}." if said else "It makes no mistake.")
    worst, best = min(rows, key=lambda row: row["percent"]), max(rows, key=lambda row: row["percent"])
    if worst["percent"] < best["percent"]:
        hard, easy = (f"“{row['class']}” ({row['correct']} of {row['total']})" for row in (worst, best))
        lines.append(f"The hardest class is {hard}, the easiest {easy}.")
    if len(summary["by_luma"]) > 1:
        dark, bright = (summary["by_luma"][at]["share"] for at in (0, -1))
        apart = dark["high"] < bright["low"] or bright["high"] < dark["low"]
        verdict = "the intervals do not overlap" if apart else "the intervals overlap, so that may be chance"
        lines.append(
            f"Of the {dark['total']} darkest videos it recognises {dark['percent']:.1f} %, of the "
            f"{bright['total']} brightest "
            f"{bright['percent']:.1f} %; {verdict}."
        )
    return lines


def several_labels(summary: dict, names: Sequence[str], level: float) -> dict:
    """The part of the report that differs where videos have several labels: average precision in place of a confusion
    matrix. ``level``: mean share of videos that have a label, in percent."""
    mean: dict[str, Any] = {"name": "mean average precision", "value": f"{summary['mean_average_precision']:.2f} %"}
    mean["notes"] = [
        f"{summary['videos']} videos, {summary['classes']} classes{careful(summary)}",
        f"chance: about {level:.1f} %, the share of videos with a label",
    ]
    known = [
        (value, name) for value, name in zip(summary["average_precision"], names, strict=True) if value is not None
    ]
    hard, easy = min(known), max(known)
    return {
        "headline": [mean],
        "short": [
            f"The hardest class is “{hard[1]}” (average precision {hard[0]:.1f} %), the easiest “{easy[1]}” "
            f"({easy[0]:.1f} %)."
        ],
        "precision": summary["average_precision"],
    }


# -------------------------------------------------------------------------------------------------------------- choices
def choices_by_light(scores: VideoScores, summary: dict) -> list[dict]:
    """The model's choices against the brightness of the videos: the numbers of ``summarise``, and for each video drawn
    its path, luma and number of views per value."""
    drawn = []
    for name, chosen in scores.choices.items():
        known = (~scores.luma.isnan() & (chosen.counts.sum(1) > 0)).nonzero().flatten().tolist()
        rows = [known[at] for at in evenly(len(known), MOST_DOTS)]
        dots = [[scores.paths[row], round(float(scores.luma[row]), 5), chosen.counts[row].tolist()] for row in rows]
        drawn.append({"name": name, **summary["choices"][name], "dots": dots, "known": len(known)})
    return drawn


# --------------------------------------------------------------------------------------------------------------- curves
def charts(records: Sequence[dict], level: float | None = None) -> list[dict]:
    """Charts of the training curves that the log has; of two curves in one chart the first is drawn pale. ``level``:
    top-1 accuracy by chance in percent, where it is drawn."""
    plans = [
        ("loss", None, {"every step": "loss of a step", "mean of an epoch": "loss"}),
        ("top-1 accuracy, %", [0, 100], {"training": "training top-1", "validation": "validation top-1"}),
        ("mean average precision, %", [0, 100], {"validation": "validation mAP"}),
        ("learning rate", None, {"learning rate": "learning rate"}),
    ]
    drawn = []
    for title, span, lines in plans:
        series = []
        for name, source in lines.items():
            points = thinned(curve(records, source), MOST_POINTS)
            pale, thin = name in ("every step", "training"), name == "every step"
            if points.epochs:
                series.append(
                    {"name": name, "x": rounded(points.epochs), "y": points.values, "pale": pale, "thin": thin}
                )
        if series:
            by_chance = {"chance": level} if level is not None and title.startswith("top-1") else {}
            drawn.append({"title": title, "range": span, "series": series, **by_chance})
    return drawn
