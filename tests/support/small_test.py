"""Score tables small enough to check by eye, for the tests of what is drawn from them."""

from dataclasses import replace

import torch

from fragrant.scores import ScoreTable, VideoScores, ensemble_views, grid_views

NAMES = ("jump", "run", "sit")
LABELS = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
GUESSES = [0, 0, 1, 1, 1, 1, 0, 0, 0, 2]  # jump 2 of 3, run 3 of 3, sit 1 of 4: three times taken for jump
SURE = [5.0, 4.0, 1.0, 5.0, 5.0, 5.0, 2.0, 9.0, 1.5, 3.0]  # logit of the guess, the others have 0


def small_table(*, luma: bool = True, **header) -> ScoreTable:
    logits = torch.zeros(len(LABELS), 1, len(NAMES))
    for row, (guess, sure) in enumerate(zip(GUESSES, SURE, strict=True)):
        logits[row, 0, guess] = sure
    more = {"luma": torch.linspace(0.01, 0.1, len(LABELS))} if luma else {}
    paths = [f"videos/{NAMES[label]}_{row}.mp4" for row, label in enumerate(LABELS)]
    header = {"model": "Uniformer", "rule": "sum-logits", **header}
    return ScoreTable.whole(
        paths, torch.tensor(LABELS), logits, grid_views(1, 1), class_names=NAMES, header=header, **more
    )


def small_scores(**options) -> VideoScores:
    return ensemble_views(small_table(**options))


def small_choices(**changes) -> ScoreTable:
    """The darker, the larger the gamma, but for the second view of video 4; no view gets 3."""
    table = small_table()
    gamma = torch.tensor([2.5, 2.5, 2.0, 2.0, 2.0, 1.5, 1.5, 1.5, 1.0, 1.0])[:, None].repeat(1, 2)
    gamma[4, 1] = 1.0
    views = {"logits": table.logits.repeat(1, 2, 1), "present": table.present.repeat(1, 2), "views": grid_views(2, 1)}
    header = table.header | {"choices": {"gamma": [1.0, 1.5, 2.0, 2.5, 3.0]}}
    return replace(table, **(views | {"choices": {"gamma": gamma}, "header": header} | changes))


def many_classes(num_classes: int, per_class: int = 20) -> VideoScores:
    """Class 2k is often taken for 2k + 1."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_classes * per_class) % num_classes
    logits = torch.randn(len(labels), 1, num_classes, generator=generator)
    logits[torch.arange(len(labels)), 0, labels] += 4
    logits[torch.arange(len(labels)), 0, (labels ^ 1).clamp(max=num_classes - 1)] += 2.5
    names = tuple(f"playing a rather long instrument {k}" for k in range(num_classes))
    paths = [f"/data/videos/{row:06d}.mp4" for row in range(len(labels))]
    return ensemble_views(ScoreTable.whole(paths, labels, logits, grid_views(1, 1), class_names=names))
