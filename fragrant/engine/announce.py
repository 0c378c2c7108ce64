"""Announcement of a test before it starts: everything that decides which number comes out."""

import re
from collections.abc import Sequence

from fragrant.errors import UserError
from fragrant.models.weights import LoadReport
from fragrant.scores.table import CROPS

METHODS = {"sum": "sum", "mean": "mean", "max": "maximum"}
SPACES = {"logits": "logits", "softmax": "softmax probabilities", "relu": "logits, those below 0 counting 0,"}


def evaluation_lines(
    weights: str,
    report: LoadReport,
    *,
    num_videos: int,
    frames: int,
    crops: int,
    clips: int,
    short_side: int,
    crop_size: int,
    method: str,
    space: str,
    classes: str,
    fewer: Sequence[int] = (),
) -> list[str]:
    """Lines that describe a test: checkpoint, views, pixels, rule, classes, one each.

    Args:
        fewer: other numbers of clips that are scored with it.
    """
    total = len(report.loaded) + len(report.missing)
    matched = f"{100 * len(report.loaded) / total:.1f} % of the model's tensors matched"
    views = (clips + sum(fewer)) * crops
    passes = f"{'up to ' if fewer else ''}{views} forward pass{'es' if views > 1 else ''} per video"
    if fewer:
        passes += f", for {', '.join(map(str, fewer))} and {clips} clips together (equal views once)"
    places = ", ".join(CROPS[crops]) if crops in CROPS else f"{crops} places"
    return [
        f"Testing {weights}: {matched}; {report.summary()}",
        f"{num_videos} test videos, #Frame = {frames} x {crops} x {clips}: {passes}",
        f"short side {short_side}, crop {crop_size} ({places})",
        f"{METHODS[method]} of {SPACES[space]} over the views (DATA.ENSEMBLE_METHOD {method}, TEST.ENSEMBLE_SPACE "
        f"{space})",
        f"classes: {classes}",
    ]


def compare_class_names(trained: Sequence[str] | None, listed: Sequence[str] | None, weights: str) -> str:
    """Compares the class names of the checkpoint and of the list; returns the outcome as a text: agreed, or which one
    has none.

    Raises:
        UserError: both are known and differ: the scores would be of other classes than the labels.
    """
    if not trained or not listed:
        silent = [name for name, names in ((weights, trained), ("the test list", listed)) if not names]
        return (
            f"{' and '.join(silent)} name{'s' if len(silent) == 1 else ''} no classes, so their order cannot be checked"
        )
    for number, (old, new) in enumerate(zip(trained, listed, strict=False)):
        if _plain(old) != _plain(new):
            raise UserError(
                f"class {number} is '{old}' in {weights}, but '{new}' in the class names of the test list; the "
                "orders must agree"
            )
    if len(trained) != len(listed):
        raise UserError(f"{weights} has {len(trained)} class names, the test list {len(listed)}")
    return f"the {len(listed)} names and their order agree with the checkpoint's ({_first(listed)})"


def _plain(name: str) -> str:
    """Class name without the signs in which spellings of one set differ: Dark-48 has adult+female+singing and
    adult_female_singing."""
    return " ".join(re.split(r"[\s_+-]+", re.sub(r"[\[\]]", "", name).casefold()))


def _first(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
