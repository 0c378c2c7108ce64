"""Modules inserted at named places of another network, for models that extend it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from fragrant.models.backbone import ModelError

Inserted = list[tuple[str, bool]]  # what stands at a place, in order: names of the model's modules, and "residual"


class Insertion(NamedTuple):
    """A module inserted into a network, for models that extend it.

    The same module may be inserted at several places, each time under the same name."""

    place: str  # a name of the network's places: "stage2"
    name: str  # attribute of the model, and so the prefix of its keys in the state dict: "rsa_attn3"
    module: nn.Module  # (N, C, T, H, W) -> the same
    residual: bool = True  # x + module(x), otherwise module(x) in place of x


def insert(model: nn.Module, insertions: Sequence[Insertion], places: Iterable[str]) -> dict[str, Inserted]:
    """Makes the modules parts of ``model``; returns what stands at each place.

    Raises:
        ModelError: a place that there is not, or a name that is taken.
    """
    inserted: dict[str, Inserted] = {place: [] for place in places}
    for place, name, module, residual in insertions:
        if place not in inserted:
            raise ModelError(f"insertion '{name}': place '{place}' is not known; allowed: {', '.join(inserted)}")
        if getattr(model, name, module) is not module:
            raise ModelError(f"insertion '{name}' at '{place}': this name already belongs to another part of the model")
        model.add_module(name, module)
        inserted[place].append((name, residual))
    return inserted


def run_inserted(model: nn.Module, inserted: Inserted, x: Tensor) -> Tensor:
    """Applies what is inserted at a place, usually nothing: (N, C, T, H, W) -> the same shape."""
    for name, residual in inserted:
        y = getattr(model, name)(x)
        x = x + y if residual else y
    return x
