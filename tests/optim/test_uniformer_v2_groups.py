"""UniFormerV2's parameter groups are those of the published optimiser."""

import re

import pytest
import torch
from conftest import golden
from uniformer_v2_goldens import published_model

from fragrant.optim import parameter_groups

CASES = golden("uniformer_v2/optimizer_groups")["cases"]
STATES = {"scene": "b16_scene_c11", "motion": "b16_motion_c174"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['model']}, 1-D {case['ZERO_WD_1D_PARAM']}")
def test_groups(case):
    with torch.device("meta"):
        model = published_model({**case["build"], "frozen": case["frozen"]})
    groups = parameter_groups(model, weight_decay=0.05, bn_weight_decay=0.0, zero_wd_1d=case["ZERO_WD_1D_PARAM"])
    state = golden(f"uniformer_v2/{STATES[case['model'].split()[1]]}")["state"]
    published = {name: torch.empty(shape, device="meta") for name, shape, _ in state}
    theirs = dict(zip(model.rename_published(published), published, strict=True))  # our name -> the published one
    names = {id(parameter): theirs[name] for name, parameter in model.named_parameters()}
    assert len(groups) == len(case["groups"])
    for ours, wanted in zip(groups, case["groups"], strict=True):
        members = ours["params"]
        assert (ours["weight_decay"], ours["lr_scale"]) == (wanted["weight_decay"], 1.0)
        assert (len(members), sum(x.numel() for x in members)) == (wanted["tensors"], wanted["elements"])
        assert {re.sub(r"\.\d+\.", ".*.", names[id(x)]) for x in members} == set(wanted["examples"])
