"""The names that the config knows by itself are those that the package registers."""

import pytest

import fragrant.data.build  # noqa: F401  fills registries
import fragrant.objectives  # noqa: F401
import fragrant.optim  # noqa: F401
from fragrant.config.keys import KEYS as DECLARED
from fragrant.config.label_free import LABEL_FREE
from fragrant.data.datasets.build import DATASETS
from fragrant.data.datasets.known_set import SETS, Converter
from fragrant.objectives.build import BUILT_IN, OBJECTIVES
from fragrant.registry import registered_names

KEYS = (
    "DATA.CROP_ROUNDING",
    "DATA.ENHANCE",
    "DATA.SAMPLING",
    "MODEL.LOSS_FUNC",
    "SOLVER.LR_POLICY",
    "SOLVER.OPTIMIZING_METHOD",
    "SVMIX.MODULE_OPT",
)


@pytest.mark.parametrize("key", KEYS)
def test_config_and_registry_agree(key):
    assert sorted(name for name in DECLARED[key].allowed.one_of if name != "none") == registered_names(key)


def test_single_frames_are_chosen_like_a_clip_or_in_two_ways_of_their_own():
    own = {"interval", "random"}
    assert sorted(set(DECLARED["FEATURES.SAMPLING"].allowed.one_of) - own) == registered_names("DATA.SAMPLING")


def test_built_in_objectives():
    assert sorted([*BUILT_IN, *LABEL_FREE, "figure"]) == OBJECTIVES.names()


def test_a_set_that_is_registered_later_is_a_data_set(monkeypatch):
    monkeypatch.setitem(SETS._obj_map, "later", Converter(lambda source: None, ("",)))
    assert "later" in DATASETS.names()
    assert DATASETS.get("later").keywords == {"name": "later"}
