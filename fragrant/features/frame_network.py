"""An image classifier of torchvision or timm as a fixed function: frames in, logits or pooled features out."""

import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as TF

from fragrant.checkpoint import checkpoint_hash, load_checkpoint
from fragrant.data.transforms.gamma import brighten
from fragrant.features.cache import FeatureError
from fragrant.features.timm_frame_network import PREFIX, timm_frame_network
from fragrant.files import is_address
from fragrant.registry import did_you_mean

OUTPUTS = ("logits", "pooled")


class FrameTransform:
    """Preprocessing of frames: enhancement and gamma, then the network's own preset (resize, centre crop) without its
    normalisation.

    The interface is that of the clip transforms."""

    def __init__(self, preset, *, enhance: Callable[[Tensor], Tensor] | None = None, gamma: float = 1.0):
        self.preset = preset
        self.enhance = enhance
        self.gamma = gamma

    def prepare(self, frames: Tensor) -> Tensor:
        """Applies enhancement and gamma to all frames of a video: (T, H, W, C) uint8 -> the same shape"""
        return brighten(self.enhance(frames) if self.enhance else frames, self.gamma)

    def __call__(self, frames: Tensor, where: float | None, rng) -> Tensor:
        """Resizes and crops frames: (T, H, W, C) uint8 -> (T, S, S, C) uint8"""
        images = frames.permute(0, 3, 1, 2)  # (T, C, H, W)
        # as PIL
        images = TF.resize(images, self.preset.resize_size, interpolation=self.preset.interpolation, antialias=True)
        return TF.center_crop(images, self.preset.crop_size).permute(0, 2, 3, 1)


class FrameNetwork(nn.Module):
    """An image network with its normalisation, as a fixed feature extractor.

    Args:
        network: (N, C, S, S) -> (N, D).
        preset: its ``mean`` and ``std``, of pixels in 0..1.
    """

    mean: Tensor  # (1, C, 1, 1)
    std: Tensor

    def __init__(self, network: nn.Module, preset):
        super().__init__()
        self.network = network
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(preset, name)).view(1, -1, 1, 1), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of views, each a frame: (V, C, 1, S, S) uint8 -> (V, D), tokens (V, L, D)"""
        images = clips.squeeze(2).float().div(255)  # (V, C, S, S)
        return self.network((images - self.mean) / self.std)


def weights_of(name: str):
    """The published weights of a classifier, an enum.

    Raises:
        FeatureError: torchvision has no image classifier of that name.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise FeatureError(
            f"FEATURES.NETWORK '{name}' is no image classifier of torchvision; {did_you_mean(name, known)}"
            f"allowed: {len(known)} names, resnet18, resnet50, convnext_tiny, vit_b_16, ..., and {PREFIX}NAME of timm"
        )
    return torchvision.models.get_model_weights(name)


def options_of(name: str, entry) -> dict:
    """Builder options that torchvision sets by itself where it loads published weights, and only there."""
    if name in ("googlenet", "inception_v3"):
        return {"transform_input": True, "aux_logits": True, "init_weights": True}
    return {"image_size": min(entry.meta["min_size"])} if name.startswith("vit_") else {}


def frame_network(
    name: str, *, weights: str, output: str, seed: int, grid: int | None = None
) -> tuple[FrameNetwork, object, str]:
    """Builds an image network in evaluation mode; returns it with its preset and a description of its weights, for the
    hash.

    Args:
        name: of torchvision ("resnet50"), or of timm behind ``timm/`` ("timm/tf_efficientnet_lite0").
        weights: a name of torchvision ("DEFAULT", "IMAGENET1K_V1") or a tag of timm ("DEFAULT", "a1_in1k"), "random",
            or a file with a state dict of the network.
        output: "logits" or "pooled", what the last linear layer sees.
        seed: seed of random weights.
        grid: tokens instead of ``output``, see ``FrameTokens``, of a network of timm; of torchvision's the output for
            a frame is its one token.

    Raises:
        FeatureError: unknown name, weights that can be neither read nor fetched, or a network without a linear layer at
            its end.
    """
    if name.startswith(PREFIX):
        of_tokens: dict[str, Any] = {} if grid is None else {"output": "tokens", "grid": grid}
        options: dict[str, Any] = {"weights": weights, "output": output, "seed": seed} | of_tokens
        network, preset, identity = timm_frame_network(name, **options)
        return FrameNetwork(network, preset).eval(), preset, identity
    published = weights_of(name)
    entry = published[weights] if weights in published.__members__ else published.DEFAULT
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = torchvision.models.get_model(name, weights=None, **options_of(name, entry))
    identity = f"random, seed {seed}, torch {torch.__version__}, torchvision {torchvision.__version__}"
    if weights in published.__members__:
        network.load_state_dict(published_state(name, entry))
        identity = f"torchvision {entry}"
    elif weights != "random":
        identity = f"file {fill_from_file(network, name, weights, published)}"
    if output == "pooled":
        cut_head(network, name)
    return FrameNetwork(network, entry.transforms()).eval(), entry.transforms(), identity


def published_state(name: str, entry) -> dict[str, Tensor]:
    """Loads torchvision's weights from its local cache, or from the net."""
    cached = Path(torch.hub.get_dir(), "checkpoints", entry.url.rsplit("/", 1)[1])
    try:
        return entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (urllib.error.URLError, OSError, RuntimeError) as error:  # not reachable; disk full; damaged
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise FeatureError(
            f"FEATURES.WEIGHTS {entry.name} of {name} are not usable: {reason}; put {entry.url} to {cached}, give "
            "a file, "
            "or set FEATURES.WEIGHTS random"
        ) from error


def fill_from_file(network: nn.Module, name: str, path: str, published) -> str:
    """Loads a state dict whole from a file; returns the file's hash."""
    if not is_address(path) and not Path(path).is_file():
        names = ", ".join(published.__members__)
        raise FeatureError(
            f"FEATURES.WEIGHTS '{path}' is neither a file nor weights of {name}; allowed: {names}, random, a path"
        )
    try:
        network.load_state_dict(load_checkpoint(path))
    except (RuntimeError, TypeError, AttributeError) as error:  # names, shapes, kinds
        raise FeatureError(
            f"FEATURES.WEIGHTS '{path}' does not fit {name}: {' '.join(str(error).split())[:300]}"
        ) from error
    return checkpoint_hash(path)


def cut_head(network: nn.Module, name: str) -> None:
    """Replaces the last linear layer: the network then puts out what that layer saw."""
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise FeatureError(
            f"FEATURES.OUTPUT pooled: {name} has no linear layer at its end; use logits, or another network"
        )
    parent, _, leaf = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), leaf, nn.Identity())
