"""Classifiers learn from the training videos' features and are tested once on the test videos'."""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from fragrant.features.cache import FeatureError
from fragrant.features.classifiers import CLASSIFIERS, sklearn
from fragrant.features.table import FeatureTable
from fragrant.metrics import confusion_matrix, share

OPTIMISTIC = "optimistic: hyper-parameters were picked on the test list"  # TEST.SELECT_ON test; stands in every output


class Study(NamedTuple):
    """A study: which classifiers learn from the training features, and how they are chosen and tested.

    Attributes:
        classifiers: names in CLASSIFIERS.
        seeds: one run each; a classifier without randomness runs once.
        standardize: every feature to mean 0 and deviation 1 of the training videos.
        tune: choose hyper-parameters from the classifier's grid.
        folds: number of folds of the cross-validation that chooses them.
        select_on: "val" = by cross-validation inside the training list; "test" = by the test list, as published,
            optimistic.
        options: hyper-parameters of a classifier that are not chosen.
    """

    classifiers: tuple[str, ...]
    num_classes: int
    seeds: tuple[int, ...] = (42,)
    standardize: bool = False
    tune: bool = False
    folds: int = 5
    select_on: str = "val"
    options: dict[str, dict] = {}

    @property
    def protocol(self) -> str:
        if not self.tune:
            return "fixed hyper-parameters"
        if self.select_on == "test":
            return OPTIMISTIC
        return f"hyper-parameters by {self.folds}-fold cross-validation inside the training list"

    def checked(self) -> "Study":
        """Checks that the study can be run, and returns it: better known before features are made than after.

        Raises:
            UserError: a classifier is not known or not installed, or the settings contradict each other.
        """
        if self.select_on == "test" and not self.tune:
            raise FeatureError(
                "TEST.SELECT_ON test picks hyper-parameters on the test list, but FEATURES.TUNE is False; set it True"
            )
        for name in self.classifiers:
            CLASSIFIERS.get(name).make(self.num_classes, self.seeds[0])
        return self

    def run(self, train: FeatureTable, test: FeatureTable) -> list[dict]:
        """Runs the study: one entry per classifier and seed with hyper-parameters, how they were chosen, accuracies,
        confusion matrix.

        Videos of unknown class (label -1) are used neither for training nor for testing.

        Raises:
            UserError: see ``checked``; or a class has fewer videos than folds.
        """
        train, test = (table.pick(np.flatnonzero(table.labels >= 0)) for table in (train, test))
        return [
            self._result(name, seed, train, test)
            for name in self.checked().classifiers
            for seed in (self.seeds if CLASSIFIERS.get(name).seeded else self.seeds[:1])
        ]

    def _result(self, name: str, seed: int, train: FeatureTable, test: FeatureTable) -> dict:
        chosen = self._chosen(name, seed, train, test) if self.tune else {}
        on_train, on_test = self._predictions(name, seed, chosen, train, [train.features, test.features])
        return {
            "classifier": name,
            "seed": seed if CLASSIFIERS.get(name).seeded else None,
            "hyper_parameters": chosen,
            "protocol": self.protocol,
            "train": share(int((on_train == train.labels).sum()), len(train.labels))._asdict(),
            "test": share(int((on_test == test.labels).sum()), len(test.labels))._asdict(),
            "confusion": confusion_matrix(
                torch.as_tensor(on_test), torch.as_tensor(test.labels), self.num_classes
            ).tolist(),
        }

    def _predictions(
        self, name: str, seed: int, chosen: dict, train: FeatureTable, asked: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Trains a classifier on ``train`` alone, then predicts each of ``asked``, (n, D) -> (n,)."""
        mean: np.ndarray | float = 0.0
        scale: np.ndarray | float = 1.0
        if self.standardize:
            mean, scale = train.features.mean(0), train.features.std(0)
            scale = np.where(scale > 0, scale, 1).astype(np.float32)  # a feature that never changes says nothing
        model = CLASSIFIERS.get(name).make(self.num_classes, seed, **self.options.get(name, {}), **chosen)
        model.fit((train.features - mean) / scale, train.labels)
        return [model.predict((features - mean) / scale) for features in asked]

    def _chosen(self, name: str, seed: int, train: FeatureTable, test: FeatureTable) -> dict:
        """Chooses the best entry of the hyper-parameter grid; of equally good ones the first."""
        grid = CLASSIFIERS.get(name).grid
        entries = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
        splits = [(train, test)] if self.select_on == "test" else self._fold_pairs(train, seed)
        rights = []
        for chosen in entries:
            rights.append(0)
            for known, asked in splits:
                (predicted,) = self._predictions(name, seed, chosen, known, [asked.features])
                rights[-1] += int((predicted == asked.labels).sum())
        return entries[int(np.argmax(rights))]

    def _fold_pairs(self, train: FeatureTable, seed: int) -> list[tuple[FeatureTable, FeatureTable]]:
        """Training and validation part of every fold."""
        smallest = np.unique(train.labels, return_counts=True)[1].min()
        if smallest < self.folds:
            raise FeatureError(
                f"FEATURES.FOLDS {self.folds}: the smallest class of the training list has {smallest} videos, "
                "fewer than folds"
            )
        folds = sklearn("model_selection", "StratifiedKFold")(self.folds, shuffle=True, random_state=seed)
        pairs = folds.split(train.features, train.labels)
        return [(train.pick(learned), train.pick(asked)) for learned, asked in pairs]
