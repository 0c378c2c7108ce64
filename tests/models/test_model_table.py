"""What holds for every model of the package: a new model adds one row to the table."""

import copy

import pytest
import torch
from conftest import ROOT
from uniformer_goldens import TINY

from fragrant.config import load_cfg
from fragrant.models import MODELS, Backbone, build_model
from fragrant.models.fragrant import Fragrant
from fragrant.models.uniformer import UniFormer
from fragrant.models.weights import load_weights

CLASSES = 5
EMBEDS = ("embed1", "embed2", "embed3", "embed4")
MODELS_BY_ROW = {  # test id -> a tiny model from plain arguments; the part before ":" is its name in the registry
    "Uniformer": lambda: UniFormer(**TINY),
    "Uniformer:split": lambda: UniFormer(**TINY, split=True),
    "Uniformer:std": lambda: UniFormer(**TINY, std=True),
    "Fragrant": lambda: Fragrant(**TINY),
    "Fragrant:comments": lambda: Fragrant(**TINY, fam_at=EMBEDS, ram_at=EMBEDS, first=("ram", "ram", "ram", "fam"), ram=dict(key_dim=4)),
}
CLIP = (3, 4, 64, 64)
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.fixture(params=MODELS_BY_ROW)
def model(request) -> Backbone:
    torch.manual_seed(0)
    return MODELS_BY_ROW[request.param]()


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.randn(2, *CLIP, generator=torch.Generator().manual_seed(1))


def test_every_registered_model_has_a_row():
    assert {row.split(":")[0] for row in MODELS_BY_ROW} == set(MODELS.names())


def test_logits_and_features_have_the_promised_shapes(model, clips):
    features = model.forward_features(clips)
    assert features.shape[:2] == (2, model.num_features) and features.ndim == 5
    logits = model.eval()(clips)
    assert logits.shape == (2, CLASSES)
    assert torch.equal(logits, model.forward_head(model.forward_features(clips)))


def test_another_length_and_size_works(model):
    assert model.eval()(torch.randn(1, 3, 7, 96, 70)).shape == (1, CLASSES)


def test_every_parameter_gets_a_finite_gradient(model, clips):
    model(clips).square().sum().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.isfinite().all()]
    assert not without


def test_evaluation_is_deterministic_and_per_clip(model, clips):
    model.eval()
    with torch.no_grad():
        together = model(clips)
        assert torch.equal(together, model(clips))
        torch.testing.assert_close(torch.cat([model(clip[None]) for clip in clips]), together, rtol=1e-5, atol=1e-5)


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


def test_channels_last_gives_the_same_numbers_and_gradients(model, clips):
    other = copy.deepcopy(model).to(memory_format=torch.channels_last_3d)
    logits, others = model(clips), other(clips.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(others, logits, rtol=1e-4, atol=1e-5)
    for logit in (logits, others):
        logit.square().sum().backward()
    for (name, expected), actual in zip(model.named_parameters(), other.parameters(), strict=True):
        scale = expected.grad.abs().max().item()
        off = (actual.grad - expected.grad).abs().max().item()
        assert off <= 2e-4 * scale + 1e-5, f"{name}: gradient off by {off:.1e}, its largest entry is {scale:.1e}"


def test_compiles_without_a_graph_break(model, clips):
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(model), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(clips), model(clips), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d], ids=["contiguous", "channels_last"])
def test_bfloat16_autocast_stays_close(model, clips, memory_format):
    model, clips = model.to(memory_format=memory_format), clips.to(memory_format=memory_format)
    gradients = {}
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            logits = model(clips)
        logits.float().square().sum().backward()
        gradients[enabled] = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
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
