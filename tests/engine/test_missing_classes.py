"""Classes that are trained and that no validation video has."""

from types import SimpleNamespace

import numpy as np
import pytest

from fragrant.config import load_cfg
from fragrant.engine.introduction import tell_of_classes


def loader(labels: list[int]) -> SimpleNamespace:
    return SimpleNamespace(
        dataset=SimpleNamespace(records=SimpleNamespace(labels=np.array(labels))), class_names=["walk", "run", "sit"]
    )


CASES = [
    ([0, 1, 2, 2], [2, 1, -1], ["no validation video is of 1 of the 3 classes that are trained: walk"], ""),
    ([0, 1, 2], [0, 1, 2], [], ""),
    ([0, 1, -1], [0, 1, 2], [], ""),
    ([0, 1, 2], [-1, -1], [], ""),  # of no known class: nothing is picked by any
    ([0, 1, 2], [0], [], "DATA.FOLDS 5"),  # says so itself
    ([0, 1, 2], [0], [], "TRAIN.OBJECTIVE contrastive AUG.NUM_SAMPLE 2 TEST.ENABLE False"),
]


@pytest.mark.parametrize("trained, validated, warnings, words", CASES)
def test_they_are_named_once(trained, validated, warnings, words):
    said: list[str] = []
    cfg = load_cfg(None, ["MODEL.NUM_CLASSES", "3", *words.split()])
    job = SimpleNamespace(cfg=cfg, log=SimpleNamespace(warn=said.append))
    tell_of_classes(job, loader(trained), loader(validated))
    assert said == warnings
