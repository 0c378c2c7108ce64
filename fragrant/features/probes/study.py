"""A probe learns from the training videos' tokens, chosen by folds of these alone, and is tested once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.parts import draw_parts
from fragrant.features.cache import FeatureError
from fragrant.features.probes.tokens import TokenTable
from fragrant.features.probes.train import MakeProbe, Schedule, Trial, score_probes, train_probes
from fragrant.layers.probe import Probe
from fragrant.metrics import confusion_matrix, share
from fragrant.scores.ensemble import probabilities


class Choice(NamedTuple):
    """Which of the trials is best by cross-validation.

    Attributes:
        number: of the best trial.
        correct: of each trial, the training videos that were recognised by a probe that had not seen their fold.
        losses: of each trial, the mean cross-entropy of these videos.
        counted: number of these videos; a video does not count where its fold left nothing of its class to learn from.
        folds: number of folds; 0 = there was one trial, and nothing to choose.
    """

    number: int
    correct: list[int]
    losses: list[float]
    counted: int
    folds: int


class Probed(NamedTuple):
    """A trained probe with its test.

    Attributes:
        probe: the chosen one, P = 1, trained on the whole training list.
        logits: (n, V, K) of the test videos.
        result: as of a classifier, see ``Study.run``; with "cross_validation", "views".
    """

    probe: Probe
    logits: Tensor
    result: dict


class ProbeStudy(NamedTuple):
    """How probes are trained, chosen and tested.

    Attributes:
        kind: "linear" or "attentive".
        make: builds its probes, (num_features, *, count) -> Probe.
        trials: learning rates and weight decays that the choice is made of.
        folds: of the cross-validation; as many as there are groups where those are fewer.
        rule: how the views of a video are ensembled, see ``fragrant.scores.ensemble_runs``.
    """

    kind: str
    num_classes: int
    make: MakeProbe
    trials: tuple[Trial, ...]
    schedule: Schedule
    folds: int
    seeds: tuple[int, ...]
    rule: str
    device: torch.device = torch.device("cpu")

    def run(self, train: TokenTable, test: TokenTable, groups: Sequence[str] | None) -> list[Probed]:
        """Runs the study: one probe per seed. The labels of ``test`` are read once, after everything was chosen and
        trained. Videos of unknown class (label -1) are neither learned from nor counted.

        Args:
            groups: of the training videos; those of one group lie in one fold. None = each is its own.

        Raises:
            FeatureError: no folds can be drawn, no training video has a class, or a file of tokens is damaged.
        """
        videos = np.flatnonzero(train.labels >= 0).tolist()
        if not videos:
            raise FeatureError("no video of the training list has a class; a probe needs labelled videos")
        if self.kind == "linear":  # it sees the mean alone
            train, test = train.pooled(), test.pooled()
        return [self._one(seed, train, test, videos, groups) for seed in self.seeds]

    def _one(self, seed: int, train: TokenTable, test: TokenTable, videos: list[int], groups) -> Probed:
        choice = self.choose(seed, train, videos, groups)
        trial = self.trials[choice.number]
        probe = self._trained(seed, train, videos, [trial])
        logits = self._scores(probe, test, range(len(test.labels)))[0]  # (n, V, K)
        on_test, on_train = self._right(logits, test.labels), self._scores(probe, train, videos)[0]
        told = np.flatnonzero(test.labels >= 0)
        result = {
            "classifier": self.kind,
            "seed": seed,
            "hyper_parameters": trial._asdict(),
            "protocol": describe_choice(choice, grouped=groups is not None),
            "train": share(int(self._right(on_train, train.labels[videos]).sum()), len(videos))._asdict(),
            "test": share(int(on_test[told].sum()), len(told))._asdict(),
            "confusion": confusion_matrix(
                self._answers(logits)[told], torch.as_tensor(test.labels[told]), self.num_classes
            ).tolist(),
            "cross_validation": choice._asdict() | {"trials": [one._asdict() for one in self.trials]},
            "views": test.views,
        }
        return Probed(probe, logits, result)

    def choose(self, seed: int, train: TokenTable, videos: list[int], groups: Sequence[str] | None) -> Choice:
        """Chooses the trial that recognises most training videos, of equally good ones that with the lowest loss."""
        count = len(self.trials)
        if count == 1:
            return Choice(0, [0], [0.0], 0, 0)
        fold_of, folds = self.draw(seed, train, videos, groups)
        correct, losses, counted = torch.zeros(count), torch.zeros(count, dtype=torch.float64), 0
        for fold in range(folds):
            known = [video for video, own in zip(videos, fold_of, strict=True) if own != fold]
            classes = {int(train.labels[video]) for video in known}
            asked = [
                video
                for video, own in zip(videos, fold_of, strict=True)
                if own == fold and int(train.labels[video]) in classes
            ]
            if not asked:
                continue
            logits = self._scores(self._trained(seed, train, known, self.trials), train, asked)  # (P, n, V, K)
            labels = torch.as_tensor(train.labels[asked])
            correct += torch.stack([self._right(own, train.labels[asked]).sum() for own in logits])
            losses += logits.double().log_softmax(3).mean(2)[:, range(len(asked)), labels].neg().sum(1)
            counted += len(asked)
        if not counted:
            raise FeatureError(
                "nothing can be chosen: every fold of the training list takes all videos of its classes; give one "
                "value of PROBE.LRS and of PROBE.WEIGHT_DECAYS, or groups that have classes in common (DATA.GROUP_BY)"
            )
        best = min(range(count), key=lambda trial: (-correct[trial].item(), losses[trial].item()))
        return Choice(best, correct.int().tolist(), (losses / counted).tolist(), counted, folds)

    def draw(
        self, seed: int, train: TokenTable, videos: list[int], groups: Sequence[str] | None
    ) -> tuple[list[int], int]:
        """The fold of each of these videos, and how many folds there are."""
        own = None if groups is None else [groups[video] for video in videos]
        folds = min(self.folds, len(set(own if own is not None else videos)))
        labels = [(int(train.labels[video]),) for video in videos]
        try:
            if folds < 2:
                raise ListError("all videos are of one group")
            return draw_parts(labels, own, (1 / folds,) * folds, seed=seed, folds=True).part_of, folds
        except ListError as error:
            raise FeatureError(f"FEATURES.FOLDS {self.folds} of the training list: {error}") from None

    def _trained(self, seed: int, train: TokenTable, videos: list[int], trials: Sequence[Trial]) -> Probe:
        return train_probes(train, videos, self.make, trials, schedule=self.schedule, seed=seed, device=self.device)

    def _scores(self, probe: Probe, table: TokenTable, videos: Sequence[int]) -> Tensor:
        return score_probes(probe, table, videos, batch_size=self.schedule.batch_size, device=self.device)

    def _answers(self, logits: Tensor) -> Tensor:
        """Classes by the ensemble of the views: (n, V, K) -> (n,)"""
        return probabilities(logits, self.rule, multi_label=False).argmax(1)

    def _right(self, logits: Tensor, labels: np.ndarray) -> Tensor:
        return self._answers(logits) == torch.as_tensor(labels)


def describe_choice(choice: Choice, *, grouped: bool) -> str:
    """How a trial was chosen, in a line: it stands in every output."""
    if not choice.folds:
        return "fixed hyper-parameters"
    by = "by group" if grouped else "video by video"
    return f"hyper-parameters by {choice.folds}-fold cross-validation inside the training list, {by}"
