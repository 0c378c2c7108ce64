"""Grad-CAM: where and when a model looks for a class (Selvaraju et al. 2017, arXiv 1610.02391)."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.models.backbone import Backbone
from fragrant.registry import did_you_mean
from fragrant.report.maps import FeatureMap


class LayerError(UserError):
    """A layer or class that Grad-CAM cannot make a map for."""


def class_number(text: str | None, names: Sequence[str]) -> int | None:
    """Number of a class given by name or number: ``"jump"`` or ``"0"`` -> 0; None stays None.

    Raises:
        LayerError: there is no such class.
    """
    if text is None:
        return None
    if text in names:
        return list(names).index(text)
    if text.isdecimal() and (not names or int(text) < len(names)):
        return int(text)
    known = (
        f"Known: {', '.join(names)}, or their numbers"
        if names
        else "the checkpoint has no class names; give its number"
    )
    raise LayerError(f"class '{text}' is not known; {did_you_mean(text, names)}{known}")


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Finds the module with this dotted name, as in the model's state dict: ``"blocks4.2"``.

    Raises:
        LayerError: there is no such module; the message names the closest.
    """
    layers = dict(model.named_modules())
    if name not in layers:
        block = name.rpartition(".")[0]
        near = [other for other in layers if other.rpartition(".")[0] == (block if block in layers else "") and other]
        raise LayerError(
            f"layer '{name}' is not in the model; {did_you_mean(name, list(layers))}Known there: "
            f"{', '.join(near) or 'none'}"
        )
    return layers[name]


def grad_cam_maps(
    model: nn.Module,
    clip: Tensor,
    *,
    layer: str | None = None,
    class_number: int | None = None,
    class_names: Sequence[str] = (),
) -> list[FeatureMap]:
    """Grad-CAM map of one normalised clip (1, C, T, H, W). None: the last layer, and the class that the model predicts.

    Raises:
        LayerError: see ``grad_cam``.
    """
    classes = None if class_number is None else torch.tensor([class_number])
    maps, classes, probs = grad_cam(model, clip, layer, classes)
    number = int(classes[0])
    name = class_names[number] if class_names else f"class {number}"
    title = f"Grad-CAM for {name} ({100 * float(probs[0]):.1f} %) at {layer or 'the last layer'}"
    return [FeatureMap(title, maps[0], unit="Grad-CAM")]


def grad_cam(
    model: nn.Module,
    clips: Tensor,
    layer: str | None = None,
    classes: Tensor | None = None,
    *,
    channels_last: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Computes Grad-CAM: normalised clips (N, C, T, H, W) -> heat maps (N, T', H', W') of 0 or above, the classes (N,)
    they are for, their probabilities.

    The channels of the layer's output are added up, each weighted with the mean of its gradient; negative values, which
    speak against the class, are cut. A clip in which nothing speaks for the class has a map of zeros. The model is used
    in eval mode; no gradient stays in it.

    Args:
        layer: dotted name of a part of the model that puts out (N, D, T', H', W'); None = its ``map_layer``, or what
            ``model.forward_features`` puts out, the last and coarsest map there is. A part that several streams of the
            clips pass in one batch shows the first.
        classes: (N,) class of each clip; None = the one that the model predicts.
        channels_last: the layer puts out (N, T', H', W', D).

    Raises:
        LayerError: there is no such layer, its output is no such map, or it has no influence on the scores.
    """
    layer = layer or getattr(model, "map_layer", "") or None
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            features, logits = _features_and_logits(model, clips, layer)
            classes = logits.argmax(1) if classes is None else classes.to(logits.device)
            if int(classes.max()) >= logits.shape[1]:
                raise LayerError(
                    f"class {int(classes.max())} is not known; the model has {logits.shape[1]} classes, from 0"
                )
            chosen = logits.gather(1, classes[:, None])  # (N, 1)
            gradient = torch.autograd.grad(chosen.sum(), features, allow_unused=True)[0]
    finally:
        model.train(was_training)
    if gradient is None:
        raise LayerError(f"layer '{layer}' has no influence on the scores; take another one")
    if channels_last:
        features, gradient = (tensor.movedim(-1, 1) for tensor in (features, gradient))  # (N, D, T', H', W')
    weights = gradient.float().mean(dim=(2, 3, 4), keepdim=True)  # (N, D, 1, 1, 1)
    maps = (weights * features.detach().float()).sum(1).relu()[: len(clips)]  # (N, T', H', W'), of the first stream
    return maps, classes, logits.detach().float().softmax(1).gather(1, classes[:, None])[:, 0]


def _features_and_logits(model: nn.Module, clips: Tensor, layer: str | None) -> tuple[Tensor, Tensor]:
    """Runs the model: the layer's output as a part of the graph, and the logits (N, K)."""
    clips = clips.detach().requires_grad_()  # a gradient to the layer, even if all weights are frozen
    if layer is None:
        backbone = cast(Backbone, model)
        features = backbone.forward_features(clips)
        return features, backbone.forward_head(features)
    seen = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 5:
            got = (
                f"a tensor of shape {tuple(output.shape)}"
                if isinstance(output, Tensor)
                else f"a {type(output).__name__}"
            )
            raise LayerError(f"layer '{layer}' puts out {got}; allowed: a map (N, D, T, H, W)")
        seen.append(output)
        return output.clone()  # what follows may work in place

    handle = find_layer(model, layer).register_forward_hook(keep)
    try:
        logits = model(clips)
    finally:
        handle.remove()
    if not seen:
        raise LayerError(
            f"layer '{layer}' is not run in a forward pass; name one that is, for instance a single block of a stage"
        )
    return seen[0], logits
