"""The two runs of the golden file: 40 videos, 4 clips x 3 crops, 7 classes."""

import numpy as np
import torch
from conftest import golden

from fragrant.scores import ScoreTable, grid_views

GOLDEN = golden("score_ensembling/scores")
BUILD = GOLDEN["build"]
CASES = {case["rule"]: case for case in GOLDEN["cases"]}


def case_of(beginning: str) -> dict:
    """The one case whose rule begins so."""
    (rule,) = (rule for rule in CASES if rule.startswith(beginning))
    return CASES[rule]


def golden_logits(run: str) -> torch.Tensor:
    """(40, 4, 3, 7) by the recipe of the file."""
    labels, recipe = BUILD["labels"], BUILD[f"run_{run}"]
    shape = (BUILD["num_videos"], BUILD["num_clips"], BUILD["num_crops"], BUILD["num_classes"])
    z = np.random.RandomState(recipe["seed"]).standard_normal(shape)
    for video, label in enumerate(labels):
        z[video, :, :, label] += recipe["strength"]
    return torch.from_numpy(z.astype(np.float32))


def golden_table(run: str = "a", **more) -> ScoreTable:
    paths = [f"videos/{number:02d}.mp4" for number in range(BUILD["num_videos"])]
    views = grid_views(BUILD["num_clips"], BUILD["num_crops"])
    return ScoreTable.whole(paths, torch.tensor(BUILD["labels"]), golden_logits(run).flatten(1, 2), views, **more)
