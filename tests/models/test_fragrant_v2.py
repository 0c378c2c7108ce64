"""FAM, RAM and DPTAM between UniFormerV2's layers."""

import pytest
import torch
from models_by_row import CLIP, TINY_V2

from fragrant.config import load_cfg
from fragrant.errors import UserError
from fragrant.layers.dptam import DPTAM
from fragrant.layers.fam import FAM
from fragrant.models import build_model
from fragrant.models.fragrant import Fragrant, FragrantV2
from fragrant.models.uniformer_v2 import UniFormerV2, places_of
from fragrant.models.weights import load_weights

SMALL_RAM = dict(heads=4)


def some_clips() -> torch.Tensor:
    return torch.randn(2, *CLIP, generator=torch.Generator().manual_seed(1))


def test_places_are_behind_the_embedding_the_layers_and_their_quarters():
    places = places_of(12)
    assert places["embed1"] == 0 and places["layer12"] == 12 and "layer13" not in places
    assert [places[f"stage{quarter}"] for quarter in (1, 2, 3, 4)] == [3, 6, 9, 12]


def test_without_modules_it_is_uniformer_v2():
    torch.manual_seed(0)
    plain = UniFormerV2(**TINY_V2).eval()
    model = FragrantV2(**TINY_V2, fam_at=(), ram_at=()).eval()
    report = load_weights(model, plain.state_dict())
    assert not (report.missing or report.unexpected)
    assert torch.equal(model(some_clips()), plain(some_clips()))


@pytest.mark.parametrize("residual", [True, False])
def test_modules_change_the_patches_and_no_class_token(residual):
    torch.manual_seed(0)
    model = FragrantV2(**TINY_V2, fam_at=("layer1",), ram_at=(), residual=residual).eval()
    seen = {}
    model.blocks[0].register_forward_hook(lambda module, inputs, output: seen.update(before=output))
    model.blocks[1].register_forward_pre_hook(lambda module, inputs: seen.update(after=inputs[0]))
    with torch.no_grad():
        model(some_clips())
    before, after = seen["before"], seen["after"]
    assert torch.equal(after[:, :, 0], before[:, :, 0])
    volume = before[:, :, 1:].permute(0, 3, 1, 2).unflatten(3, (4, 4))  # (N, C, T', h, w)
    wanted = FAM()(volume) + (volume if residual else 0)
    torch.testing.assert_close(after[:, :, 1:].permute(0, 3, 1, 2).unflatten(3, (4, 4)), wanted)


def test_names_and_order():
    model = FragrantV2(
        **TINY_V2,
        fam_at=("stage2", "layer2"),
        ram_at=("layer2", "stage2", "layer1"),
        dptam_at=("layer2",),
        first=("ram", "fam"),
        ram=SMALL_RAM,
    )
    assert {behind: [name for name, _ in modules] for behind, modules in model.inserted.items()} == {
        1: ["rsa_attn2", "disentangle", "rsa_attn_layer1"],  # of two layers, the second quarter ends behind the first
        2: ["disentangle", "rsa_attn_layer2", "dptam_layer2"],
    }


def test_files_of_uniformer_v2_fit_and_new_modules_are_reported():
    plain, model = UniFormerV2(**TINY_V2), FragrantV2(**TINY_V2, ram_at=("layer1",), ram=SMALL_RAM)
    report = load_weights(model, plain.state_dict())
    assert report.missing and all(name.startswith("rsa_attn_layer1.") for name in report.missing)


def test_modules_learn_in_front_of_a_frozen_trunk():
    model = FragrantV2(**TINY_V2, frozen=True, fam_at=(), ram_at=("layer1",), dptam_at=("layer2",), ram=SMALL_RAM)
    model(some_clips()).square().sum().backward()
    torch.nn.init.ones_(model.dec[0].attn.proj.weight)
    torch.nn.init.ones_(model.dec[1].attn.proj.weight)
    model.zero_grad()
    model(some_clips()).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.rsa_attn_layer1.projection.parameters())
    assert model.dptam_layer2.mix.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.blocks.parameters())


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(fam_at=("embed2",)), r"fam_at \['embed2'\]: 'embed2' must be one of embed1, stage1, .*, layer2, each"),
        (dict(ram_at=("layer3",)), r"ram_at \['layer3'\]: 'layer3' must be one of .*, layer2, each at most once"),
        (dict(dptam_at=("layer1", "layer1")), r"dptam_at \['layer1', 'layer1'\]: 'layer1' must be one of"),
        (dict(ram=dict(heads=7)), "RAM at stage3: 28 channels come out of 32"),
    ],
)
def test_arguments_that_do_not_fit_together(options, message):
    with pytest.raises(UserError, match=message):
        FragrantV2(**TINY_V2, **options)


def test_keys():
    pairs = "MODEL.MODEL_NAME FragrantV2 FRAGRANT.FAM_AT [layer4] FRAGRANT.RAM_AT [layer8] FRAGRANT.DPTAM_AT [stage4]"
    with torch.device("meta"):
        model = build_model(load_cfg(None, pairs.split()))
    assert model.inserted == {
        4: [("disentangle", True)],
        8: [("rsa_attn_layer8", True)],
        12: [("dptam_stage4", True)],
    }


def test_dptam_goes_between_uniformers_stages_too():
    pairs = "MODEL.MODEL_NAME Fragrant DATA.INPUT_CHANNEL_NUM [3] FRAGRANT.DPTAM_AT [stage3]".split()
    with torch.device("meta"):
        model = build_model(load_cfg(None, pairs))
    assert isinstance(model, Fragrant) and isinstance(model.dptam_stage3, DPTAM)
    assert model.inserted["stage3"] == [("rsa_attn3", True), ("dptam_stage3", True)]
