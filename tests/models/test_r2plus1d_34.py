"""R(2+1)D-34 in the layout of IG-65M: the published numbers, and files of either layout into either network."""

import copy

import pytest
import torch
from conftest import ROOT, fill_v1, golden, golden_input
from golden_cases import assert_probe, assert_within

from fragrant.checkpoint import save_checkpoint
from fragrant.config import load_cfg
from fragrant.models import build_model
from fragrant.models.torchvision_video import R2PLUS1D_BLOCKS, R2Plus1D
from fragrant.models.weights import load_weights

TOLERANCE = 2e-5  # x standard deviation
GOLDEN = golden("r2plus1d/r2plus1d_34_c11")


def filled(data: dict, layout: str = "torchvision") -> R2Plus1D:
    """The published weights in a network that was built with a layout."""
    model = R2Plus1D(num_classes=data["build"]["classes"], blocks=R2PLUS1D_BLOCKS[34], layout=layout)
    report = load_weights(model, fill_v1(data["state"]))
    assert not (report.missing or report.unexpected or report.dropped) and report.layout == "ig65m"
    return model.eval()


@pytest.fixture(scope="module")
def model() -> R2Plus1D:
    return filled(GOLDEN)


def check(model: R2Plus1D, case: dict) -> None:
    clips = golden_input(**{key: case["input"][key] for key in ("seed", "shape", "dist")})
    with torch.no_grad():
        features = model.forward_features(clips)
        logits = model.forward_head(features)
    wanted = torch.tensor(case["output"]["logits"])
    assert_within(logits, wanted, TOLERANCE * wanted.std().item(), "logits")
    if "probes" in case:
        assert_probe(features, case["probes"]["layer4"], TOLERANCE, "layer4")


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["input"]["seed"]))
def test_published_numbers(model, case):
    check(model, case)


@pytest.mark.slow
def test_published_numbers_of_487_classes():
    data = golden("r2plus1d/r2plus1d_34_c487")
    model = filled(data, layout="ig65m")
    assert sum(parameter.numel() for parameter in model.parameters()) == data["params"]["total"] == 63_741_806
    for case in data["cases"]:
        check(model, case)


@pytest.mark.slow
def test_published_gradients(model):
    given = GOLDEN["grads"]
    model = copy.deepcopy(model)
    loss = torch.nn.functional.cross_entropy(model(golden_input(**given["input"])), torch.tensor(given["labels"]))
    assert loss.item() == pytest.approx(given["loss"], rel=1e-5)
    loss.backward()
    norms = {name: parameter.grad.norm().item() for name, parameter in model.named_parameters()}
    for name, wanted in given["norms"].items():
        ours = "head.weight" if name == "fc.weight" else f"net.{name}"
        assert norms[ours] == pytest.approx(wanted, rel=2e-4), name


def test_all_of_it_stands_in_the_file(model):
    assert len(GOLDEN["state"]) == len(model.state_dict())
    eps = {module.eps for module in model.modules() if isinstance(module, torch.nn.BatchNorm3d)}
    assert eps == {1e-3}


def test_the_file_is_the_trunk_of_dark_light(model):
    two_streams = build_model(load_cfg(ROOT / "configs/arid/dark_light.yaml"))
    report = load_weights(two_streams, fill_v1(GOLDEN["state"]))
    trunk = two_streams.trunk.net
    assert report.layout == trunk.layout == "ig65m"
    assert set(report.unexpected) == {"trunk.net.head.weight", "trunk.net.head.bias"}
    assert {name.split(".")[0] for name in report.missing} == {"pool", "head"}
    for name, value in model.net.state_dict().items():
        assert torch.equal(trunk.net.state_dict()[name], value), name


def small(layout: str, **options) -> R2Plus1D:
    return R2Plus1D(num_classes=3, blocks=(1, 1, 1, 1), layout=layout, **options)


@pytest.mark.parametrize("ours, theirs", [("torchvision", "ig65m"), ("ig65m", "torchvision")])
def test_a_file_brings_its_layout(ours, theirs, tmp_path):
    torch.manual_seed(0)
    source, clips = small(theirs).eval(), torch.randn(1, 3, 4, 32, 32)
    save_checkpoint(tmp_path / "x.pyth", {"model_state": source.state_dict()})
    for fill in (
        lambda model: load_weights(model, tmp_path / "x.pyth"),
        lambda model: model.load_state_dict(source.state_dict()),
    ):
        model = small(ours, bn_momentum=0.3).eval()
        fill(model)
        assert model.layout == theirs
        assert {module.momentum for module in model.modules() if isinstance(module, torch.nn.BatchNorm3d)} == {0.3}
        with torch.no_grad():
            assert torch.equal(model(clips), source(clips))


def test_other_classes_drop_the_head_alone():
    state = {name.removeprefix("net."): value for name, value in small("ig65m").state_dict().items()}
    state = {name: value for name, value in state.items() if not name.startswith("head.")}
    model = small("torchvision")
    for classes in (359, 487, 400):
        report = load_weights(model, state | {"fc.weight": torch.zeros(classes, 512), "fc.bias": torch.zeros(classes)})
        assert report.dropped == report.missing == ["head.weight", "head.bias"] and not report.unexpected


def test_the_config_says_the_depth():
    pairs = ["MODEL.MODEL_NAME", "R2Plus1D", "R2PLUS1D.BN_MOMENTUM", "0.9", "MODEL.NUM_CLASSES", "11"]
    with torch.device("meta"):
        shallow = build_model(load_cfg(None, pairs))
        deep = build_model(load_cfg(None, [*pairs, "R2PLUS1D.DEPTH", "34"]))
    assert [len(stage) for stage in shallow.stages()] == [2, 2, 2, 2] and shallow.layout == "torchvision"
    assert [len(stage) for stage in deep.stages()] == [3, 4, 6, 3] and deep.layout == "ig65m"
    assert deep.net.stem[1].momentum == 0.9 and deep.net.layer4[0].conv2[0][0].out_channels == 1152
    assert len(deep.layer_names()) == 17
