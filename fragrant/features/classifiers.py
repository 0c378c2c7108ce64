"""The classifiers of feature vectors by name: how each is made, and which hyper-parameters it may choose from."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

from fragrant.features.cache import FeatureError
from fragrant.features.two_layer import TwoLayer
from fragrant.registry import Registry

CLASSIFIERS = Registry("FEATURES.CLASSIFIERS")  # name -> Classifier


class Classifier(NamedTuple):
    """A classifier of feature vectors.

    Attributes:
        make: (num_classes, seed, **hyper-parameters) -> an object with fit(features, labels) and predict(features).
        grid: values of each hyper-parameter that a choice tries; all combinations.
        seeded: whether the result depends on the seed.
    """

    make: Callable
    grid: dict[str, list]
    seeded: bool = False


def sklearn(module: str, name: str):
    """Imports a class of scikit-learn.

    Raises:
        FeatureError: it is not installed.
    """
    try:
        return getattr(importlib.import_module(f"sklearn.{module}"), name)
    except ImportError as error:
        raise FeatureError("scikit-learn is not installed; it comes with: pip install -e '.[features]'") from error


def svc(num_classes: int, seed: int, **parameters):
    return sklearn("svm", "SVC")(**parameters)


def svc_linear(num_classes: int, seed: int, **parameters):
    return svc(num_classes, seed, kernel="linear", **parameters)


def random_forest(num_classes: int, seed: int, **parameters):
    return sklearn("ensemble", "RandomForestClassifier")(random_state=seed, **parameters)


def logistic_regression(num_classes: int, seed: int, **parameters):
    return sklearn("linear_model", "LogisticRegression")(max_iter=2000, **parameters)


def knn(num_classes: int, seed: int, **parameters):
    return sklearn("neighbors", "KNeighborsClassifier")(**parameters)


def two_layer(num_classes: int, seed: int, **parameters):
    return TwoLayer(num_classes=num_classes, seed=seed, **parameters)


COSTS = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]  # 1 is scikit-learn's default, and published for the linear SVC
CLASSIFIERS.register("svc_linear")(Classifier(svc_linear, {"C": COSTS}))
CLASSIFIERS.register("svc_rbf")(Classifier(svc, {"C": COSTS, "gamma": ["scale", 0.0001, 0.001, 0.01]}))
CLASSIFIERS.register("random_forest")(
    Classifier(random_forest, {"n_estimators": [100, 300], "max_depth": [None, 4, 8]}, seeded=True)
)
CLASSIFIERS.register("logistic_regression")(Classifier(logistic_regression, {"C": COSTS}))
CLASSIFIERS.register("knn")(Classifier(knn, {"n_neighbors": [1, 3, 5, 9], "weights": ["uniform", "distance"]}))
CLASSIFIERS.register("two_layer")(Classifier(two_layer, {"epochs": [5, 10, 15, 20]}, seeded=True))
