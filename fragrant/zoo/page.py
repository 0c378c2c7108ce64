"""The models in the box as people read them: a table on a terminal, cards in docs/model_zoo.md."""

from collections.abc import Sequence

from tabulate import tabulate

from fragrant.errors import UserError
from fragrant.zoo import published
from fragrant.zoo.card import Card, Score

BEGIN, END = "<!-- cards: made by python tools/zoo.py docs -->", "<!-- end of the cards -->"


def _in_words(score: Score) -> str:
    runs = f", mean of {score.runs} runs" if score.runs > 1 else ""
    return f"{score.percent:.1f} % [{score.low:.1f}, {score.high:.1f}] of {score.videos} videos{runs}"


def list_of_models(cards: Sequence[Card]) -> str:
    """Table of the models for a terminal."""
    if not cards:
        return "no model ships with this copy of fragrant"
    rows = [
        [
            card.name,
            f"{card.network}, {card.parameters / 1e6:.2f} M",
            " ".join(card.class_names),
            "; ".join(f"{score.data}: {_in_words(score)}" for score in card.scores) or "not measured",
            card.warning,
        ]
        for card in cards
    ]
    headers = ["name", "network", "classes", "top-1 [95 %]", "note"]
    return tabulate(rows, headers, maxcolwidths=[None, None, 24, 40, 30])


def _half_precision(card: Card) -> str:
    half = card.half_precision
    if half is None:
        return "not compared with the float32 checkpoint"
    same = "all" if half.same_answer == half.videos else f"{half.same_answer} of"
    return (
        f"logits differ from those of the float32 checkpoint by up to {half.largest_difference:.2g}; the same answer "
        f"on {same} {half.videos} videos"
    )


def _card(card: Card) -> list[str]:
    channels, frames, height, width = card.clip
    lines = [f"### {card.name}", "", card.summary, ""]
    lines += [f"**{card.warning}**", ""] if card.warning else []
    lines += [
        "| | |",
        "|---|---|",
        f"| network | {card.network}, {card.parameters / 1e6:.2f} M parameters, clips of {frames} frames, "
        f"{height} x {width}, {channels} channels |",
        f"| classes | {', '.join(card.class_names)} |",
        f"| trained on | {card.trained_on} |",
        f"| file | {card.bytes / 1e6:.2f} MB, half precision; {_half_precision(card)} |",
        f"| made with | fragrant {card.fragrant}, seed {card.seed}; SHA-256 {card.sha256[:16]}... |",
        f"| licence | {card.licence} |",
        "",
    ]
    if card.scores:
        lines += ["| videos | number | runs | top-1 | 95 % interval |", "|---|---|---|---|---|"]
        lines += [
            f"| {score.data} | {score.videos} | {score.runs} | {score.percent:.1f} % | {score.low:.1f} to "
            f"{score.high:.1f} % |"
            for score in card.scores
        ]
        lines += [""]
    lines += ["Not good for:", "", *(f"- {text}" for text in card.not_for), ""]
    return [*lines, "Trained by:", "", "```", *card.commands, "```", ""]


def _between(page: str, marks: tuple[str, str], lines: Sequence[str], what: str) -> str:
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise UserError(f"the page has no place for the {what}: a line '{marks[0]}' and below it a line '{marks[1]}'")
    return "\n".join([before + begin, "", *lines, end + after])


def model_page(page: str, cards: Sequence[Card]) -> str:
    """The text of docs/model_zoo.md with the cards of today between its two marks.

    Raises:
        UserError: the marks are not there.
    """
    return _between(page, (BEGIN, END), [line for card in cards for line in _card(card)], "cards")


def files_page(page: str) -> str:
    """The same with the list of published files; errors as ``model_page``. A page without a place for it
    stays as it is."""
    if published.BEGIN not in page and published.END not in page:
        return page
    return _between(page, (published.BEGIN, published.END), [published.table_of_files(), ""], "files")
