"""What holds for every model of the package: a new model adds one row to the table."""

import copy

import pytest
import torch
from conftest import ROOT
from models_by_row import (
    CLASS_TOKEN,
    CLASSES,
    HAS_RELU,
    MODELS_BY_ROW,
    MOVED_MAP,
    UNSTABLE_STATISTICS,
    name_of,
    random_clips,
)

from fragrant.config import load_cfg
from fragrant.layers.memory_format import to_channels_last
from fragrant.models import MODELS, Backbone, ModelError, build_model
from fragrant.models.weights import load_weights

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


LARGE = {"MViTv2", "R2Plus1D:ig65m"}  # torchvision's own size: seconds for each test; as its other row
VARIANTS = {"DualStream:two", "DualStream:mean", "DualStream:cross"}  # little is new in them
SLOW_TO_TRACE = {
    "S3D",
    "R2Plus1D",
    "TimmVideo",
}  # torchvision's layers, which it compiles itself; variants of a row are as its first


@pytest.fixture(
    params=[pytest.param(row, marks=[pytest.mark.slow] * (row in LARGE | VARIANTS)) for row in MODELS_BY_ROW]
)
def row(request) -> str:
    return request.param


@pytest.fixture
def model(row) -> Backbone:
    torch.manual_seed(0)
    return MODELS_BY_ROW[row]()


@pytest.fixture
def clips(row) -> torch.Tensor:
    return random_clips(row, 2)


def test_every_registered_model_has_a_row():
    assert set(map(name_of, MODELS_BY_ROW)) == set(MODELS.names())


def test_logits_and_features_have_the_promised_shapes(row, model, clips):
    features = model.forward_features(clips)
    assert features.shape[:2] == (2, model.num_features) and features.ndim == 5
    logits = model.eval()(clips)
    assert logits.shape == (2, CLASSES)
    if row in CLASS_TOKEN:
        with pytest.raises(ModelError, match="class token"):
            model.forward_head(features)
    else:
        again = model.forward_head(model.forward_features(clips))
        rounding = 1e-6 if name_of(row) in MOVED_MAP else 0.0
        torch.testing.assert_close(again, logits, rtol=rounding, atol=rounding)


def test_another_length_and_size_works(row, model):
    assert model.eval()(random_clips(row, 1, another=True)).shape == (1, CLASSES)


def trainable(model) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_every_trainable_parameter_gets_a_finite_gradient(model, clips):
    model(clips).square().sum().backward()
    without = [
        name
        for name, parameter in trainable(model).items()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    assert not without


def test_evaluation_is_deterministic_and_per_clip(model, clips):
    model.eval()
    with torch.no_grad():
        together = model(clips)
        assert torch.equal(together, model(clips))
        torch.testing.assert_close(torch.cat([model(clip[None]) for clip in clips]), together, rtol=1e-5, atol=1e-5)


def test_scores_are_the_logits_and_what_was_chosen(model, clips):
    model.eval()
    with torch.no_grad():
        logits, chosen = model.score(clips)
        assert torch.equal(logits, model(clips)) and chosen.keys() == model.choices.keys()
    for name, values in model.choices.items():
        assert chosen[name].shape == (len(clips),) and all(
            min(abs(value - torch.tensor(values))) < 1e-6 for value in chosen[name]
        )


def test_weights_go_to_a_file_and_back(model, clips, tmp_path):
    path = tmp_path / "model.pyth"
    torch.save({"model_state": model.state_dict()}, path)
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    report = load_weights(other, path)
    assert report.loaded == list(model.state_dict())
    assert not (report.missing or report.unexpected or report.dropped or report.inflated)
    with torch.no_grad():
        assert torch.equal(other.eval()(clips), model.eval()(clips))


def test_channels_last_gives_the_same_numbers_and_gradients(row, model, clips):
    if name_of(row) in HAS_RELU:
        model, clips = model.double(), clips.double()
    other = to_channels_last(copy.deepcopy(model))
    logits, others = model(clips), other(clips.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(others, logits, rtol=1e-4, atol=1e-5)
    for logit in (logits, others):
        logit.square().sum().backward()
    for (name, expected), actual in zip(trainable(model).items(), trainable(other).values(), strict=True):
        scale = expected.grad.abs().max().item()
        off = (actual.grad - expected.grad).abs().max().item()
        assert off <= 2e-4 * scale + 1e-5, f"{name}: gradient off by {off:.1e}, its largest entry is {scale:.1e}"


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=[pytest.mark.slow] * (row in LARGE | SLOW_TO_TRACE or ":" in row))
        for row in MODELS_BY_ROW
    ],
)
def test_compiles_without_a_graph_break(row, model, clips):
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(model), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(clips), model(clips), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last_3d], ids=["contiguous", "channels_last"]
)
def test_bfloat16_autocast_stays_close(row, model, clips, memory_format):
    clips = clips.to(memory_format=memory_format)
    if memory_format == torch.channels_last_3d:
        to_channels_last(model)
    model.train(name_of(row) not in UNSTABLE_STATISTICS)
    gradients = {}
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            logits = model(clips)
        logits.float().square().sum().backward()
        gradients[enabled] = {name: parameter.grad.clone() for name, parameter in trainable(model).items()}
    if name_of(row) in HAS_RELU:
        whole = [torch.cat([gradient.flatten() for gradient in by_name.values()]) for by_name in gradients.values()]
        assert torch.cosine_similarity(*whole, dim=0) > 0.7
        return
    for name, exact in gradients[False].items():
        if exact.abs().max() > 1e-4:  # a bias before a norm has no gradient but rounding
            direction = torch.cosine_similarity(gradients[True][name].flatten(), exact.flatten(), dim=0).item()
            assert direction > 0.9, f"{name}: gradient off by more than bfloat16's rounding, cosine {direction:.2f}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_config_builds_its_model(path):
    cfg = load_cfg(path)
    with torch.device("meta"):
        model = build_model(cfg)
    assert model.head.out_features == cfg.MODEL.NUM_CLASSES
