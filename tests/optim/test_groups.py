"""Every trainable parameter in exactly one group, with the decay that published numbers were trained with."""

import pytest
import torch
from conftest import golden
from torch import nn

from fragrant.models.uniformer import uniformer_small
from fragrant.optim import parameter_groups


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 4, 1)
        self.bn = nn.BatchNorm3d(4)
        self.norm = nn.LayerNorm(4)
        self.scale = nn.Parameter(torch.ones(()))
        self.head = nn.Linear(4, 2, bias=False)


def decay_by_name(model: nn.Module, **options) -> dict[str, float]:
    """Name -> weight decay; fails when a parameter is in two groups."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for group in parameter_groups(model, **options):
        assert group["lr_scale"] == 1.0 and group["params"]
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = group["weight_decay"]
    return found


ALL = {"conv.weight", "conv.bias", "bn.weight", "bn.bias", "norm.weight", "norm.bias", "scale", "head.weight"}
BN = {"bn.weight", "bn.bias"}
MATRICES = {"conv.weight", "head.weight"}


@pytest.mark.parametrize(
    "zero_wd_1d, decayed, zero",
    [(True, MATRICES, ALL - BN - MATRICES), (False, ALL - BN, set())],
    ids=["vectors and scalars free", "only BatchNorm apart"],
)
def test_rule(zero_wd_1d, decayed, zero):
    found = decay_by_name(Small(), weight_decay=0.05, bn_weight_decay=0.01, zero_wd_1d=zero_wd_1d)
    assert found == {**dict.fromkeys(BN, 0.01), **dict.fromkeys(decayed, 0.05), **dict.fromkeys(zero, 0.0)}


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm])
def test_every_batch_norm_counts(norm):
    assert decay_by_name(norm(4), weight_decay=0.05, bn_weight_decay=0.01) == {"weight": 0.01, "bias": 0.01}


def test_frozen_parameters_are_left_out_and_empty_groups_dropped():
    model = Small()
    model.bn.requires_grad_(False)
    model.head.requires_grad_(False)
    groups = parameter_groups(model, weight_decay=0.05, zero_wd_1d=False)
    # the matrices and vectors share one group, BatchNorm is frozen
    assert [len(group["params"]) for group in groups] == [5]
    assert set(decay_by_name(model, weight_decay=0.05)) == ALL - BN - {"head.weight"}
    assert parameter_groups(model.requires_grad_(False), weight_decay=0.05) == []


def test_shared_parameters_appear_once():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    shared_module = nn.Sequential(model[0], nn.ModuleList([model[0]]))
    assert set(decay_by_name(model, weight_decay=0.1)) == {"0.weight", "0.bias", "1.bias"}
    assert set(decay_by_name(shared_module, weight_decay=0.1)) == {"0.weight", "0.bias"}


def test_golden_uniformer_small():
    expected = golden("framework/weight_decay_uniformer_small")
    model = uniformer_small(num_classes=12)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    for rule, zero_wd_1d in (("zero1d", True), ("no_zero1d", False)):
        found = decay_by_name(model, weight_decay=0.05, bn_weight_decay=0.0, zero_wd_1d=zero_wd_1d)
        free = [name for name, decay in found.items() if decay == 0]
        assert set(free) == set(expected[f"wd0_keys_uniformer_rule_{rule}"])
        assert {
            "n_tensors": len(found),
            "n_tensors_wd0": len(free),
            "n_params": sum(sizes[name] for name in found),
            "n_params_wd0": sum(sizes[name] for name in free),
        } == expected["summary"][f"uniformer_rule_{rule}"]
    marked = decay_by_name(model, weight_decay=0.05, bn_weight_decay=0.07, zero_wd_1d=True)
    assert {name for name, decay in marked.items() if decay == 0.07} == set(expected["bn_keys"])
