"""Learning rates by layer: the golden factors of the published rule, every network that says its layers."""

import pytest
import torch
from conftest import ROOT, golden
from models_by_row import MODELS_BY_ROW, name_of
from torch import nn

from fragrant.config import load_cfg
from fragrant.errors import UserError
from fragrant.models.build import names_with
from fragrant.models.dgam import DGAM
from fragrant.models.vision_transformer import VisionTransformer
from fragrant.optim import build_optimizer, parameter_groups
from fragrant.optim.layer_decay import DECLARED, head_parameters, scales_of, split_by_layer

CASES = golden("framework/layer_decay")["cases"]
SAY = [row for row in MODELS_BY_ROW if name_of(row) in DECLARED]
FAST = [pytest.param(row, marks=[pytest.mark.slow] * (row == "MViTv2")) for row in SAY]


def factors(model: nn.Module, decay: float) -> dict[str, float]:
    by_id = scales_of(model, decay)
    return {name: by_id[id(p)] for name, p in model.named_parameters() if id(p) in by_id}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["LAYER_DECAY"]))
def test_the_factors_are_the_published_ones(case):
    model = VisionTransformer(
        num_classes=3, embed_dim=8, num_heads=2, depth=case["depth"], position="learned", grid=(1, 2, 2)
    )
    found = factors(model, case["LAYER_DECAY"])
    for what, wanted in case["scale"].items():
        names = {"patch_embed|pos_embed|cls_token": ["patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed"]}
        names["others (norm, head)"] = ["norm.weight", "norm.bias", "head.weight", "head.bias"]
        for name in names.get(what, [f"{what}.attn.qkv.weight", f"{what}.norm1.bias", f"{what}.mlp.fc2.weight"]):
            assert found[name] == pytest.approx(wanted, rel=1e-12), name


def test_those_who_say_their_layers_are_those_of_the_message():
    assert sorted(DECLARED) == list(DECLARED)
    assert {*names_with("layer_names")} == {*DECLARED}


@pytest.mark.parametrize("row", FAST)
def test_rates_rise_from_the_pixels_to_the_head(row):
    model = MODELS_BY_ROW[row]()
    layers, found = model.layer_names(), factors(model, 0.5)
    for at, starts in enumerate(layers):
        own = [name for name in found if name.startswith(starts)]
        assert own, f"no parameter begins with {starts}"
        assert {found[name] for name in own} == {0.5 ** (len(layers) - at)}
    rest = {name for name in found if found[name] == 1.0}
    head = {name for name, _ in model.named_parameters() if name.startswith(f"{model.head_name}.")}
    assert head and head <= rest and not any("blocks" in name.split(".")[0] for name in rest)


@pytest.mark.parametrize("row, top", [("Uniformer", 6), ("VideoSwin", 5)])
def test_what_lies_between_stages_belongs_to_the_block_before(row, top):
    model = MODELS_BY_ROW[row]()
    assert len(model.layer_names()) == top + 1
    found = factors(model, 0.5)
    name, before = {
        "Uniformer": ("patch_embed3.proj.weight", "blocks2.1.norm1.weight"),
        "VideoSwin": ("features.3.reduction.weight", "features.2.1.norm1.weight"),
    }[row]
    assert found[name] == found[before]


@pytest.mark.parametrize("row", [row for row in SAY if row != "MViTv2"])
def test_every_parameter_stays_in_one_group_with_its_decay(row):
    model = MODELS_BY_ROW[row]()
    whole = parameter_groups(model, weight_decay=0.05, zero_wd_1d=True)
    cut = split_by_layer(whole, scales_of(model, 0.7))
    decay_of = {id(p): group["weight_decay"] for group in whole for p in group["params"]}
    members = [id(p) for group in cut for p in group["params"]]
    assert sorted(members) == sorted(decay_of)
    assert all(group["weight_decay"] == decay_of[id(p)] for group in cut for p in group["params"])
    assert len({group["lr_scale"] for group in cut}) == len(model.layer_names()) + 1


def test_it_multiplies_what_a_network_asks_for_itself():
    torch.manual_seed(0)
    model = DGAM(MODELS_BY_ROW["VideoSwin"](), num_classes=3, num_frames=4, backbone_lr_scale=0.1)
    groups = split_by_layer(parameter_groups(model, weight_decay=0.0), scales_of(model, 0.5))
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    layers = len(model.backbone.layer_names())
    assert scale[id(model.backbone.patch_embed.proj.weight)] == pytest.approx(0.1 * 0.5**layers)
    assert scale[id(model.heads[0].weight)] == 1.0


def test_a_fixed_rate_stays():
    weight = nn.Parameter(torch.zeros(2))
    (group,) = split_by_layer([{"params": [weight], "fixed_lr": 0.1}], {id(weight): 0.5})
    assert group["lr_scale"] == 1.0


def test_a_network_without_layers_is_refused():
    with pytest.raises(UserError, match="SOLVER.LAYER_DECAY 0.7: this network does not say .* Uniformer, VideoSwin"):
        scales_of(MODELS_BY_ROW["TSM"](), 0.7)


# --------------------------------------------------------------------------------------------------------------- the head
@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.slow] * (row == "MViTv2")) for row in MODELS_BY_ROW]
)
def test_every_network_has_a_head_that_may_learn_faster(row):
    model = MODELS_BY_ROW[row]()
    heads = {id(p) for p in head_parameters(nn.Sequential(model))}  # within an objective
    assert heads == {id(p) for name, p in model.named_parameters() if name.startswith(f"{model.head_name}.")}
    scale = {id(p): 10.0 for p in head_parameters(model)}
    whole = parameter_groups(model, weight_decay=0.05)
    before = {id(p): group["lr_scale"] for group in whole for p in group["params"]}
    for group in split_by_layer(whole, scale):
        assert all(group["lr_scale"] == before[id(p)] * (10 if id(p) in heads else 1) for p in group["params"])


def test_the_factor_of_the_head_comes_on_top_of_the_layers():
    cfg = load_cfg(
        ROOT / "configs/demo/uniformer_xs.yaml", ["SOLVER.LAYER_DECAY", "0.5", "SOLVER.HEAD_LR_FACTOR", "4.0"]
    )
    model = MODELS_BY_ROW["Uniformer"]()
    model.patch_embed1.requires_grad_(False)
    scale = {id(p): g["lr_scale"] for g in build_optimizer(cfg, model).param_groups for p in g["params"]}
    assert scale[id(model.head.weight)] == 4 and scale[id(model.norm.weight)] == 1
    assert scale[id(model.blocks4[-1].attn.qkv.weight)] == 0.5
    assert not any(id(p) in scale for p in model.patch_embed1.parameters())
