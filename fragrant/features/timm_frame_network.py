"""An image network of timm as a fixed function: its published preset, logits, pooled features or tokens."""

import math
from typing import Any, NamedTuple, cast

import timm
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from fragrant.checkpoint import checkpoint_hash
from fragrant.features.cache import FeatureError
from fragrant.layers.probe import tokens_of_map
from fragrant.models.backbone import ModelError
from fragrant.models.timm_network import image_network, in_layout_of
from fragrant.models.weights import WeightsError, read_checkpoint, unwrapped
from fragrant.remote import RemoteError, local_path
from fragrant.zoo.timm_weights import TimmError, source_of

PREFIX = "timm/"  # of FEATURES.NETWORK


class Preset(NamedTuple):
    """How a network wants its pictures; the names are those of torchvision's presets.

    Attributes:
        resize_size: short side, or height and width, before the crop.
        crop_size: height and width of the centre crop.
        interpolation: of the resize.
        mean, std: per channel, of pixels in 0..1.
    """

    resize_size: list[int]
    crop_size: list[int]
    interpolation: InterpolationMode
    mean: tuple[float, ...]
    std: tuple[float, ...]


def preset_of(network: nn.Module) -> Preset:
    """The preset that timm publishes with a network's weights: its ``pretrained_cfg``, read as timm's own validation
    reads it (the test size where there is one; a crop of ``crop_pct`` of the short side, rounded down)."""
    config = timm.data.resolve_model_data_config(network, use_test_size=True)
    height, width = config["input_size"][1:]
    squash = config["crop_mode"] == "squash"
    sides = [int(side / config["crop_pct"]) for side in (height, width)]
    return Preset(
        resize_size=sides if squash else [min(sides)],
        crop_size=[height, width],
        interpolation=InterpolationMode(config["interpolation"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


class FrameTokens(nn.Module):
    """All tokens of an image network of timm: the places of its last feature map, and the class and register tokens
    of a transformer before them.

    Args:
        grid: of the places, see ``tokens_of_map``.
    """

    def __init__(self, network: nn.Module, grid: int = 0):
        super().__init__()
        self.network = network
        self.grid = grid

    def forward(self, images: Tensor) -> Tensor:
        """Tokens of images: (N, C, H, W) -> (N, L, D)

        Raises:
            FeatureError: the places of a transformer are to be averaged to a grid, but form no square.
        """
        features = cast(Any, self.network).forward_features(images)
        if features.ndim == 4:
            if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
                features = features.permute(0, 3, 1, 2)
            return tokens_of_map(features.unsqueeze(2), self.grid)  # (N, D, 1, H', W')
        if not self.grid:
            return features
        first = getattr(self.network, "num_prefix_tokens", 0)
        side = math.isqrt(features.shape[1] - first)
        if side**2 != features.shape[1] - first:
            raise FeatureError(
                f"PROBE.GRID {self.grid}: the {features.shape[1] - first} places of this network form no square; "
                "allowed: 0"
            )
        places = features[:, first:].transpose(1, 2).unflatten(2, (1, side, side))
        return torch.cat([features[:, :first], tokens_of_map(places, self.grid)], 1)


def timm_frame_network(
    name: str, *, weights: str, output: str, seed: int, grid: int = 0
) -> tuple[nn.Module, Preset, str]:
    """See ``frame_network``, for a network of timm without its normalisation; ``output`` may be "tokens", see
    ``FrameTokens``.

    Raises:
        FeatureError: an unknown name, or weights that can be neither read nor fetched, or do not fit.
    """
    plain = name.removeprefix(PREFIX)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = image_network(plain)
    except ModelError as error:
        raise FeatureError(f"FEATURES.NETWORK {error}") from error
    identity = f"random, seed {seed}, torch {torch.__version__}, timm {timm.__version__}"
    if weights != "random":
        identity = f"file {fill(network, plain, weights)}"
    if output == "pooled":
        cast(Any, network).reset_classifier(0)
    preset = preset_of(network)
    if output == "tokens":
        network = FrameTokens(network, grid)
    return network.eval(), preset, f"timm {plain}, {identity}"


def fill(network: nn.Module, name: str, weights: str) -> str:
    """Loads the weights whole; returns the hash of their file."""
    try:
        path = local_path(source_of(name, weights))
        state: dict[str, Tensor] = unwrapped(read_checkpoint(path), path)
    except TimmError as error:
        raise FeatureError(f"FEATURES.WEIGHTS '{weights}' {error}") from error
    except RemoteError as error:
        raise FeatureError(
            f"FEATURES.WEIGHTS {weights} of {PREFIX}{name} are not usable: {error}, give a file, or set "
            "FEATURES.WEIGHTS random"
        ) from error
    except WeightsError as error:
        raise FeatureError(f"FEATURES.WEIGHTS {weights} of {PREFIX}{name}: {error}") from error
    try:
        network.load_state_dict(in_layout_of(network, state))
    except (RuntimeError, ModelError) as error:  # names, shapes
        raise FeatureError(
            f"FEATURES.WEIGHTS '{weights}' does not fit {PREFIX}{name}: {' '.join(str(error).split())[:300]}"
        ) from error
    return checkpoint_hash(path)
