"""Image networks of torchvision: their own preset, logits or pooled features, weights from a file, from torchvision, or
random."""

import urllib.error

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from fragrant.features.cache import FeatureError
from fragrant.features.frame_network import FrameTransform, cut_head, frame_network, options_of, weights_of

SMALL = "shufflenet_v2_x0_5"


def network(name=SMALL, *, weights="random", output="logits", seed=1):
    return frame_network(name, weights=weights, output=output, seed=seed)


def test_pixels_are_those_of_the_published_preset():
    """PIL: short side 256, antialiased; centre 224; ImageNet statistics."""
    frame = np.random.RandomState(0).randint(0, 256, (30, 40, 3)).repeat(10, 0).repeat(9, 1).astype(np.uint8)
    built, preset, _ = network("resnet18")
    clip = FrameTransform(preset)(torch.from_numpy(frame)[None], 0.5, None)  # (1, S, S, C)
    assert clip.shape == (1, 224, 224, 3) and clip.dtype == torch.uint8
    seen = {}
    built.network.register_forward_pre_hook(lambda module, args: seen.__setitem__("images", args[0]))
    with torch.no_grad():
        built(clip.permute(0, 3, 1, 2)[:, :, None])  # (V, C, 1, S, S)
    expected = preset(Image.fromarray(frame))  # (C, S, S)
    assert (seen["images"][0] - expected).abs().max() <= 1.01 / 255 / 0.224  # one step of the uint8 resize
    assert (seen["images"][0] != expected).float().mean() < 0.1


def test_gamma_comes_first():
    frames = torch.full((1, 224, 224, 3), 10, dtype=torch.uint8)
    _, preset, _ = network()
    assert FrameTransform(preset, gamma=3).prepare(frames).unique().tolist() == [int(255 * (10 / 255) ** (1 / 3))]
    assert torch.equal(FrameTransform(preset).prepare(frames), frames)


@pytest.mark.parametrize(
    "name, width", [("resnet18", 512), (SMALL, 1024), ("mobilenet_v3_small", 1024), ("squeezenet1_1", None)]
)
def test_pooled_is_what_the_last_layer_sees(name, width):
    clips = torch.randint(0, 256, (2, 3, 1, 64, 64), dtype=torch.uint8)
    if width is None:
        with pytest.raises(
            FeatureError, match=f"FEATURES.OUTPUT pooled: {name} has no linear layer at its end; use logits"
        ):
            network(name, output="pooled")
        return
    logits, pooled = network(name)[0], network(name, output="pooled")[0]
    last = [module for module in logits.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        features = pooled(clips)
        assert features.shape == (2, width)
        torch.testing.assert_close(last(features), logits(clips))


def test_random_weights_follow_from_the_seed_and_disturb_nobody():
    state = torch.get_rng_state()
    one, again, other = network(seed=1), network(seed=1), network(seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert one[2] == again[2] != other[2] and one[2].startswith("random, seed 1, ")
    first = [next(built.parameters()) for built, _, _ in (one, again, other)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])
    assert not one[0].training


def test_weights_from_a_file(tmp_path):
    path = tmp_path / "weights.pth"
    source = torchvision.models.get_model(SMALL, weights=None)
    torch.save(source.state_dict(), path)
    built, _, identity = network(weights=str(path))
    assert torch.equal(built.network.fc.weight, source.fc.weight) and identity.startswith("file ")
    torch.save({**source.state_dict(), "fc.bias": torch.zeros(1000)}, path)
    assert network(weights=str(path))[2] != identity  # the content counts, not the name
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(
        FeatureError, match=r"FEATURES.WEIGHTS '.*weights.pth' does not fit shufflenet_v2_x0_5: "
    ) as error:
        network(weights=str(path))
    assert "\n" not in str(error.value)


def test_published_weights_out_of_reach(monkeypatch):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", unreachable)
    message = r"^FEATURES.WEIGHTS IMAGENET1K_V1 of resnet18 are not usable: no route; put https://\S+ to \S+, give a file, or .* random$"
    with pytest.raises(FeatureError, match=message):
        network("resnet18", weights="IMAGENET1K_V1")


def test_published_weights_are_used_where_they_are(monkeypatch):
    source = torchvision.models.get_model(SMALL, weights=None)
    monkeypatch.setattr(
        torchvision.models._api, "load_state_dict_from_url", lambda *args, **kwargs: source.state_dict()
    )
    built, _, identity = network(weights="DEFAULT")
    assert (
        torch.equal(built.network.fc.weight, source.fc.weight)
        and "ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1" in identity
    )


@pytest.mark.parametrize("name", ["googlenet", "vit_b_16"])
def test_built_as_torchvision_builds_it_for_published_weights(name, monkeypatch):
    """Its builders change the network where they load weights: another input, another image size."""
    with torch.device("meta"):
        state = torchvision.models.get_model(
            name, weights=None, **options_of(name, weights_of(name).DEFAULT)
        ).state_dict()
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in state.items()}
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *args, **kwargs: state)
    published = torchvision.models.get_model(name, weights="DEFAULT")
    built = network(name, weights="DEFAULT")[0].network
    for option in ("transform_input", "image_size"):
        assert getattr(built, option, None) == getattr(published, option, None)
    if name == "vit_b_16":
        assert options_of(name, weights_of(name)["IMAGENET1K_SWAG_E2E_V1"]) == {"image_size": 384}


@pytest.mark.parametrize(
    "options, message",
    [
        (
            dict(name="resnet5"),
            r"FEATURES.NETWORK 'resnet5' is no image classifier of torchvision; did you mean 'resnet50'\? allowed: \d+ names",
        ),
        (dict(name="r3d_18"), "FEATURES.NETWORK 'r3d_18' is no image classifier"),
        (
            dict(weights="IMAGENET1K_V9"),
            f"'IMAGENET1K_V9' is neither a file nor weights of {SMALL}; allowed: IMAGENET1K_V1, DEFAULT, random, "
            "a path",
        ),
    ],
)
def test_wrong_names(options, message):
    with pytest.raises(FeatureError, match=message):
        network(**options)


def test_cut_head_keeps_the_rest():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 5)))
    cut_head(model, "x")
    assert isinstance(model[1][1], torch.nn.Identity) and isinstance(model[0], torch.nn.Linear)
