"""FRAGRANT computes what the published modules compute at the places that its figure and its commented-out calls
show."""

import pytest
import torch
from conftest import golden, golden_input
from models_by_row import TINY
from uniformer_goldens import FORMATS, assert_close, assert_probe, outputs_by_name, published_model, published_state

from fragrant.config import load_cfg
from fragrant.errors import UserError
from fragrant.layers.fam import FAM
from fragrant.models import build_model
from fragrant.models.fragrant import Fragrant
from fragrant.models.uniformer import UniFormer
from fragrant.models.weights import load_weights

PLACE = {"after_patch_embed": "embed", "after_blocks": "stage"}


def arguments_of(build: dict) -> dict:
    """Our arguments for the ordered insertions of a golden file."""
    chain = [(PLACE[place[:-1]] + place[-1], module) for place, module in build["insert"]]
    at = {
        "fam": [place for place, module in chain if module == "FAM"],
        "ram": [place for place, module in chain if module != "FAM"],
    }
    first = [
        next("fam" if module == "FAM" else "ram" for here, module in chain if here == place) for place in at["fam"]
    ]
    settings = next(iter(build["rsa"].values()))
    names = dict(nh="heads", dk="key_dim", dv="value_dim", dd="latent_dim", feat_type="feature_type")
    ram = {names.get(key, key): value for key, value in settings.items() if key not in ("d_in", "d_out", "resolved")}
    return dict(fam_at=at["fam"], ram_at=at["ram"], first=first, ram=ram)


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(
    "name", ["fragrant_small_figure_default_c12", "fragrant_small_figure_vplusr_c12", "fragrant_small_commented_c12"]
)
def test_whole_model_matches_the_published_modules(name, memory_format):
    expected = golden(f"uniformer/{name}")
    model = published_model(expected["build"], Fragrant, **arguments_of(expected["build"]))
    assert list(model.state_dict()) == [key for key, *_ in expected["state"]]  # the published names and order
    report = load_weights(model, published_state(name))
    assert not (report.missing or report.unexpected or report.dropped)
    model.to(memory_format=memory_format)
    for case in expected["cases"]:
        seen = outputs_by_name(model, case["probes"], golden_input(**case["input"]).to(memory_format=memory_format))
        logits = torch.tensor(case["output"]["logits"])
        assert_close(seen["logits"], logits, std=logits.std().item())
        for probe_name, probe in case["probes"].items():
            assert_probe(seen[probe_name], probe)


def test_the_figure_is_the_default():
    expected = golden("uniformer/fragrant_small_figure_vplusr_c12")
    model = load_cfg_model("MODEL.MODEL_NAME", "Fragrant", "MODEL.NUM_CLASSES", "12")
    assert [(key, list(value.shape)) for key, value in model.state_dict().items()] == [
        (key, shape) for key, shape, _ in expected["state"]
    ]
    assert inserted(model) == {"stage2": ["disentangle"], "stage3": ["rsa_attn3"]}


def test_weights_of_uniformer_fit_and_ram_is_reported():
    torch.manual_seed(0)
    plain, model = UniFormer(**TINY), Fragrant(**TINY)
    before = {key: value.clone() for key, value in model.rsa_attn3.state_dict().items()}
    report = load_weights(model, plain.state_dict())
    assert report.missing == [f"rsa_attn3.{name}" for name in before] and report.loaded == list(plain.state_dict())
    assert "keep their initial values: 6: rsa_attn3.P1, rsa_attn3.I" in report.summary()
    assert all(torch.equal(value, before[key]) for key, value in model.rsa_attn3.state_dict().items())


def test_without_both_modules_it_is_uniformer():
    torch.manual_seed(0)
    plain = UniFormer(**TINY).eval()
    torch.manual_seed(0)
    model = Fragrant(**TINY, fam_at=(), ram_at=()).eval()
    clips = torch.rand(1, 3, 4, 64, 64)
    assert torch.equal(model(clips), plain(clips)) and list(model.state_dict()) == list(plain.state_dict())


def inserted(model: Fragrant) -> dict[str, list[str]]:
    return {place: [name for name, _ in modules] for place, modules in model.inserted.items() if modules}


def test_order_where_both_stand_at_one_place():
    both = dict(fam_at=("stage1", "embed2"), ram_at=("embed2", "stage1", "stage2"))
    fam, ram = "disentangle", "rsa_attn1"
    assert inserted(Fragrant(**TINY, **both))["stage1"] == [fam, ram]
    assert inserted(Fragrant(**TINY, **both, first=("ram",)))["stage1"] == [ram, fam]
    mixed = inserted(Fragrant(**TINY, **both, first=("ram", "fam")))  # one for each place of fam_at, in its order
    assert mixed == {"stage1": [ram, fam], "embed2": [fam, "rsa_attn2"], "stage2": ["rsa_attn2_after"]}


def test_without_residual_the_module_stands_in_place_of_its_input():
    torch.manual_seed(0)
    model = Fragrant(**TINY, ram_at=(), residual=False).eval()
    seen = outputs_by_name(model, ["blocks2.1", "disentangle", "patch_embed3"], torch.rand(1, 3, 8, 64, 64))
    with torch.no_grad():
        assert torch.equal(seen["disentangle"], FAM()(seen["blocks2.1"]))
        assert torch.equal(seen["patch_embed3"], model.patch_embed3(seen["disentangle"]))


@pytest.mark.parametrize(
    "options, message",
    [
        (
            dict(fam_at=("stage5",)),
            r"fam_at \['stage5'\]: 'stage5' must be one of embed1, stage1, .*, each at most once",
        ),
        (
            dict(ram_at=("stage1", "stage1")),
            r"ram_at \['stage1', 'stage1'\]: 'stage1' must be one of .*, each at most once",
        ),
        (dict(first=("fma",)), r"first must be fam or ram, once or once for each place of fam_at \(1\); got \['fma'\]"),
        (
            dict(first=("fam", "ram")),
            r"first must be fam or ram, once or once for each place of fam_at \(1\); got \['fam', 'ram'\]",
        ),
        (dict(ram=dict(heads=7)), r"RAM at stage3: 28 channels come out of 32; heads \(7\) must divide 32"),
        (
            dict(ram=dict(heads=8, stride=(1, 2, 2))),
            r"RAM at stage3: stride \[1, 2, 2\] halves the map, .*; set residual off",
        ),
        (dict(ram=dict(kernel_type="X")), "RAM kernel_type 'X' is not known; known: V, R, VplusR"),
    ],
)
def test_arguments_that_do_not_fit_together(options, message):
    with pytest.raises(UserError, match=message):
        Fragrant(**TINY, **options)


def test_a_stride_without_residual_halves_the_map():
    model = Fragrant(**TINY, residual=False, ram=dict(heads=4, stride=(1, 2, 2))).eval()
    assert model.forward_features(torch.rand(1, 3, 4, 64, 64)).shape == (1, 32, 2, 1, 1)


# ----------------------------------------------------------------------------------------------------------------- keys
SMALL = "UNIFORMER.EMBED_DIM [8,16,32,32] UNIFORMER.DEPTH [1,1,1,1] UNIFORMER.HEAD_DIM 16 MODEL.NUM_CLASSES 5".split()


def load_cfg_model(*pairs: str) -> Fragrant:
    return build_model(load_cfg(None, ["DATA.INPUT_CHANNEL_NUM", "[3]", *pairs]))


@pytest.mark.parametrize(
    "pairs, holds",
    [
        ("FRAGRANT.FAM_AT [] FRAGRANT.RAM_AT []", lambda model: not inserted(model)),
        ("FRAGRANT.FAM_AT ['embed1','stage4']", lambda model: list(inserted(model)) == ["embed1", "stage3", "stage4"]),
        (
            "FRAGRANT.RAM_AT ['stage2'] FRAGRANT.ORDER ['ram']",
            lambda model: inserted(model)["stage2"] == ["rsa_attn2", "disentangle"],
        ),
        ("FRAGRANT.RESIDUAL False", lambda model: model.inserted["stage2"] == [("disentangle", False)]),
        ("FRAGRANT.FAM_EXPONENT 2", lambda model: model.disentangle.amplitude_exponent == 2),
        ("FRAGRANT.RAM_IMPL torch", lambda model: model.rsa_attn3.impl == "torch"),
        ("FRAGRANT.RAM.KERNEL_TYPE R", lambda model: model.rsa_attn3.kernel_type == "R"),
        ("FRAGRANT.RAM.FEATURE_TYPE V", lambda model: model.rsa_attn3.feature_type == "V"),
        ("FRAGRANT.RAM.HEADS 4", lambda model: model.rsa_attn3.dims == (4, 8, 8, 8)),
        ("FRAGRANT.RAM.KEY_DIM 3", lambda model: model.rsa_attn3.dims == (8, 3, 4, 3)),
        ("FRAGRANT.RAM.VALUE_DIM 4 FRAGRANT.RAM.LATENT_DIM 6", lambda model: model.rsa_attn3.dims == (8, 4, 4, 6)),
        ("FRAGRANT.RAM.KERNEL_SIZE [5,7,7]", lambda model: model.rsa_attn3.H2.kernel_size == (5, 7, 7)),
        (
            "FRAGRANT.RAM.STRIDE [1,2,2] FRAGRANT.RESIDUAL False",
            lambda model: isinstance(model.rsa_attn3.pool, torch.nn.AvgPool3d),
        ),
        ("UNIFORMER.DROP_DEPTH_RATE 0.3", lambda model: model.blocks4[0].drop_path.drop_prob == pytest.approx(0.3)),
    ],
)
def test_every_key_reaches_the_model(pairs, holds):
    model = load_cfg_model("MODEL.MODEL_NAME", "Fragrant", *SMALL, *pairs.split())
    assert isinstance(model, Fragrant) and holds(model)
