"""A network with a probe in place of its head."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from fragrant.layers.probe import Probe, tokens_of_map
from fragrant.layers.tube_mask import TubeMask
from fragrant.models.backbone import Backbone, Masking, ModelError
from fragrant.models.parts import HEAD, Parts
from fragrant.models.wrapper import Wrapper

INNER = "backbone."  # before the names of the network's tensors


class Probed(Wrapper):
    """A network whose feature map a probe classifies: frozen as tools/classify_features.py --probe trains it, or
    trained as a whole. What the network has behind its map is not used, and gets no gradient.

    Args:
        backbone: without classes.
        probe: of one classifier (P = 1).
        grid: see ``tokens_of_map``.

    Raises:
        ModelError: the width of the backbone's features is not the probe's.
    """

    head_name = "probe"

    def __init__(self, backbone: Backbone, probe: Probe, *, grid: int = 0):
        super().__init__()
        if backbone.num_features != len(probe.mean):
            raise ModelError(f"a probe of {len(probe.mean)} features does not fit a network of {backbone.num_features}")
        self.num_features = backbone.num_features
        self.backbone = backbone
        for name in backbone.behind_map:
            backbone.get_submodule(name).requires_grad_(False)
        self.probe = probe
        self.grid = grid

    def forward_features(self, clips: Tensor) -> Tensor:
        return self.backbone.forward_features(clips)

    def map_and_pooled(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        return self.backbone.map_and_pooled(clips)

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.probe(tokens_of_map(features, self.grid))[0]

    @property
    def masking(self) -> Masking | None:
        return self.backbone.masking

    def forward_masked(self, clips: Tensor, mask: TubeMask, token: Tensor) -> Tensor:
        return self.backbone.forward_masked(clips, mask, token)

    @property
    def detail_layer(self) -> str:
        inner = self.backbone.detail_layer
        return f"{INNER}{inner}" if inner else ""

    def layer_names(self) -> list[tuple[str, ...]]:
        return [tuple(f"{INNER}{name}" for name in names) for names in self.backbone.layer_names()]

    def part_names(self) -> Parts:
        inner = {name: starts for name, starts in self.backbone.part_names().items() if name != HEAD}
        return {**{name: tuple(f"{INNER}{start}" for start in inner[name]) for name in inner}, HEAD: ("probe.",)}

    @property
    def recompute_blocks(self) -> Sequence[int]:
        """See ``blocks_to_recompute``; none where the network recomputes nothing."""
        return getattr(self.backbone, "recompute_blocks", (0, 0, 0, 0))

    @property
    def wrapped(self) -> dict[str, Backbone]:
        return {INNER: self.backbone}

    def timed_parts(self) -> dict[str, list[nn.Module]]:
        return self.backbone.timed_parts()

    # ------------------------------------------------------------------------------------------------ published weights
    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        return "" if _is_own(state) else self.backbone.layout_of(state)

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of the network alone; its classifier is left over."""
        if _is_own(state):
            return state
        return {f"{INNER}{name}": value for name, value in self.backbone.rename_published(state).items()}


def _is_own(state: Mapping[str, Any]) -> bool:
    return any(name.startswith("probe.") for name in state)
