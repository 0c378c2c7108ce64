"""The maps that tools/visualize.py draws, by name."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from fragrant.report.attention_maps import attention_maps
from fragrant.report.fragrant_maps import fam_maps, ram_maps
from fragrant.report.grad_cam import class_number, grad_cam_maps
from fragrant.report.maps import FeatureMap


def maps_of(
    what: str,
    model: nn.Module,
    clip: Tensor,
    *,
    class_names: Sequence[str],
    layer: str | None = None,
    class_name: str | None = None,
    at: Sequence[float] | None = None,
) -> Sequence[FeatureMap]:
    """The maps of one normalised clip (1, C, T, H, W).

    Args:
        what: "grad-cam", "attention", "fam" or "ram".
        layer: name of a part of the model, for grad-cam and attention. class_name: the class, for grad-cam. at: place
            in the clip, for attention and ram.
    """
    if what == "grad-cam":
        return grad_cam_maps(
            model, clip, layer=layer, class_number=class_number(class_name, class_names), class_names=class_names
        )
    place = cast(tuple[float, float, float], tuple(at)) if at else None
    if what == "attention":
        return attention_maps(model, clip, layer=layer, at=place)
    return fam_maps(model, clip) if what == "fam" else ram_maps(model, clip, at=place or (0.5, 0.5, 0.5))
