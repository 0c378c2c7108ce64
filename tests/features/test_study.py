"""Classifiers of features: what they learn from, how hyper-parameters are chosen, what is said about it."""

import json

import numpy as np
import pytest
import torch

from fragrant.errors import UserError
from fragrant.features.cache import FeatureError
from fragrant.features.classifiers import CLASSIFIERS
from fragrant.features.report import describe_results, save_results, table_lines
from fragrant.features.study import OPTIMISTIC, Study
from fragrant.features.table import FeatureTable
from fragrant.features.two_layer import TwoLayer, lr_factor

NEEDS_SKLEARN = ["svc_linear", "svc_rbf", "random_forest", "logistic_regression", "knn"]


def table(n: int, seed: int, *, spread: float = 0.3, classes: int = 3) -> FeatureTable:
    """Gaussian clouds, one per class."""
    rng = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    centres = 3 * np.eye(classes, 4)[labels]
    return FeatureTable(
        (centres + spread * rng.standard_normal((n, 4))).astype(np.float32),
        labels,
        [f"{seed}-{i}" for i in range(n)],
        None,
        {},
    )


# ------------------------------------------------------------------------------------------------ the two-layer network
@pytest.mark.parametrize(
    "count, factor", [(0, 1.0), (15, 5.5), (29, 9.7), (30, 0.8), (39, 0.8), (40, 0.5), (5000, 0.5)]
)
def test_learning_rate_rule_of_the_report(count, factor):
    assert lr_factor(count) == pytest.approx(factor)


@pytest.mark.parametrize(
    "rule, wanted", [("step", [1, 1.3, 1.6, 1.9]), ("epoch", [1, 1, 1.3, 1.3]), ("constant", [1, 1, 1, 1])]
)
def test_what_the_rule_counts(rule, wanted, monkeypatch):
    rates, step = [], torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self)))
    data = table(6, 0)  # two batches of up to 4
    TwoLayer(num_classes=3, seed=0, epochs=2, lr_rule=rule).fit(data.features, data.labels)
    assert rates == pytest.approx([1e-3 * factor for factor in wanted])


def test_it_learns_follows_from_its_seed_and_disturbs_nobody():
    data, state = table(30, 0), torch.get_rng_state()
    one, again, other = (TwoLayer(num_classes=3, seed=seed).fit(data.features, data.labels) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert (one.predict(table(30, 1).features) == data.labels).mean() > 0.9
    assert torch.equal(one.network[0].weight, again.network[0].weight) and not torch.equal(
        one.network[0].weight, other.network[0].weight
    )
    assert [type(layer).__name__ for layer in one.network] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert (one.network[0].out_features, one.network[2].p) == (500, 0.5)


# ------------------------------------------------------------------------------------------------------------ the study
@pytest.mark.parametrize("name", [*NEEDS_SKLEARN, "two_layer"])
def test_every_classifier_learns(name):
    if name in NEEDS_SKLEARN:
        pytest.importorskip("sklearn")
    (result,) = Study((name,), 3).run(table(30, 0), table(15, 1))
    assert result["test"]["percent"] > 90 and result["test"]["total"] == 15 and result["train"]["total"] == 30
    assert 50 < result["test"]["low"] < result["test"]["percent"] <= result["test"]["high"]
    assert np.array(result["confusion"]).sum() == 15 and np.trace(result["confusion"]) == result["test"]["correct"]
    assert result["protocol"] == "fixed hyper-parameters" and result["hyper_parameters"] == {}


def test_published_settings():
    pytest.importorskip("sklearn")
    svc, forest = (CLASSIFIERS.get(name).make(6, 42) for name in ("svc_linear", "random_forest"))
    # libsvm is one-vs-one inside either way
    assert (svc.kernel, svc.C, svc.decision_function_shape) == (
        "linear",
        1.0,
        "ovr",
    )
    assert (forest.n_estimators, forest.random_state) == (100, 42)


def test_seeds_are_for_those_with_randomness():
    pytest.importorskip("sklearn")
    results = Study(("knn", "random_forest"), 3, seeds=(1, 2, 3)).run(table(30, 0), table(15, 1))
    assert [(result["classifier"], result["seed"]) for result in results] == [("knn", None)] + [
        ("random_forest", seed) for seed in (1, 2, 3)
    ]
    lines = describe_results(results)
    assert any(line.startswith("random_forest: mean of 3 seeds ") for line in lines)


def test_selection_never_sees_the_test_list():
    """Other test labels change neither the choice nor a prediction; by name they do, and it is said."""
    pytest.importorskip("sklearn")
    train, test = table(30, 0, spread=3), table(30, 1, spread=3)
    wrong = test._replace(labels=(test.labels + 1) % 3)
    honest = [Study(("knn",), 3, tune=True, folds=5).run(train, data)[0] for data in (test, wrong)]
    assert honest[0]["hyper_parameters"] == honest[1]["hyper_parameters"] != {}
    assert "optimistic" not in honest[0]["protocol"]
    picked = [Study(("knn",), 3, tune=True, select_on="test").run(train, data)[0] for data in (test, wrong)]
    assert all(result["protocol"] == OPTIMISTIC for result in picked)
    assert all(a["test"]["correct"] >= b["test"]["correct"] for a, b in zip(picked, honest, strict=True))
    assert picked[0]["hyper_parameters"] != picked[1]["hyper_parameters"]
    assert describe_results(picked)[0] == OPTIMISTIC


def test_standardisation_knows_the_training_videos_alone():
    pytest.importorskip("sklearn")
    train, test = table(30, 0), table(15, 1)
    scaled = (
        train._replace(features=train.features * np.array([1e4, 1, 1, 1], np.float32)),
        test._replace(features=test.features * np.array([1e4, 1, 1, 1], np.float32)),
    )
    plain, standard = (Study(("knn",), 3, standardize=on).run(*scaled)[0]["test"]["percent"] for on in (False, True))
    assert standard > 90 > plain
    one = Study(("knn",), 3, standardize=True).run(train, test.pick(np.arange(1)))[0]  # a test list of one video works
    assert one["test"]["total"] == 1
    constant = train._replace(features=np.concatenate([train.features, np.ones((30, 1), np.float32)], 1))
    assert np.isfinite(Study(("knn",), 3, standardize=True).run(constant, constant)[0]["test"]["percent"])


@pytest.mark.parametrize(
    "options, message",
    [
        (
            dict(classifiers=("svm",)),
            "FEATURES.CLASSIFIERS 'svm' is not known; .*Known: knn, logistic_regression, random_forest, svc_linear,",
        ),
        (
            dict(classifiers=("knn",), select_on="test"),
            "TEST.SELECT_ON test picks hyper-parameters on the test list, but FEATURES.TUNE is False",
        ),
        (
            dict(classifiers=("knn",), tune=True, folds=11),
            "FEATURES.FOLDS 11: the smallest class of the training list has 10 videos, fewer",
        ),
    ],
)
def test_what_contradicts(options, message):
    pytest.importorskip("sklearn")
    with pytest.raises(UserError, match=message):
        Study(num_classes=3, **options).run(table(30, 0), table(15, 1))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.svm", None)
    with pytest.raises(
        FeatureError, match=r"scikit-learn is not installed; it comes with: pip install -e '.\[features\]'"
    ):
        Study(("svc_linear",), 3).run(table(6, 0), table(6, 1))


# ------------------------------------------------------------------------------------------------------------- in words
def result(**others) -> dict:
    share = dict(correct=24, total=96, percent=25.0, low=17.4, high=34.5)
    return (
        dict(
            classifier="two_layer",
            seed=42,
            hyper_parameters={"epochs": 5},
            protocol=OPTIMISTIC,
            train=share,
            test=share,
        )
        | others
    )


def test_lines_and_files(tmp_path):
    lines = describe_results([result(confusion=[[9, 1], [10, 2]])], ["sit", "stand"])
    assert lines[0] == OPTIMISTIC
    assert lines[1].startswith("two_layer seed 42 epochs=5: test 25.00 % [17.4, 34.5] (24 of 96), train 25.00 %")
    assert lines[2:] == ["  sit    9  1", "  stand 10  2"]
    path = save_results(tmp_path / "out", "classified", [result(confusion=[[1]])], lines)
    assert path.read_text().startswith(OPTIMISTIC)
    assert json.loads(path.with_suffix(".json").read_text())[0]["protocol"] == OPTIMISTIC


def test_tables_stand_beside_the_published_numbers():
    rows = [
        result(table="2 gamma", row="gamma 3", published=(25.0, 94.67)),
        result(table="2 gamma", row="gamma 1", published=(19.79, 94.67)),
    ]
    lines = table_lines(rows)
    assert lines[1] == "Table 2 gamma" and len(lines) == 7
    assert lines[5] == (
        "| gamma 3 | 42 | 25.00 % [17.4, 34.5] (24 of 96) | 25.00 % [17.4, 34.5] (24 of 96) | 25.00 / 94.67 "
        "| optimistic: hyper-parameters were picked on the test list |"
    )
