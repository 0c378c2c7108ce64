"""Learning rates that fall from a network's last layer to its first, and those of heads: for fine-tuning from good
weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from torch import nn

from fragrant.errors import UserError

DECLARED = (  # for the error message alone
    "Fragrant",
    "FragrantV2",
    "MViTv2",
    "R2Plus1D",
    "TimmVideo",
    "UniFormerV2",
    "Uniformer",
    "VideoSwin",
    "VisionTransformer",
)


class SaysItsLayers(Protocol):
    """A module that says which of its parameters belong to which layer, see ``Backbone.layer_names``."""

    def layer_names(self) -> list[tuple[str, ...]]: ...


def layer_scales(layers: Sequence[Sequence[str]], names: Sequence[str], decay: float) -> dict[str, float]:
    """Factors of the learning rate of parameters by name: decay ** (number of layers - number of the layer).

    Layer 0 embeds the pixels, the others are blocks; what is in no layer, norms and heads behind the last block, has
    factor 1 (BEiT, Bao et al. 2022; SlowFast's get_param_groups)."""

    def layer_of(name: str) -> int:
        return next((at for at, starts in enumerate(layers) if name.startswith(tuple(starts))), len(layers))

    return {name: decay ** (len(layers) - layer_of(name)) for name in names}


def scales_of(module: nn.Module, decay: float) -> dict[int, float]:
    """Factors of the learning rate by ``id`` of the parameter, of the trainable networks within ``module`` that say
    their layers.

    Raises:
        UserError: none does.
    """
    scales: dict[int, float] = {}
    for part in module.modules():
        layers = cast(SaysItsLayers, part).layer_names() if hasattr(part, "layer_names") else []
        named = {name: parameter for name, parameter in part.named_parameters() if parameter.requires_grad}
        if layers and named:
            factors = layer_scales(layers, list(named), decay)
            scales |= {id(parameter): factors[name] for name, parameter in named.items()}
    if not scales:
        raise UserError(
            f"SOLVER.LAYER_DECAY {decay:g}: this network does not say how deep its layers lie; allowed: 1, or one "
            f"that does: {', '.join(DECLARED)}"
        )
    return scales


class NamesItsHead(Protocol):
    """A network that says which parameters its head has, see ``Backbone.head_name``."""

    head_name: str


def head_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters of the heads of all networks within ``module``."""
    return [
        parameter
        for part in module.modules()
        if hasattr(part, "head_name")
        for name, parameter in part.named_parameters()
        if name.startswith(f"{cast(NamesItsHead, part).head_name}.") and parameter.requires_grad
    ]


def split_by_layer(groups: Sequence[Mapping[str, Any]], scales: Mapping[int, float]) -> list[dict]:
    """Parameter groups cut up so that all parameters of one have the same factor, which multiplies its ``lr_scale``;
    within a group the deepest layers come last. Groups with a fixed rate, which nothing scales, stay whole."""
    cut: list[dict] = []
    for group in groups:
        by_factor: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            factor = 1.0 if "fixed_lr" in group else scales.get(id(parameter), 1.0)
            by_factor.setdefault(factor, []).append(parameter)
        cut += [
            {**group, "params": params, "lr_scale": group.get("lr_scale", 1.0) * factor}
            for factor, params in sorted(by_factor.items())
        ]
    return cut
