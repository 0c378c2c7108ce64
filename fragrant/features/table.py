"""Feature tables: one vector per video with its label, which classifiers learn from."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fragrant.files import said_once, written_whole


class FeatureTable(NamedTuple):
    """Features and labels of a list's videos, in its order.

    Attributes:
        features: (n, D) float32, the mean over the views of each video.
        labels: (n,) class numbers.
        paths: (n,) of the videos.
        class_names: K names, or None.
        settings: all settings that the features depend on.
    """

    features: np.ndarray
    labels: np.ndarray
    paths: list[str]
    class_names: list[str] | None
    settings: dict

    def pick(self, ids: np.ndarray) -> "FeatureTable":
        """Returns the table of the videos at these rows."""
        return self._replace(features=self.features[ids], labels=self.labels[ids], paths=[self.paths[i] for i in ids])

    def save(self, path: Path) -> None:
        """Writes the table as a numpy file: ``numpy.load(path)`` gives the same fields; settings as JSON text."""
        columns: dict[str, Any] = {"features": self.features, "labels": self.labels, "paths": np.array(self.paths)}
        names, settings = (
            np.array(self.class_names or [], dtype=str),
            np.array(json.dumps(self.settings, sort_keys=True)),
        )
        with said_once(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as file:
                np.savez(file, **columns, class_names=names, settings=settings)
