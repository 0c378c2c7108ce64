"""Class-balanced epochs and weights by value."""

import random
from collections import Counter

import numpy as np
import pytest

from fragrant.config import ConfigError, load_cfg
from fragrant.data.balance import SAMPLERS, balanced_order, inverse_frequency, quotas
from fragrant.data.build import class_weights
from fragrant.data.lists.records import RecordList, VideoRecord
from fragrant.data.loader import TrainBatches
from fragrant.errors import UserError
from fragrant.objectives import build_loss

LABELS = np.array([0] * 90 + [1] * 9 + [4])


def test_weights_by_value():
    assert inverse_frequency([1, 2, 4]) == pytest.approx([12 / 7, 6 / 7, 3 / 7])
    assert sum(inverse_frequency([1, 2, 4])) == pytest.approx(3)
    assert inverse_frequency([5, 0, 5]) == [1, 1, 1]


@pytest.mark.parametrize(
    "name, wanted", [("balanced", [100 / 3] * 3), ("sqrt", [100 * w / 13.4868 for w in (9.4868, 3, 1)])]
)
def test_classes_are_drawn_as_often_as_asked(name, wanted):
    rng, found = random.Random(0), Counter()
    for _ in range(200):
        order = balanced_order(LABELS, SAMPLERS[name], rng)
        counts = Counter(LABELS[order].tolist())
        assert len(order) == 100 and all(abs(counts[c] - w) < 1 for c, w in zip((0, 1, 4), wanted, strict=True))
        of_video = Counter(order)
        for label in (1, 4):  # drawn again and again, all of a class equally often
            times = [of_video[int(at)] for at in np.flatnonzero(LABELS == label)]
            assert max(times) - min(times) <= 1
        assert max(of_video[at] for at in range(90)) == 1
        found.update(counts)
    assert [found[c] / 200 for c in (0, 1, 4)] == pytest.approx(wanted, abs=0.15)


def test_power_one_is_each_video_once():
    assert sorted(balanced_order(LABELS, 1.0, random.Random(3))) == list(range(100))
    assert quotas([3, 0, 5], 16, 1.0, random.Random(0)) == [6, 0, 10]


def batches(rank: int = 0, world_size: int = 1, *, epoch: int = 0, first: int = 0):
    def draw(rng):
        return balanced_order(LABELS, 0.0, rng)

    made = TrainBatches(100, batch_size=10 // world_size, seed=1, rank=rank, world_size=world_size, draw=draw)
    made.epoch, made.first = epoch, first
    return list(made)


def test_the_same_on_any_ranks_and_after_a_resume():
    alone = batches()
    assert alone == batches() and alone != batches(epoch=1) and batches(first=3) == alone[3:]
    parts = [batches(rank, 2) for rank in range(2)]
    assert [sum(together, []) for together in zip(*parts, strict=True)] == alone


def test_auto_weights_come_from_the_training_list():
    records = RecordList([VideoRecord(str(at), label) for at, label in enumerate([0, 1, 1, 2, 2, 2, 2])])
    cfg = load_cfg(None, "MODEL.NUM_CLASSES 3 LOSS.CLASS_WEIGHTS auto".split())
    assert class_weights(cfg, records) == pytest.approx([12 / 7, 6 / 7, 3 / 7])
    with pytest.raises(UserError, match="auto follows from a training list"):
        build_loss(cfg)


REFUSED = [
    ("TRAIN.SAMPLER balanced LOSS.CLASS_WEIGHTS auto", "both make up for rare classes"),
    ("TRAIN.SAMPLER sqrt TRAIN.OBJECTIVE contrastive AUG.NUM_SAMPLE 2 TEST.ENABLE False", "draws by class"),
    ("TRAIN.SAMPLER sqrt DATA.MULTI_LABEL True TEST.ENSEMBLE_SPACE logits", "a video has several"),
    ("LOSS.CLASS_WEIGHTS [1.0]", "or auto"),
    ("LOSS.CLASS_WEIGHTS automatic", "known: auto"),
]


@pytest.mark.parametrize("words, message", REFUSED)
def test_what_contradicts_itself(words, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg(None, words.split())
