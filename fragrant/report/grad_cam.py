"""Grad-CAM: where and when a model looks for a class (Selvaraju et al. 2017, arXiv 1610.02391)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.registry import did_you_mean


class LayerError(UserError):
    """A layer that no map can be made of."""


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The part of the model with this dotted name, as in its state dict: ``"blocks4.2"``.

    Raises:
        LayerError: there is none; names the closest.
    """
    layers = dict(model.named_modules())
    if name not in layers:
        block = name.rpartition(".")[0]
        near = [other for other in layers if other.rpartition(".")[0] == (block if block in layers else "") and other]
        raise LayerError(f"layer '{name}' is not in the model; {did_you_mean(name, list(layers))}Known there: {', '.join(near) or 'none'}")
    return layers[name]


def grad_cam(
    model: nn.Module, clips: Tensor, layer: str | None = None, classes: Tensor | None = None, *, channels_last: bool = False
) -> Tensor:
    """Normalised clips (N, C, T, H, W) -> heat maps (N, T, H, W), 0..1 with 1 at each clip's hottest place.

    The channels of the layer's output are added up, each with the mean of its gradient; what speaks against the class (below 0) is cut.
    A clip in which nothing speaks for the class has a map of zeros. The model is used in eval mode; no gradient stays in it.

    Args:
        layer: dotted name of a part of the model that puts out (N, D, T', H', W'); None = what ``model.forward_features`` puts out, the
            last and coarsest map there is.
        classes: (N,) class of each clip; None = the one that the model names.
        channels_last: the layer puts out (N, T', H', W', D).

    Raises:
        LayerError: there is no such layer, or its output is no such map.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            features, logits = _features_and_logits(model, clips, layer)
            if classes is None:
                classes = logits.detach().argmax(1)
            chosen = logits.gather(1, classes.to(logits.device)[:, None])  # (N, 1)
            gradient = torch.autograd.grad(chosen.sum(), features, allow_unused=True)[0]
    finally:
        model.train(was_training)
    if gradient is None:
        raise LayerError(f"layer '{layer}' has no influence on the scores; take another one")
    if channels_last:
        features, gradient = (tensor.movedim(-1, 1) for tensor in (features, gradient))  # (N, D, T', H', W')
    weights = gradient.float().mean(dim=(2, 3, 4), keepdim=True)  # (N, D, 1, 1, 1)
    maps = (weights * features.detach().float()).sum(1, keepdim=True).relu()  # (N, 1, T', H', W')
    maps = F.interpolate(maps, size=clips.shape[2:], mode="trilinear", align_corners=False)[:, 0]  # (N, T, H, W)
    return maps / maps.amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def _features_and_logits(model: nn.Module, clips: Tensor, layer: str | None) -> tuple[Tensor, Tensor]:
    """The layer's output as a part of the graph, and the logits (N, K)."""
    clips = clips.detach().requires_grad_()  # a gradient to the layer, even if all weights are frozen
    if layer is None:
        features = model.forward_features(clips)
        return features, model.forward_head(features)
    seen = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 5:
            got = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise LayerError(f"layer '{layer}' puts out {got}; allowed: a map (N, D, T, H, W)")
        seen.append(output)
        return output.clone()  # what follows may work in place

    handle = find_layer(model, layer).register_forward_hook(keep)
    try:
        logits = model(clips)
    finally:
        handle.remove()
    if not seen:
        raise LayerError(f"layer '{layer}' is not run in a forward pass; name one that is, for instance a single block of a stage")
    return seen[0], logits
