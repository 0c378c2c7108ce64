"""A network around others of this package, which answer themselves for their own tensors in files of weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from fragrant.models.backbone import Backbone
from fragrant.models.resizing import ClipSize


def _within(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


class Wrapper(Backbone):
    """A network that holds other networks. A subclass writes ``wrapped``."""

    @property
    def wrapped(self) -> dict[str, Backbone]:
        """The networks inside, by what stands before the names of their tensors: {"backbone.": network}"""
        raise NotImplementedError

    def take_layout(self, state: Mapping[str, Any]) -> None:
        """Hands on a file of this network, or one of the networks inside."""
        for prefix, network in self.wrapped.items():
            network.take_layout(_within(state, prefix) or state)

    def is_new(self, name: str, layout: str) -> bool:
        return any(
            name.startswith(prefix) and network.is_new(name.removeprefix(prefix), layout)
            for prefix, network in self.wrapped.items()
        )

    def resized(
        self, name: str, value: Tensor, shape: Sequence[int], state: Mapping[str, Tensor], clip: ClipSize | None
    ) -> Tensor | None:
        for prefix, network in self.wrapped.items():
            if name.startswith(prefix):
                return network.resized(name.removeprefix(prefix), value, shape, _within(state, prefix), clip)
        return None
