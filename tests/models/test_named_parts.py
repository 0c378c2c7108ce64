"""Parts by name: every network says them, every parameter is in one, and a frozen part does not change."""

import copy

import pytest
import torch
from models_by_row import MODELS_BY_ROW, TINY, TINY_V2, random_clips
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fragrant.models.backbone import Backbone
from fragrant.models.dgam import DGAM
from fragrant.models.parts import PartError, freeze, parts_of_names, parts_with_parameters
from fragrant.models.uniformer import UniFormer
from fragrant.models.uniformer_v2 import UniFormerV2

ROWS = [pytest.param(row, marks=[pytest.mark.slow] * (row == "MViTv2")) for row in MODELS_BY_ROW]


@pytest.mark.parametrize("row", ROWS)
def test_every_parameter_is_in_one_part(row):
    model = MODELS_BY_ROW[row]()
    parts = parts_with_parameters(model)
    assert {"stem", "head", "backbone"} <= parts.keys()
    for name, _ in model.named_parameters():
        inside = [part for part, starts in parts.items() if name.startswith(starts) and part != "backbone"]
        assert len(inside) == 1, (name, inside)
        apart = {"head", "gate"} if row == "DGAM" else {"head"}
        assert name.startswith(parts["backbone"]) == (inside[0] not in apart), name


def test_the_parts_of_a_frozen_image_transformer_have_the_same_names():
    frozen, learning = UniFormerV2(**TINY_V2, frozen=True).part_names(), UniFormerV2(**TINY_V2).part_names()
    assert frozen == {part: starts for part, starts in learning.items() if part != "balance"}


def trained_one_step(model: Backbone, row: str) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    model.train()
    model(random_clips(row, 2)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("row", ["Fragrant", "MieNet", "VideoSwin", "VisionTransformer:learned", "H2CN"])
def test_what_is_frozen_stays_and_the_rest_learns(row):
    torch.manual_seed(0)
    model = MODELS_BY_ROW[row]()
    first = next(part for part in ("stage1", "block1") if part in parts_with_parameters(model))
    before = copy.deepcopy(model.state_dict())
    freeze(model, ["stem", first])
    starts = tuple(start for part in ("stem", first) for start in model.part_names()[part])
    trained_one_step(model, row)
    for name, value in model.state_dict().items():
        if name.startswith(starts):
            assert torch.equal(value, before[name]), name  # statistics of BatchNorm too
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"head.weight", "head.bias"} <= changed
    still = [name for name, p in model.named_parameters() if not name.startswith(starts) and p.grad is None]
    assert not still


def test_frozen_parts_stay_in_evaluation_mode_and_so_do_those_of_a_copy():
    model = UniFormer(**{**TINY, "drop_path_rate": 0.5, "dropout_rate": 0.5})
    freeze(model, ["stem", "stage1", "stage2"])
    for network in (model, copy.deepcopy(model)):
        network.eval()
        network.train()
        assert not any(
            module.training
            for part in ("patch_embed1", "blocks1", "pos_drop", "patch_embed2", "blocks2")
            for module in network.get_submodule(part).modules()
        )
        assert network.training and network.patch_embed3.training and network.blocks3.training
    ours, copied = ({id(m) for m in network.modules()} for network in (model, network))
    assert not ours & copied and {id(part) for part in network.frozen_parts} <= copied


def test_backbone_is_all_but_the_head():
    model = UniFormer(**TINY)
    frozen = freeze(model, ["backbone"])
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    assert frozen == sum(p.numel() for p in model.parameters()) - model.head.weight.numel() - model.head.bias.numel()
    model.train()
    assert not any(m.training for m in model.modules() if isinstance(m, _BatchNorm))


def test_beside_what_dgam_freezes_itself():
    model = DGAM(UniFormer(**{**TINY, "num_classes": 0}), num_classes=3, num_frames=4, frozen=("gate",))
    freeze(model, ["stem", "stage1"])
    model.train()
    learn = {name.split(".")[0] + "." + name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
    assert "experts.gating" not in learn and "backbone.blocks1" not in learn
    assert {"backbone.blocks2", "backbone.norm", "heads.0"} <= learn
    assert not model.experts.gating.training and not model.backbone.blocks1.training and model.backbone.blocks2.training


def test_nothing_chosen_changes_nothing():
    model = UniFormer(**TINY)
    assert freeze(model, []) == 0 and all(module.training for module in model.modules())


def test_a_wrong_name_lists_the_parts():
    with pytest.raises(PartError) as error:
        freeze(UniFormer(**TINY), ["stem", "stage5"])
    text = "MODEL.FREEZE 'stage5' is no part of UniFormer; did you mean 'stage"
    allowed = "Allowed: backbone, stem, stage1, stage2, stage3, stage4, norm, head"
    assert str(error.value).startswith(text) and str(error.value).endswith(allowed)


@pytest.mark.parametrize(
    "names, layers, parts",
    [
        (["stem.weight", "head.bias"], [], {"stem": ("stem.",), "head": ("head.",)}),
        (["net.conv.weight", "net.layer1.0.weight"], [], {"conv": ("net.conv.",), "layer1": ("net.layer1.",)}),
        (["token", "a.b.w", "a.c.w"], [], {"token": ("token",), "a": ("a.",)}),
        (
            ["e.w", "b.0.w", "b.1.w", "norm.w"],
            [("e.",), ("b.0.",), ("b.1.",)],
            {"stem": ("e.",), "block1": ("b.0.",), "block2": ("b.1.",), "norm": ("norm.",)},
        ),
    ],
)
def test_parts_follow_from_names(names, layers, parts):
    assert parts_of_names(names, layers, "head") == parts


def test_a_network_of_a_plug_in_has_parts_for_nothing():
    class Net(Backbone):
        def __init__(self):
            super().__init__()
            self.stem, self.head = nn.Conv3d(3, 4, 1), nn.Linear(4, 2)

    net = Net()
    freeze(net, ["stem"])
    assert not net.stem.weight.requires_grad and net.head.weight.requires_grad
