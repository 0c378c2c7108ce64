"""Weights of a training without labels in a test."""

import pytest
from models_by_row import MODELS_BY_ROW

from fragrant.checkpoint import CheckpointError
from fragrant.runtime.weights import fill_for_test


@pytest.mark.parametrize("objective, said", [("masked", "was trained without labels"), ("classify", "does not fit")])
def test_why_weights_without_classes_cannot_be_tested(objective, said):
    model = MODELS_BY_ROW["Uniformer"]()
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("head.")}
    with pytest.raises(CheckpointError, match=said):
        fill_for_test(
            model, {"model_state": state, "objective": objective}, "x.pyth", clear_patterns=(), allow_partial=False
        )
